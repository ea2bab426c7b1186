import { describe, expect, it } from "vitest";
import { RECORD_SIZE, readRecords } from "../codec";
import { applyPatch, applySnapshot, clock, emptyLive, markCritical } from "../state";
import type { DagState, FromKernel, Live, SnapshotMessage } from "../types";
import { DONE, FAILED, READY, RUNNING, WAITING } from "../types";
import recorded from "./fixtures/patches.json";

interface Said {
  content: FromKernel;
  buffers: string[];
  live: Record<keyof Live, (number | null)[]>;
}
const fixture = recorded as unknown as { keys: string[]; messages: Said[] };

/** Bytes as a comm hands them over: a view into a larger buffer, at an odd address. */
function bytes(text: string): DataView {
  const data = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const wide = new Uint8Array(data.length + 3);
  wide.set(data, 3);
  return new DataView(wide.buffer, 3, data.length);
}

function snapshot(): DagState {
  const { content, buffers } = fixture.messages[0];
  return applySnapshot(null, content as SnapshotMessage, buffers.map(bytes), 100);
}

function next(state: DagState, i: number): DagState | null {
  const { content, buffers } = fixture.messages[i];
  return content.kind === "patch"
    ? applyPatch(state, content, bytes(buffers[0]), 100 + i, buffers[1] ? bytes(buffers[1]) : undefined)
    : null;
}

/** Rows as the kernel has them; `ready` is derived here, the kernel says waiting. */
function rowsOf(live: Live): Record<string, unknown[]> {
  const plain = (column: ArrayLike<number>): (number | null)[] =>
    Array.from(column, (v) => (Number.isNaN(v) ? null : v));
  const { asides, ...columns } = live;
  const rows: Record<string, unknown[]> = Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [name, plain(column)]),
  );
  rows.asides = asides.map((a) => [a.start, a.end, a.task, a.worker, a.kind, Number(a.cold)]);
  rows.state = rows.state.map((s) => (s === READY ? WAITING : s));
  return rows;
}

describe("what the kernel sends", () => {
  it("is read column by column", () => {
    const state = snapshot();
    expect(state.graph.keys).toEqual(fixture.keys);
    expect(state.graph.kinds).toEqual(["load", "f", "sum"]);
    expect([...state.graph.src]).toEqual([0, 0, 1, 2]);
    expect([...state.graph.x]).toEqual([70, 250, 250, 430]);
    expect(state.plan?.planner).toBe("heft");
    expect([...(state.plan?.end ?? [])]).toEqual([1, 2, 3, 4]);
    expect(state.plan?.interval).toEqual([3.75, 4.5]);
    expect(state.plan?.asides).toEqual([
      { kind: 7, start: 1, end: 1.25, task: 0, worker: 1, cold: false },
      { kind: 9, start: 0, end: 0.5, task: 0, worker: 1, cold: true },
    ]);
    expect(state.workers).toEqual(["w0", "w1"]);
    expect(rowsOf(state.live)).toEqual(fixture.messages[0].live);
  });

  it("folds to the rows of the kernel, retractions included", () => {
    const first = next(snapshot(), 1) as DagState;
    expect(rowsOf(first.live)).toEqual(fixture.messages[1].live);
    const second = next(first, 2) as DagState;
    expect(rowsOf(second.live)).toEqual(fixture.messages[2].live);
    expect(second.runState).toBe("failed");
    expect(second.live.state[2]).toBe(READY);
  });

  it("leaves the state before it alone", () => {
    const state = snapshot();
    const before = rowsOf(state.live);
    next(state, 1);
    expect(rowsOf(state.live)).toEqual(before);
    expect(state.seq).toBe(7);
  });

  it("is refused after a gap, and for another run", () => {
    const state = snapshot();
    expect(next(state, 2)).toBeNull();
    expect(next({ ...state, run: "r0" }, 1)).toBeNull();
  });

  it("may leave the graph out when it is here, and not otherwise", () => {
    const state = snapshot();
    const { content } = fixture.messages[0];
    const short = { ...(content as SnapshotMessage), columns: [], plan: null };
    expect(applySnapshot(state, short, [], 101).graph).toBe(state.graph);
    expect(() => applySnapshot(null, short, [], 101)).toThrow("without a graph");
    const other = { ...short, graph: { ...short.graph, fingerprint: "other" } };
    expect(() => applySnapshot(state, other, [], 101)).toThrow("without a graph");
  });
});

describe("records", () => {
  it("that are cut short or name no task are refused", () => {
    expect(() => readRecords(new DataView(new ArrayBuffer(RECORD_SIZE - 1)), emptyLive(2))).toThrow("whole records");
    const stranger = new DataView(new ArrayBuffer(RECORD_SIZE));
    stranger.setInt32(32, 2, true);
    expect(() => readRecords(stranger, emptyLive(2))).toThrow("no task 2");
  });
});

describe("states", () => {
  it("ready is what waits for nothing any more", () => {
    const { live, counts } = snapshot();
    expect([...live.state]).toEqual([DONE, READY, READY, WAITING]);
    expect(counts[DONE]).toBe(1);
    expect(counts[READY]).toBe(2);
  });

  it("the clock runs while the run does", () => {
    const state = snapshot();
    expect(clock(state, 100.5)).toBeCloseTo(state.t + 0.5);
    expect(clock(state, 1000)).toBeLessThanOrEqual(state.t + 5);
    expect(clock({ ...state, runState: "done" }, 100.5)).toBe(state.t);
    expect([RUNNING, FAILED]).toEqual([2, 4]);
  });

  it("the critical chain of the plan goes back from the last end", () => {
    const { graph, plan } = snapshot();
    if (!plan) throw new Error("no plan");
    plan.critical.fill(0);
    markCritical(plan, graph);
    expect([...plan.critical]).toEqual([1, 0, 1, 1]);
  });
});
