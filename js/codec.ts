/** Bytes from the kernel → columns. The one place that knows how records lie; its twin is ROW in snapshot.py. */

import type { Aside, Live } from "./types";

/** One changed task, little endian: 40 bytes. */
export const RECORD_SIZE = 40;
const AT = { start: 0, end: 8, size: 16, fetch: 24, upload: 28, task: 32, worker: 36, state: 38, attempt: 39 } as const;

/** An aside, little endian: 24 bytes; its twin is ASIDE in snapshot.py. */
const ASIDE_SIZE = 24;

export type Column = Int32Array | Float32Array | Float64Array | Uint16Array | Uint8Array;
export type Columns = Record<string, Column | undefined>;

const TYPES = {
  u1: Uint8Array,
  u2: Uint16Array,
  i4: Int32Array,
  f4: Float32Array,
  f8: Float64Array,
} as const;

/** Named columns out of the buffers of a message; buffers may lie at odd addresses, so they are copied. */
export function columnsOf(names: [name: string, type: string][], buffers: DataView[]): Columns {
  const columns: Columns = {};
  names.forEach(([name, type], i) => {
    const make = TYPES[type as keyof typeof TYPES];
    const view = buffers[i];
    if (!make || !view) throw new Error(`column ${name}: no buffer of type ${type}`);
    columns[name] = new make(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer);
  });
  return columns;
}

export function textOf(column: Column | undefined): string {
  return column ? new TextDecoder().decode(column) : "";
}

/** Write packed records into the rows of their tasks. Throws on half a record or a task that is not there. */
export function readRecords(data: DataView | Column | undefined, live: Live): void {
  if (!data?.byteLength) return;
  if (data.byteLength % RECORD_SIZE) throw new Error(`${data.byteLength} bytes are not whole records`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at < view.byteLength; at += RECORD_SIZE) {
    const task = view.getInt32(at + AT.task, true);
    if (task < 0 || task >= live.state.length) throw new Error(`no task ${task}`);
    live.start[task] = view.getFloat64(at + AT.start, true);
    live.end[task] = view.getFloat64(at + AT.end, true);
    live.size[task] = view.getFloat64(at + AT.size, true);
    live.fetch[task] = view.getFloat32(at + AT.fetch, true);
    live.upload[task] = view.getFloat32(at + AT.upload, true);
    live.worker[task] = view.getUint16(at + AT.worker, true);
    live.state[task] = view.getUint8(at + AT.state);
    live.attempt[task] = view.getUint8(at + AT.attempt);
  }
}

/** What happened beside the rows, in the order in which it was told. Throws on half a record. */
export function readAsides(data: DataView | Column | undefined): Aside[] {
  if (!data?.byteLength) return [];
  if (data.byteLength % ASIDE_SIZE) throw new Error(`${data.byteLength} bytes are not whole asides`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: view.byteLength / ASIDE_SIZE }, (_, i) => {
    const at = i * ASIDE_SIZE;
    return {
      start: view.getFloat64(at, true),
      end: view.getFloat64(at + 8, true),
      task: view.getInt32(at + 16, true),
      worker: view.getUint16(at + 20, true),
      kind: view.getUint8(at + 22),
      cold: view.getUint8(at + 23) === 1,
    };
  });
}
