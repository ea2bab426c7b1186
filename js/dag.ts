/** The one widget of dagnb: graph and plan on one canvas, live. Same stem as dagnb/widgets/dag.py. */

import type { AnyModel } from "@anywidget/types";
import { comparing } from "./compare-rows";
import { CompareView } from "./compare-view";
import { type Channel, Connection, type Listener } from "./connection";
import { DetailsPanel } from "./details-panel";
import { make } from "./dom";
import { count, plural } from "./format";
import { GanttView } from "./gantt-view";
import { GraphView } from "./graph-view";
import { Scene } from "./scene";
import { nextMatch, search } from "./search";
import { hideStill } from "./still";
import { CSS } from "./style";
import { setColours, type Theme, themeOf, watchTheme } from "./theme";
import { tipText } from "./tip";
import { Toolbar } from "./toolbar";
import { type CompareMessage, type DagState, type Detail, type Graph, type Mode, STATES, type Traits } from "./types";
import type { Hit, View } from "./view";
import { WhatIf } from "./what-if";

type Model = AnyModel<Traits>;

/** Traits that the picture follows. */
const FOLLOWED = ["header", "summary", "mode", "compared"] as const;

/** Heights of the picture, in pixels. */
const LEAST = 190;
const MOST = 540;

class DagView implements Listener {
  private readonly root = make("div", { class: "dagnb", role: "group" });
  private readonly stage = make("div", { class: "dagnb-stage" });
  private readonly note = make("div", { class: "dagnb-note" }, "");
  private readonly tip = make("div", { class: "dagnb-tip", hidden: true, role: "tooltip" });
  private readonly aloud = make("div", { class: "dagnb-unseen", "aria-live": "polite" });
  private readonly toolbar: Toolbar;
  private readonly panel: DetailsPanel;
  private readonly scene: Scene;
  private readonly plans: CompareView;
  private readonly knobs: WhatIf;
  private readonly cleaning: (() => void)[] = [];
  private theme: Theme;
  private state_: DagState | null = null;
  private graphView: GraphView | null = null;
  private readonly ganttView = new GanttView();
  private drawnGraph: Graph | null = null;
  private query = "";
  private asked = "";
  private stood = `${LEAST}px`;
  private askedPlans = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly model: Model,
    private readonly connection: Connection,
    host: HTMLElement,
  ) {
    host.append(make("style", {}, CSS), this.root);
    this.theme = themeOf(host);
    this.toolbar = new Toolbar({
      mode: (mode) => this.setMode(mode),
      act: (name) => this.act(name),
      fit: () => this.scene.fit(),
      zoom: (factor) => this.scene.zoom(factor),
      search: (query) => this.search(query),
      next: (step) => this.nextMatch(step),
      leave: () => this.clearSearch(),
    });
    this.panel = new DetailsPanel(this.theme, { close: () => this.close(), select: (task) => this.choose(task) });
    this.plans = new CompareView(this.theme, { pick: (row) => this.connection.pick(row) });
    this.knobs = new WhatIf({
      ask: (id, knobs) => this.connection.whatIf(id, knobs),
      say: (text, ok) => this.toolbar.say(text, ok),
    });
    this.stage.style.height = this.stood;
    this.stage.append(this.plans.element, this.note, this.panel.element, this.tip);
    const { head, progress, foot } = this.toolbar;
    // Above the picture, which grows with the workers: a slider must not move away from the hand.
    this.root.append(head, progress, this.knobs.element, this.stage, foot, this.aloud);
    this.scene = new Scene(this.stage, this.theme, {
      select: (task) => this.choose(task),
      walk: (task) => this.walk(task),
      hover: (hit, x, y) => this.hover(hit, x, y),
      enter: (task) => this.choose(Math.max(0, task)),
      escape: () => this.close(),
      find: () => this.toolbar.input.focus(),
    });
    this.stage.prepend(this.scene.canvas);
    this.begin();
  }

  private begin(): void {
    setColours(this.root, this.theme);
    this.note.textContent = "Waiting for the kernel …";
    const late = setTimeout(() => {
      if (!this.state_) this.note.textContent = "No answer from the kernel. Run the cell again to see the graph.";
    }, 8000);
    const changed = (): void => this.refresh();
    const chosen = (): void => this.select(this.model.get("selection"), false);
    for (const name of FOLLOWED) this.model.on(`change:${name}`, changed);
    this.model.on("change:selection", chosen);
    const leave = this.connection.subscribe(this);
    this.cleaning.push(
      watchTheme(() => this.retheme()),
      () => clearTimeout(late),
      leave,
      () => {
        for (const name of FOLLOWED) this.model.off(`change:${name}`, changed);
        this.model.off("change:selection", chosen);
      },
    );
    this.refresh();
  }

  destroy(): void {
    for (const clean of this.cleaning) clean();
    this.scene.destroy();
    this.plans.destroy();
  }

  // --- what the kernel says ---

  state(state: DagState): void {
    const first = this.state_ === null;
    const lanes = this.state_?.workers.length;
    this.state_ = state;
    this.scene.state = state;
    if (this.drawnGraph !== state.graph) this.adopt(state);
    else if (lanes !== state.workers.length) {
      this.ganttView.take(state);
      this.stand();
    }
    if (first) this.cleaning.push(hideStill(this.model.get("widget_id")));
    if (this.query) this.scene.matches = search(this.query, state);
    if (this.panel.open) this.panel.update(state);
    this.askAgain();
    this.refresh();
  }

  detail(task: number, detail: Detail): void {
    this.panel.tell(task, detail);
  }

  said(_action: string, ok: boolean, text: string): void {
    this.toolbar.say(text, ok);
  }

  planned(id: number, ok: boolean, text: string): void {
    this.knobs.planned(id, ok, text);
  }

  compared(message: CompareMessage, buffers: DataView[]): void {
    if (message.id === this.plans.id) return;
    this.plans.take(comparing(message, buffers));
    this.stand();
    this.plans.sight();
  }

  /** A graph that was not drawn yet. */
  private adopt(state: DagState): void {
    this.drawnGraph = state.graph;
    this.graphView = new GraphView(state.graph);
    this.ganttView.take(state);
    this.stand();
    this.note.textContent = state.graph.tasks ? "" : "This DAG has no tasks yet.";
    const selection = this.model.get("selection");
    if (selection >= state.graph.tasks) this.select(-1, true);
    else this.scene.selection = selection;
  }

  /** The height that the view wishes, unless the reader has pulled at the corner. */
  private stand(): void {
    const { style } = this.stage;
    if (style.height !== this.stood) return;
    const mode = this.model.get("mode");
    const wish = (mode === "compare" ? this.plans.wish() : this.viewOf(mode)?.wish()) ?? LEAST;
    this.stood = `${Math.round(Math.max(LEAST, Math.min(MOST, wish)))}px`;
    style.height = this.stood;
  }

  // --- what is shown ---

  private refresh(): void {
    const mode = this.model.get("mode");
    const header = this.model.get("header");
    const { rows = 0, chosen = -1 } = this.model.get("compared") ?? {};
    this.scene.view = this.viewOf(mode);
    this.toolbar.update(header, mode, this.state_, this.model.get("summary"), this.theme, rows > 0);
    this.knobs.update(header, mode === "plan" && this.state_ !== null && this.state_.runState !== "running");
    this.plans.show(mode === "compare");
    this.plans.choose(chosen);
    this.askPlans();
    this.root.setAttribute("aria-label", `DAG ${header.name}`);
    this.scene.canvas.setAttribute("aria-label", this.describe());
    this.scene.invalidate();
  }

  /** Plans side by side are asked for when somebody looks; a word that was lost is said again. */
  private askPlans(): void {
    const { id = 0 } = this.model.get("compared") ?? {};
    if (this.model.get("mode") !== "compare" || this.plans.id === id || performance.now() - this.askedPlans < 2000)
      return;
    this.askedPlans = performance.now();
    this.connection.askCompare();
    setTimeout(() => this.askPlans(), 2100);
  }

  private act(name: string): void {
    if (name === "run" && this.model.get("mode") === "compare") this.setMode("plan");
    this.connection.act(name);
  }

  private viewOf(mode: Mode): View | null {
    return mode === "graph" ? this.graphView : this.ganttView;
  }

  /** The picture in words, for those who do not see it. */
  private describe(): string {
    const state = this.state_;
    if (!state) return "No picture yet";
    const counts = STATES.flatMap((name, s) => (state.counts[s] ? [`${count(state.counts[s])} ${name}`] : []));
    const what = this.model.get("mode") === "graph" ? "Graph" : "Gantt chart";
    const edges = `${count(state.graph.src.length)} dependencies`;
    return `${what} of ${state.graph.name}: ${plural(state.graph.tasks, "task")}, ${edges}; ${counts.join(", ")}. Arrow keys walk, Enter opens a task.`;
  }

  private retheme(): void {
    this.theme = themeOf(this.root.parentElement ?? this.root);
    setColours(this.root, this.theme);
    this.panel.setTheme(this.theme);
    this.plans.setTheme(this.theme);
    this.scene.setTheme(this.theme);
    this.refresh();
  }

  private setMode(mode: Mode): void {
    this.model.set("mode", mode);
    this.model.save_changes();
    this.refresh();
    this.stand();
    const { selection } = this.scene;
    if (selection >= 0) this.reveal(selection);
  }

  private hover(hit: Hit, x: number, y: number): void {
    const text = hit && this.state_ ? tipText(hit, this.state_) : "";
    this.tip.hidden = !text;
    if (!text) return;
    this.tip.textContent = text;
    const right = x > this.stage.clientWidth - 240;
    this.tip.style.left = right ? "" : `${x + 14}px`;
    this.tip.style.right = right ? `${this.stage.clientWidth - x + 10}px` : "";
    this.tip.style.top = `${Math.min(y + 14, this.stage.clientHeight - 48)}px`;
  }

  // --- selection and search ---

  /** Select and open the drawer; -1 closes both. */
  private choose(task: number): void {
    this.select(task, true);
    if (task < 0 || !this.state_) {
      this.panel.hide();
      this.scene.covered = 0;
      return;
    }
    this.panel.show(task, this.state_);
    this.scene.covered = this.panel.element.offsetWidth;
    this.askAgain();
    this.reveal(task);
    this.speak(task);
  }

  /** An arrow key moves the selection; the drawer follows when it is open. */
  private walk(task: number): void {
    if (this.panel.open) {
      this.choose(task);
      return;
    }
    this.select(task, true);
    this.reveal(task);
    this.speak(task);
  }

  private reveal(task: number): void {
    this.scene.touch(() => this.scene.view?.reveal(task, this.scene.covered));
  }

  private speak(task: number): void {
    if (!this.state_) return;
    const { live, graph } = this.state_;
    this.aloud.textContent = `${graph.keys[task]}, ${STATES[live.state[task]]}`;
  }

  private select(task: number, save: boolean): void {
    this.scene.selection = task;
    this.scene.invalidate();
    if (!save || this.model.get("selection") === task) return;
    this.model.set("selection", task);
    this.model.save_changes();
  }

  /** Texts of the open task are asked when it is opened and when its state has changed since. */
  private askAgain(): void {
    const task = this.panel.shows;
    if (task < 0 || !this.state_) return;
    const { live, run } = this.state_;
    const about = `${task}/${run}/${live.state[task]}/${live.attempt[task]}`;
    if (about === this.asked) return;
    this.asked = about;
    this.connection.askDetail(task);
  }

  private close(): void {
    this.asked = "";
    if (this.panel.open) this.panel.hide();
    else this.select(-1, true);
    this.scene.covered = 0;
    this.scene.invalidate();
    this.scene.canvas.focus({ preventScroll: true });
  }

  private search(query: string): void {
    this.query = query;
    this.scene.matches = this.state_ ? search(query, this.state_) : null;
    const found = this.scene.matches?.reduce((n, m) => n + m, 0) ?? 0;
    this.toolbar.say(this.scene.matches ? `${plural(found, "task")} found` : "", true);
    this.scene.invalidate();
  }

  private nextMatch(step: 1 | -1): void {
    const found = this.scene.matches;
    const next = found ? nextMatch(found, this.scene.selection, step) : -1;
    if (next >= 0) this.choose(next);
  }

  private clearSearch(): void {
    this.toolbar.input.value = "";
    this.search("");
    this.scene.canvas.focus({ preventScroll: true });
  }
}

/** anywidget calls this once per model: views of one model share a connection. */
export default () => {
  let connection: Connection | null = null;
  return {
    render({ model, el }: { model: Model; el: HTMLElement }): () => void {
      connection ??= new Connection(model as unknown as Channel);
      const view = new DagView(model, connection, el);
      // For tests and measurements: nothing else reads it.
      Object.defineProperty(el, "dagnb", { value: view, configurable: true });
      return () => view.destroy();
    },
  };
};
