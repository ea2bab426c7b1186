/** Snapshots and patches folded into what the views draw. Everything here is pure: a new state for every message. */

import { type Columns, columnsOf, readAsides, readRecords, textOf } from "./codec";
import {
  type DagState,
  type Drawn,
  type Graph,
  type Groups,
  type Live,
  NO_WORKER,
  type PageFacts,
  type Planned,
  READY,
  type RunState,
  type SnapshotMessage,
  STATES,
  WAITING,
} from "./types";

export function emptyLive(n: number): Live {
  return {
    state: new Uint8Array(n),
    attempt: new Uint8Array(n),
    worker: new Uint16Array(n).fill(NO_WORKER),
    start: new Float64Array(n).fill(Number.NaN),
    end: new Float64Array(n).fill(Number.NaN),
    size: new Float64Array(n),
    fetch: new Float32Array(n),
    upload: new Float32Array(n),
    asides: [],
  };
}

/** The state after a snapshot. `old` serves the graph when the kernel left it out because we have it already. */
export function applySnapshot(
  old: DagState | null,
  message: SnapshotMessage,
  buffers: DataView[],
  received: number,
): DagState {
  const columns = columnsOf(message.columns, buffers);
  const graph = columns.keys ? graphOf(message, columns) : old?.graph;
  if (!graph || graph.fingerprint !== message.graph.fingerprint) {
    throw new Error("a snapshot without a graph, and none is here");
  }
  const live = emptyLive(graph.tasks);
  readRecords(columns.records, live);
  live.asides = readAsides(columns.asides);
  if (message.run) markReady(graph, live);
  return {
    graph,
    plan: message.plan ? planOf(message.plan, columns, graph) : null,
    workers: message.workers,
    live,
    counts: countStates(live),
    run: message.run,
    runState: message.state,
    seq: message.seq,
    t: message.t,
    received,
  };
}

export interface Patch {
  run: string;
  seq: number;
  t: number;
  state: RunState;
}

/** The state after a patch, or null when it does not follow `state`: a gap, or another run. */
export function applyPatch(
  state: DagState,
  patch: Patch,
  records: DataView | undefined,
  received: number,
  asides?: DataView,
): DagState | null {
  if (patch.run !== state.run || patch.seq !== state.seq + 1) return null;
  const live = copyLive(state.live);
  readRecords(records, live);
  if (asides?.byteLength) live.asides = [...live.asides, ...readAsides(asides)];
  markReady(state.graph, live);
  return {
    ...state,
    live,
    counts: countStates(live),
    runState: patch.state,
    seq: patch.seq,
    t: patch.t,
    received,
  };
}

function copyLive(live: Live): Live {
  return {
    state: live.state.slice(),
    attempt: live.attempt.slice(),
    worker: live.worker.slice(),
    start: live.start.slice(),
    end: live.end.slice(),
    size: live.size.slice(),
    fetch: live.fetch.slice(),
    upload: live.upload.slice(),
    asides: live.asides,
  };
}

const SETTLED = STATES.map((name) => name === "done" || name === "cached");

/** Workers say nothing about tasks that could start: derive it, so that waiting and ready look different. */
export function markReady(graph: Graph, live: Live): void {
  const { state } = live;
  const blocked = new Uint8Array(state.length);
  for (let e = 0; e < graph.src.length; e++) {
    if (!SETTLED[state[graph.src[e]]]) blocked[graph.dst[e]] = 1;
  }
  for (let i = 0; i < state.length; i++) {
    if (state[i] <= READY) state[i] = blocked[i] ? WAITING : READY;
  }
}

export function countStates(live: Live): number[] {
  const counts = STATES.map(() => 0);
  for (const s of live.state) counts[s]++;
  return counts;
}

/** Tasks with nothing more to happen. */
export function settled(counts: number[]): number {
  return counts.slice(3).reduce((sum, n) => sum + n, 0);
}

/** Seconds since the run was submitted, now: the kernel's last word plus what has passed since. */
export function clock(state: DagState, now: number): number {
  if (state.runState !== "running") return state.t;
  return state.t + Math.max(0, Math.min(now - state.received, 5));
}

function graphOf(message: SnapshotMessage, columns: Columns): Graph {
  const facts = message.graph;
  const drawn = drawnOf(columns, "", facts.layout);
  const [outStart, outEdges] = adjacency(facts.tasks, drawn.src);
  const [inStart, inEdges] = adjacency(facts.tasks, drawn.dst);
  return {
    ...facts,
    ...drawn,
    keys: JSON.parse(textOf(columns.keys)) as string[],
    kind: columns.kind as Int32Array,
    groups: columns.of ? groupsOf(message, columns) : null,
    outStart,
    outEdges,
    inStart,
    inEdges,
  };
}

function groupsOf(message: SnapshotMessage, columns: Columns): Groups {
  return {
    ...drawnOf(columns, "ribbon_", message.graph.layout?.overview),
    x: columns.box_x as Float32Array,
    y: columns.box_y as Float32Array,
    of: columns.of as Int32Array,
    heads: message.graph.heads ?? [],
    size: columns.box_size as Int32Array,
    count: columns.ribbon_count as Int32Array,
    extent: columns.extent as Float32Array,
  };
}

function drawnOf(columns: Columns, edge: "" | "ribbon_", page?: PageFacts): Drawn {
  const [cardWidth, cardHeight] = page?.card ?? [132, 28];
  return {
    x: columns.x as Float32Array,
    y: columns.y as Float32Array,
    src: columns[`${edge}src`] as Int32Array,
    dst: columns[`${edge}dst`] as Int32Array,
    bendStart: columns[`${edge}bend_start`] as Int32Array,
    bends: columns[`${edge}bends`] as Float32Array,
    cardWidth,
    cardHeight,
    width: page?.width ?? 0,
    height: page?.height ?? 0,
  };
}

/** Edges by one of their ends, as CSR arrays. */
export function adjacency(n: number, ends: Int32Array): [Int32Array, Int32Array] {
  const start = new Int32Array(n + 1);
  for (const i of ends) start[i + 1]++;
  for (let i = 0; i < n; i++) start[i + 1] += start[i];
  const next = start.slice();
  const edges = new Int32Array(ends.length);
  for (let e = 0; e < ends.length; e++) edges[next[ends[e]]++] = e;
  return [start, edges];
}

function planOf(facts: NonNullable<SnapshotMessage["plan"]>, columns: Columns, graph: Graph): Planned {
  const plan: Planned = {
    ...facts,
    worker: columns.plan_worker as Uint16Array,
    free: columns.plan_free as Uint8Array,
    start: columns.plan_start as Float64Array,
    end: columns.plan_end as Float64Array,
    fetch: columns.plan_fetch as Float32Array,
    critical: new Uint8Array(graph.tasks),
    asides: readAsides(columns.plan_asides),
  };
  markCritical(plan, graph);
  return plan;
}

/** From the last task back along whatever held each one up: a dependency, or the task before it on its worker. */
export function markCritical(plan: Planned, graph: Graph): void {
  const n = graph.tasks;
  const before = previousOnWorker(plan, n);
  let at = -1;
  for (let i = 0; i < n; i++) if (!Number.isNaN(plan.end[i]) && (at < 0 || plan.end[i] > plan.end[at])) at = i;
  while (at >= 0 && !plan.critical[at]) {
    plan.critical[at] = 1;
    let held = before[at];
    for (let q = graph.inStart[at]; q < graph.inStart[at + 1]; q++) {
      const dep = graph.src[graph.inEdges[q]];
      if (held < 0 || plan.end[dep] >= plan.end[held]) held = dep;
    }
    at = held;
  }
}

function previousOnWorker(plan: Planned, n: number): Int32Array {
  const before = new Int32Array(n).fill(-1);
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => plan.start[a] - plan.start[b] || a - b);
  const last = new Map<number, number>();
  for (const i of order) {
    const worker = plan.worker[i];
    if (worker === NO_WORKER) continue;
    before[i] = last.get(worker) ?? -1;
    last.set(worker, i);
  }
  return before;
}
