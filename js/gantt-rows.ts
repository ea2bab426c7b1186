/** Who stands where in the Gantt: lanes of workers, bars in the order of their start, the span of time to show. Pure. */

import { clock } from "./state";
import { type DagState, NO_WORKER, type Planned } from "./types";

export interface Lanes {
  names: string[];
  /** Lane of every worker number that occurs, -1 for others. */
  of: Int32Array;
  /** Tasks by lane and start, for the planned and the actual bars. */
  planned: Int32Array;
  actual: Int32Array;
}

/** One lane per worker of the plan or the run; a plan that leaves the choice open gets a lane "any". */
export function lanesOf(state: DagState): Lanes {
  const { plan, live, workers } = state;
  const plans = plan ? plannedBars(plan) : new Int32Array();
  const runs = tasksBy(live.worker, live.start, false);
  const used = new Set<number>();
  for (const i of plans) used.add(plan?.worker[i] ?? NO_WORKER);
  for (const i of runs) used.add(live.worker[i]);
  for (const { worker } of [...live.asides, ...(plan?.asides ?? [])]) used.add(worker);
  workers.forEach((_, w) => {
    used.add(w);
  });
  const ordered = [...used].sort((a, b) => a - b);
  const of = new Int32Array(NO_WORKER + 1).fill(-1);
  const names = ordered.map((w, lane) => {
    of[w] = lane;
    return w === NO_WORKER ? "any" : (workers[w] ?? `w${w}`);
  });
  return { names, of, planned: plans, actual: runs };
}

/** Sorted once per plan: it stays the same while patches come. */
const SORTED = new WeakMap<Planned, Int32Array>();

function plannedBars(plan: Planned): Int32Array {
  const found = SORTED.get(plan) ?? tasksBy(plan.worker, plan.start, true);
  SORTED.set(plan, found);
  return found;
}

function tasksBy(worker: Uint16Array, start: Float64Array, open: boolean): Int32Array {
  const tasks: number[] = [];
  for (let i = 0; i < worker.length; i++) {
    if (Number.isNaN(start[i]) || (worker[i] === NO_WORKER && !open)) continue;
    tasks.push(i);
  }
  return Int32Array.from(tasks).sort((a, b) => worker[a] - worker[b] || start[a] - start[b] || a - b);
}

/** Planned and actual times can share an axis only when the plan is in seconds. */
export function comparable(state: DagState): boolean {
  return state.plan !== null && (state.plan.has_seconds || state.run === "");
}

/** Seconds (or task units) from 0 that the whole picture covers. */
export function spanOf(state: DagState, now: number): number {
  let end = comparable(state) ? (state.plan?.makespan ?? 0) : 0;
  if (state.run) {
    for (const e of state.live.end) if (e > end) end = e;
    for (const aside of state.live.asides) if (aside.end > end) end = aside.end;
    if (state.runState === "running") end = Math.max(end, clock(state, now));
  }
  return end > 0 ? end : 1;
}
