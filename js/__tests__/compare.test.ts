import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { COLUMNS, columnsFor, comparing, sorted, spanOfRows } from "../compare-rows";
import type { CompareMessage, CompareRow, Header, Knobs } from "../types";
import { WhatIf } from "../what-if";

const ROW: CompareRow = {
  planner: "heft",
  label: "4",
  workers: 4,
  error: "",
  has_seconds: true,
  lanes: 1,
  makespan: 10,
  interval: null,
  lower_bound: 9,
  gap: 1 / 9,
  gb_seconds: 80,
  worker_seconds: null,
  bytes_moved: 2e6,
  cold_starts: 0,
  locality: 0.5,
};
const FAILED: CompareRow = { ...ROW, planner: "bad", error: "no plan", makespan: null, gap: null, locality: null };
const by = (key: string) => COLUMNS.find((column) => column.key === key);
const view = (data: ArrayLike<number> & ArrayBufferView): DataView =>
  new DataView(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);

describe("rows side by side", () => {
  const rows = [ROW, FAILED, { ...ROW, makespan: 7, interval: [6, 12] as [number, number] }, { ...ROW, makespan: 8 }];

  it("sort by a column, those without a value last whichever way", () => {
    expect(sorted(rows, undefined, false)).toEqual([0, 1, 2, 3]);
    expect(sorted(rows, by("makespan"), false)).toEqual([2, 3, 0, 1]);
    expect(sorted(rows, by("makespan"), true)).toEqual([0, 3, 2, 1]);
    expect(sorted(rows, by("planner"), false)).toEqual([1, 0, 2, 3]);
  });

  it("share an axis that covers every interval", () => {
    expect(spanOfRows(rows)).toBe(12);
    expect(spanOfRows([FAILED])).toBe(1);
  });

  it("have the columns in which there is something to say, and room", () => {
    const wide = columnsFor(rows, 1200).map((column) => column.key);
    expect(wide).toEqual(["planner", "workers", "makespan", "gap", "gb_seconds", "bytes_moved", "locality"]);
    expect(columnsFor(rows, 300).map((column) => column.key)).toEqual(["planner", "workers", "makespan"]);
    expect(columnsFor([{ ...ROW, cold_starts: 3 }], 1200).map((column) => column.key)).toContain("cold_starts");
  });

  it("invent no seconds", () => {
    expect(by("makespan")?.text(ROW)).toBe("10 s");
    expect(by("makespan")?.text({ ...ROW, has_seconds: false })).toBe("10");
    expect(by("gb_seconds")?.text({ ...ROW, has_seconds: false })).toBe("");
    expect(by("makespan")?.text(FAILED)).toBe("");
  });

  it("take their bars out of common columns", () => {
    const columns: [string, string, DataView][] = [
      ["first", "i4", view(new Int32Array([0, 2, 2, 3]))],
      ["lane", "u2", view(new Uint16Array([0, 1, 0]))],
      ["start", "f4", view(new Float32Array([0, 1, 2]))],
      ["end", "f4", view(new Float32Array([1, 2, 3]))],
      ["kind", "u1", view(new Uint8Array([5, 6, 7]))],
      ["height", "f4", view(new Float32Array([1, 1, 0.5]))],
    ];
    const message: CompareMessage = {
      kind: "compare",
      id: 3,
      best: 0,
      rows: [ROW, FAILED, ROW],
      columns: columns.map(([name, type]) => [name, type]),
    };
    const data = comparing(
      message,
      columns.map(([, , buffer]) => buffer),
    );
    expect(data.gantts.map((gantt) => [...gantt.kind])).toEqual([[5, 6], [], [7]]);
    expect([...data.gantts[2].height]).toEqual([0.5]);
    expect(data.span).toBe(10);
  });
});

describe("sliders", () => {
  const header = (knobs: Knobs | null, what_if = false): Header =>
    ({ name: "etl", knobs, what_if }) as unknown as Header;
  const real: Knobs = { workers: 4, memory: 2e9, bandwidth: 1e9 };
  let asked: [number, Knobs | null][];
  let said: [string, boolean][];
  let sliders: WhatIf;
  const inputs = (): HTMLInputElement[] => [...sliders.element.querySelectorAll("input")];
  const drag = (i: number, to: number): void => {
    inputs()[i].value = String(to);
    inputs()[i].dispatchEvent(new Event("input"));
  };
  beforeEach(() => {
    vi.useFakeTimers();
    [asked, said] = [[], []];
    sliders = new WhatIf({ ask: (id, knobs) => asked.push([id, knobs]), say: (text, ok) => said.push([text, ok]) });
    sliders.update(header(real), true);
  });
  afterEach(() => vi.useRealTimers());

  it("are there where somebody answers", () => {
    expect(sliders.element.hidden).toBe(false);
    sliders.update(header(null), true);
    expect(sliders.element.hidden).toBe(true);
  });

  it("ask one question at a time, and then the newest", () => {
    for (const to of [5, 6, 7, 8]) drag(0, to);
    expect(asked).toEqual([[1, { ...real, workers: 5 }]]);
    sliders.planned(1, true, "");
    expect(asked[1]).toEqual([2, { ...real, workers: 8 }]);
    sliders.planned(2, true, "");
    expect(asked).toHaveLength(2);
  });

  it("leave alone what was not moved", () => {
    sliders.update(header({ ...real, bandwidth: 123_456_789 }), true);
    drag(1, Math.log2(4));
    expect(asked[0][1]).toEqual({ workers: 4, memory: 4e9, bandwidth: 123_456_789 });
  });

  it("go back to what is real", () => {
    drag(0, 9);
    sliders.planned(1, true, "");
    sliders.update(header({ ...real, workers: 9 }, true), true);
    const back = sliders.element.querySelector("button") as HTMLButtonElement;
    expect(back.hidden).toBe(false);
    back.click();
    expect(asked[1]).toEqual([2, null]);
    sliders.update(header(real), true);
    sliders.planned(2, true, "");
    expect(inputs()[0].value).toBe("4");
    expect(back.hidden).toBe(true);
  });

  it("say that the kernel is busy, and ask again when dragged again", () => {
    drag(0, 5);
    vi.advanceTimersByTime(1600);
    expect(said[0][1]).toBe(false);
    expect(said[0][0]).toContain("busy");
    drag(0, 6);
    expect(asked[1]).toEqual([2, { ...real, workers: 6 }]);
  });

  it("show why a position was refused", () => {
    drag(1, -3);
    sliders.planned(1, false, "fit needs 2 GB");
    expect(said).toEqual([["fit needs 2 GB", false]]);
  });
});
