/** What the search box understands: `fit`, `status:failed`, `worker:w3`, `kind:clean`; words are joined by AND. */

import { type DagState, NO_WORKER, STATES } from "./types";

type Test = (task: number) => boolean;

/** One byte per task, 1 where it matches; null when the query is empty. */
export function search(query: string, state: DagState): Uint8Array | null {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  const tests = words.map((word) => testOf(word, state));
  const found = new Uint8Array(state.graph.tasks);
  for (let i = 0; i < found.length; i++) found[i] = tests.every((test) => test(i)) ? 1 : 0;
  return found;
}

function testOf(word: string, { graph, live, plan, workers }: DagState): Test {
  const [, field, value] = /^(status|state|worker|kind):(.*)$/.exec(word) ?? [];
  switch (field) {
    case "status":
    case "state": {
      const wanted = STATES.map((name) => name.startsWith(value));
      return (i) => wanted[live.state[i]];
    }
    case "worker": {
      const wanted = workers.map((name, w) => name.toLowerCase() === value || String(w) === value);
      return (i) => wanted[live.worker[i] !== NO_WORKER ? live.worker[i] : (plan?.worker[i] ?? NO_WORKER)] ?? false;
    }
    case "kind": {
      const wanted = graph.kinds.map((name) => name.toLowerCase().includes(value));
      return (i) => wanted[graph.kind[i]];
    }
    default:
      return (i) => graph.keys[i].toLowerCase().includes(word);
  }
}

/** The next task after `from` (wrapping round) that matches, or -1. */
export function nextMatch(found: Uint8Array, from: number, step: 1 | -1 = 1): number {
  const n = found.length;
  for (let d = 1; d <= n; d++) {
    const i = (((from + step * d) % n) + n) % n;
    if (found[i]) return i;
  }
  return -1;
}
