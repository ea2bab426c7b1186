/** What stands beside the pointer. */

import { seconds } from "./format";
import { type DagState, STATES } from "./types";
import type { Hit } from "./view";

export function tipText(hit: NonNullable<Hit>, { graph, live, plan }: DagState): string {
  if ("group" in hit) return `${graph.groups?.heads[hit.group] ?? ""}\nclick to open`;
  const i = hit.task;
  const took = live.end[i] - live.start[i];
  const forecast = plan?.has_seconds ? plan.end[i] - plan.start[i] : Number.NaN;
  const known = Number.isNaN(took) ? forecast : took;
  const time = Number.isNaN(known) ? "" : ` · ${Number.isNaN(took) ? "forecast " : ""}${seconds(known)}`;
  return `${graph.keys[i]}\n${STATES[live.state[i]]}${time}`;
}
