/** The drawer: all there is to know of one task. Times come from the state; texts are asked of the kernel. */

import { make } from "./dom";
import { bytes, plural, seconds } from "./format";
import { glyphElement } from "./glyphs";
import type { Theme } from "./theme";
import { type DagState, type Detail, NO_WORKER, STATES, WAITING } from "./types";

export interface PanelEvents {
  close(): void;
  select(task: number): void;
}

/** Dependencies and dependents listed by name. */
const LISTED = 12;

export class DetailsPanel {
  readonly element = make("aside", { class: "dagnb-drawer", hidden: true, "aria-label": "Task" });
  private task = -1;
  private state: DagState | null = null;
  private detail: Detail | null = null;
  private shown = "";

  constructor(
    private theme: Theme,
    private readonly events: PanelEvents,
  ) {
    this.element.dataset.lmSuppressShortcuts = "true";
    this.element.addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      events.close();
    });
  }

  get open(): boolean {
    return this.task >= 0;
  }

  get shows(): number {
    return this.task;
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.shown = "";
    this.render();
  }

  show(task: number, state: DagState): void {
    if (task !== this.task) this.detail = null;
    this.task = task;
    this.update(state);
  }

  hide(): void {
    this.task = -1;
    this.element.hidden = true;
    this.shown = "";
  }

  update(state: DagState): void {
    this.state = state;
    if (this.task >= state.graph.tasks) this.hide();
    this.render();
  }

  tell(task: number, detail: Detail): void {
    if (task !== this.task) return;
    this.detail = detail;
    this.shown = "";
    this.render();
  }

  private render(): void {
    const { state, task } = this;
    if (!state || task < 0) return;
    const { live } = state;
    const key = [
      task,
      live.state[task],
      live.start[task],
      live.end[task],
      live.attempt[task],
      state.run,
      state.plan?.planner,
    ];
    if (this.shown === key.join()) return;
    this.shown = key.join();
    const top = this.element.scrollTop;
    this.element.hidden = false;
    this.element.replaceChildren(
      this.head(state),
      this.facts(state),
      ...this.texts(true),
      ...this.times(state),
      ...this.texts(false),
      ...this.links(state),
    );
    this.element.scrollTop = top;
  }

  private head(state: DagState): HTMLElement {
    const close = make("button", { type: "button", "aria-label": "Close", onclick: () => this.events.close() }, "✕");
    return make(
      "header",
      {},
      glyphElement(this.theme, state.live.state[this.task]),
      make("h3", {}, state.graph.keys[this.task]),
      close,
    );
  }

  private facts(state: DagState): HTMLElement {
    const { graph, live, plan, workers } = state;
    const i = this.task;
    const name = (w: number): string => (w === NO_WORKER ? "any" : (workers[w] ?? `w${w}`));
    const planned = plan && (plan.free[i] ? "whoever is free" : name(plan.worker[i]));
    const rows: [string, string][] = [
      ["kind", graph.kinds[graph.kind[i]]],
      ["state", state.run || live.state[i] > WAITING ? STATES[live.state[i]] : "not run yet"],
    ];
    if (live.worker[i] !== NO_WORKER) rows.push(["worker", workerText(name(live.worker[i]), planned)]);
    else if (planned) rows.push(["worker", `${planned} (planned)`]);
    if (live.attempt[i] > 1) rows.push(["try", String(live.attempt[i])]);
    for (const [what, value] of Object.entries(this.detail?.resources ?? {})) rows.push([what, String(value)]);
    if (live.size[i] > 0) rows.push(["output", bytes(live.size[i])]);
    if (this.detail?.where) rows.push(["defined in", this.detail.where]);
    if (this.detail?.note) rows.push(["note", this.detail.note]);
    return make("dl", {}, ...rows.flatMap(([what, value]) => [make("dt", {}, what), make("dd", {}, value)]));
  }

  private times(state: DagState): HTMLElement[] {
    const { plan, live } = state;
    const i = this.task;
    const told = plan?.has_seconds ?? false;
    const rows: [string, number, number][] = [
      ["start", plan?.start[i] ?? Number.NaN, live.start[i]],
      ["wait", waited(state, i, "plan"), waited(state, i, "live")],
      ["download", plan?.fetch[i] ?? Number.NaN, live.fetch[i]],
      ["execute", work(plan?.start[i], plan?.end[i], plan?.fetch[i]), work(live.start[i], live.end[i], live.fetch[i])],
      ["upload", Number.NaN, live.upload[i]],
      ["end", plan?.end[i] ?? Number.NaN, live.end[i]],
    ];
    const ran = !Number.isNaN(live.start[i]);
    if (!ran && !plan) return [];
    const unit = (value: number): string => (!Number.isNaN(value) ? String(Number(value.toPrecision(3))) : "–");
    const cells = rows.map(([what, planned, actual]) => {
      const before = told ? seconds(planned) : unit(planned);
      return make("tr", {}, make("td", {}, what), make("td", {}, before), make("td", {}, ran ? seconds(actual) : "–"));
    });
    const head = make(
      "tr",
      {},
      make("th", {}, ""),
      make("th", {}, told ? "planned" : "planned (units)"),
      make("th", {}, "actual"),
    );
    return [make("h4", {}, "Times"), make("table", {}, head, ...cells)];
  }

  private links(state: DagState): HTMLElement[] {
    const { graph } = state;
    const i = this.task;
    const needs = Array.from(graph.inEdges.subarray(graph.inStart[i], graph.inStart[i + 1]), (e) => graph.src[e]);
    const feeds = Array.from(graph.outEdges.subarray(graph.outStart[i], graph.outStart[i + 1]), (e) => graph.dst[e]);
    return [...this.list("Needs", needs, graph.keys), ...this.list("Needed by", feeds, graph.keys)];
  }

  private list(title: string, tasks: number[], keys: string[]): HTMLElement[] {
    if (!tasks.length) return [];
    const buttons: (Node | string)[] = tasks
      .slice(0, LISTED)
      .map((i) => make("button", { type: "button", onclick: () => this.events.select(i) }, keys[i]));
    if (tasks.length > LISTED)
      buttons.push(`and ${plural(tasks.length - LISTED, "more task")}`.replace(/tasks?$/, "").trim());
    return [make("h4", {}, title), make("div", { class: "dagnb-links" }, ...buttons)];
  }

  /** What went wrong, or what was printed. */
  private texts(wrong: boolean): HTMLElement[] {
    const { detail } = this;
    if (!detail) return [];
    const parts: [string, string | undefined][] = wrong
      ? [
          [detail.traceback ? "Traceback" : "Error", detail.traceback || detail.error],
          ["Earlier tries", detail.tries],
        ]
      : [
          ["Output", detail.stdout],
          ["Error output", detail.stderr],
        ];
    return parts.flatMap(([title, text]) =>
      text ? [make("h4", {}, title), make("pre", { class: wrong ? "dagnb-bad" : "", tabindex: 0 }, text)] : [],
    );
  }
}

function workerText(actual: string, planned: string | null): string {
  return planned && planned !== actual ? `${actual} (planned ${planned})` : actual;
}

const work = (start = Number.NaN, end = Number.NaN, fetch = 0): number => end - start - fetch;

/** Seconds between the end of the last dependency and the start. */
function waited({ graph, plan, live }: DagState, i: number, which: "plan" | "live"): number {
  const times = which === "plan" ? plan : live;
  if (!times) return Number.NaN;
  let ready = 0;
  for (let q = graph.inStart[i]; q < graph.inStart[i + 1]; q++) {
    const end = times.end[graph.src[graph.inEdges[q]]];
    if (Number.isNaN(end)) return Number.NaN;
    ready = Math.max(ready, end);
  }
  return Math.max(0, times.start[i] - ready);
}
