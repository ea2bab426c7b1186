/** A comparison as the table needs it: columns, their texts, the order of rows, the bars of each. Pure. */

import { columnsOf } from "./codec";
import { bytes, count, digits, seconds } from "./format";
import type { CompareMessage, CompareRow } from "./types";

/** Stretches of one small Gantt. */
export interface SmallGantt {
  lanes: number;
  lane: Uint16Array;
  start: Float32Array;
  end: Float32Array;
  kind: Uint8Array;
  height: Float32Array;
}

export interface Comparing {
  id: number;
  best: number;
  rows: CompareRow[];
  gantts: SmallGantt[];
  /** Seconds or task units that the common axis covers. */
  span: number;
}

export function comparing(message: CompareMessage, buffers: DataView[]): Comparing {
  const columns = columnsOf(message.columns, buffers);
  const first = columns.first as Int32Array;
  const cut = <T extends Uint16Array | Float32Array | Uint8Array>(name: string, row: number): T =>
    (columns[name] as T).subarray(first[row], first[row + 1]) as T;
  const gantts = message.rows.map(({ lanes }, row) => ({
    lanes,
    lane: cut<Uint16Array>("lane", row),
    start: cut<Float32Array>("start", row),
    end: cut<Float32Array>("end", row),
    kind: cut<Uint8Array>("kind", row),
    height: cut<Float32Array>("height", row),
  }));
  return { id: message.id, best: message.best, rows: message.rows, gantts, span: spanOfRows(message.rows) };
}

/** The latest moment that any row speaks of; never 0. */
export function spanOfRows(rows: CompareRow[]): number {
  const ends = rows.map((row) => Math.max(row.makespan ?? 0, row.interval?.[1] ?? 0));
  return Math.max(...ends, 0) || 1;
}

export interface Column {
  key: string;
  head: string;
  title: string;
  /** What it sorts by; null comes last whichever way. */
  value: (row: CompareRow) => number | string | null;
  text: (row: CompareRow) => string;
  /** Left out where the table is narrower than so many pixels. */
  from: number;
}

const figure = (value: number | null, say: (value: number) => string): string => (value === null ? "" : say(value));
const inTime = (row: CompareRow, value: number): string => (row.has_seconds ? seconds(value) : digits(value));
const whole = (value: number): string => count(Number(value.toPrecision(3)));

function column(
  key: keyof CompareRow,
  head: string,
  title: string,
  from: number,
  text: (value: number, row: CompareRow) => string,
): Column {
  const value = (row: CompareRow): number | null => row[key] as number | null;
  return { key, head, title, from, value, text: (row) => figure(value(row), (v) => text(v, row)) };
}

export const COLUMNS: Column[] = [
  { key: "planner", head: "planner", title: "Who planned", from: 0, value: (r) => r.planner, text: (r) => r.planner },
  { key: "workers", head: "workers", title: "Workers", from: 0, value: (r) => r.workers, text: (r) => r.label },
  column("makespan", "makespan", "From submission to the last end", 0, (v, row) => inTime(row, v)),
  column("gap", "gap", "How far above the end that no plan can beat", 420, (v) => `${(100 * v).toFixed(1)}%`),
  column("gb_seconds", "GB·s", "Memory of the workers × time in use", 760, (v, row) =>
    row.has_seconds ? whole(v) : "",
  ),
  column("worker_seconds", "worker·s", "Time for which workers are held", 980, (v, row) =>
    row.has_seconds ? whole(v) : "",
  ),
  column("bytes_moved", "moved", "Bytes that travel between workers", 620, (v) => (v ? bytes(v) : "0")),
  column("cold_starts", "cold", "Workers that have to be started", 900, (v) => String(v)),
  column("locality", "local", "Share of the needed bytes that do not move", 700, (v) => `${Math.round(100 * v)}%`),
];

/** Columns in which some row has something to say, where there is room for them. */
export function columnsFor(rows: CompareRow[], width: number): Column[] {
  const said = (column: Column): boolean => rows.some((row) => column.text(row) !== "");
  const dull = (column: Column): boolean => column.key === "cold_starts" && rows.every((row) => !row.cold_starts);
  return COLUMNS.filter((column) => width >= column.from && said(column) && !dull(column));
}

/** Places of the rows in the order of a column; rows without a value come last, equal ones stay as they are. */
export function sorted(rows: CompareRow[], by: Column | undefined, descending: boolean): number[] {
  const places = rows.map((_, i) => i);
  if (!by) return places;
  const sign = descending ? -1 : 1;
  return places.sort((a, b) => {
    const [x, y] = [by.value(rows[a]), by.value(rows[b])];
    if (x === null || y === null) return Number(x === null) - Number(y === null) || a - b;
    return sign * (x < y ? -1 : x > y ? 1 : 0) || a - b;
  });
}
