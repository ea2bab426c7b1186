/** Header line, buttons, view switch, search, progress; and below the picture the chips of states with their counts. */

import { make } from "./dom";
import { count, plural, seconds } from "./format";
import { comparable } from "./gantt-rows";
import { glyphElement } from "./glyphs";
import { settled } from "./state";
import type { Theme } from "./theme";
import {
  BEGUN,
  COPIED,
  type DagState,
  FAILED,
  GIVEN_UP,
  type Header,
  type Mode,
  PRELOADED,
  RETRIED,
  STATES,
  type Summary,
} from "./types";

export interface ToolbarEvents {
  mode(mode: Mode): void;
  act(name: "run" | "cancel"): void;
  fit(): void;
  zoom(factor: number): void;
  search(query: string): void;
  next(step: 1 | -1): void;
  leave(): void;
}

/** What the run button says: `▶ Run`, and of which of several plans. */
function runText(header: Header, mode: Mode): string {
  if (mode !== "compare" && !header.what_if) return "▶ Run";
  return `▶ Run ${header.planner} on ${header.workers}`;
}

const MODES: [Mode, string][] = [
  ["graph", "Graph"],
  ["plan", "Plan"],
  ["compare", "Compare"],
];
/** Left to right in progress bar and chips. */
const ORDER = [3, 7, 2, 4, 5, 6, 1, 0];

/** `10 tasks · forecast 41 s on 8 workers · best possible 34 s`. */
export function headline(header: Header): string {
  const parts = [plural(header.tasks, "task")];
  const on = header.workers ? ` on ${plural(header.workers, "worker")}` : "";
  if (header.forecast !== null && header.has_seconds) {
    const sure = header.declared ? " (declared)" : spread(header.interval);
    parts.push(`forecast ${seconds(header.forecast)}${sure}${on}`);
    if (header.lower_bound !== null) parts.push(`best possible ${seconds(header.lower_bound)}`);
  } else {
    parts.push(`no forecast yet${on}`);
  }
  return parts.join(" · ");
}

/** ` (36–52)`, in the unit of the larger end. */
function spread(interval: Header["interval"]): string {
  if (!interval) return "";
  const [low, high] = interval.map(seconds);
  const [[from, unit, ...more], [to, other, ...rest]] = [low.split(" "), high.split(" ")];
  return unit === other && !more.length && !rest.length ? ` (${from}–${to})` : ` (${low} – ${high})`;
}

/** `running: 3 of 10`, `done in 41 s`, or nothing before a run. */
export function outcome(state: DagState | null, summary: Summary): string {
  return state?.run ? outcomeOf(state, summary) : savedOutcome(summary);
}

function outcomeOf(state: DagState, summary: Summary): string {
  const { counts, runState } = state;
  const total = counts.reduce((a, b) => a + b, 0);
  if (runState === "running") return `running: ${count(settled(counts))} of ${count(total)}`;
  const span = summary.makespan ?? state.t;
  if (runState === "done") return `done in ${seconds(span)}`;
  if (runState === "failed") return `${count(counts[4])} failed after ${seconds(span)}`;
  return runState === "cancelled" ? `cancelled after ${seconds(span)}` : "";
}

function savedOutcome(summary: Summary): string {
  if (!summary.state || summary.makespan === undefined) return "";
  const failed = summary.counts?.failed;
  if (summary.state === "failed") return `${count(failed ?? 0)} failed after ${seconds(summary.makespan)}`;
  return `${summary.state} ${summary.state === "done" ? "in" : "after"} ${seconds(summary.makespan)}`;
}

export class Toolbar {
  readonly head: HTMLElement;
  readonly foot: HTMLElement;
  readonly progress = make("div", { class: "dagnb-progress", hidden: true });
  readonly input: HTMLInputElement;
  private readonly title = make("div", { class: "dagnb-title" });
  private readonly outcome = make("div", { class: "dagnb-outcome" });
  private readonly run: HTMLButtonElement;
  private readonly cancel: HTMLButtonElement;
  private readonly tabs: HTMLButtonElement[];
  private readonly chips = make("div", { style: "display:contents" });
  private readonly said = make("span", { class: "dagnb-said", role: "status" });
  private drawn = "";
  private busy: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly events: ToolbarEvents) {
    const button = (text: string, label: string, click: () => void, cls = ""): HTMLButtonElement =>
      make("button", { type: "button", title: label, "aria-label": label, class: cls, onclick: click }, text);
    this.run = button("▶ Run", "Run", () => this.act("run"), "dagnb-run");
    this.cancel = button("■ Stop", "Cancel the run", () => this.act("cancel"));
    this.tabs = MODES.map(([mode, text]) =>
      make("button", { type: "button", role: "tab", onclick: () => events.mode(mode) }, text),
    );
    this.input = make("input", {
      type: "search",
      placeholder: "Search  /",
      "aria-label": "Search tasks",
      spellcheck: "false",
    });
    this.input.dataset.lmSuppressShortcuts = "true";
    this.input.title = "Name, or status:failed, worker:w0, kind:fit";
    this.input.addEventListener("input", () => events.search(this.input.value));
    this.input.addEventListener("keydown", (e) => this.key(e));
    const tools = make(
      "div",
      { class: "dagnb-tools" },
      this.run,
      this.cancel,
      make("div", { class: "dagnb-switch", role: "tablist", "aria-label": "View" }, ...this.tabs),
      button("⤢", "Zoom to fit (0)", () => events.fit()),
      this.input,
    );
    this.head = make("div", { class: "dagnb-head" }, this.title, this.outcome, tools);
    this.foot = make("div", { class: "dagnb-foot" }, this.chips, this.said);
  }

  private key(e: KeyboardEvent): void {
    if (e.key === "Enter") this.events.next(e.shiftKey ? -1 : 1);
    else if (e.key === "Escape") this.events.leave();
    e.stopPropagation();
  }

  private act(name: "run" | "cancel"): void {
    this.events.act(name);
    clearTimeout(this.busy);
    // An older ipykernel hears us only after the cell; say so rather than look dead.
    this.busy = setTimeout(() => this.say("The kernel is busy. Its ■ button interrupts the cell.", false), 1500);
  }

  say(text: string, ok: boolean): void {
    clearTimeout(this.busy);
    this.said.textContent = text;
    this.said.classList.toggle("dagnb-bad", !ok);
  }

  update(header: Header, mode: Mode, state: DagState | null, summary: Summary, theme: Theme, comparing = false): void {
    const live = state?.runState === "running";
    const can = (name: string): boolean => state !== null && header.actions.includes(name);
    const maybe = header.what_if ? [make("em", {}, "what if")] : [];
    this.title.replaceChildren(make("b", {}, header.name), ...maybe, make("span", {}, ` · ${headline(header)}`));
    this.outcome.textContent = outcome(state, summary);
    this.title.title = this.title.textContent ?? "";
    this.run.hidden = live || !can("run");
    this.run.textContent = runText(header, mode);
    this.cancel.hidden = !live || !can("cancel");
    this.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(MODES[i][0] === mode));
      tab.hidden = MODES[i][0] === "compare" && !comparing;
    });
    if (state) this.counts(state, theme, mode);
  }

  private counts(state: DagState, theme: Theme, mode: Mode): void {
    const beside = `${state.live.asides.length}/${state.plan?.planner}/${state.plan?.asides.length}`;
    const shown = `${state.counts.join()}/${state.run}/${theme.page}/${mode}/${this.input.value}/${beside}`;
    if (shown === this.drawn) return;
    this.drawn = shown;
    const total = Math.max(1, state.graph.tasks);
    this.progress.hidden = !state.run;
    const parts = ORDER.filter((s) => state.counts[s] && !theme.tones[s].hollow);
    while (this.progress.children.length < parts.length) this.progress.append(make("i"));
    [...this.progress.children].forEach((bar, i) => {
      const s = parts[i];
      const style = (bar as HTMLElement).style;
      style.width = s === undefined ? "0" : `${(100 * state.counts[s]) / total}%`;
      if (s !== undefined) style.background = theme.tones[s].strong;
    });
    this.renderChips(state, theme, mode);
  }

  private renderChips(state: DagState, theme: Theme, mode: Mode): void {
    const now = this.input.value.trim();
    const chips = (state.run ? ORDER : []).filter((s) => state.counts[s]);
    this.chips.replaceChildren(
      ...chips.map((s) => {
        const query = `status:${STATES[s]}`;
        const click = (): void => {
          this.input.value = this.input.value.trim() === query ? "" : query;
          this.events.search(this.input.value);
          this.counts(state, theme, mode);
        };
        return make(
          "button",
          { type: "button", class: "dagnb-chip", "aria-pressed": String(now === query), onclick: click },
          glyphElement(theme, s),
          `${count(state.counts[s])} ${STATES[s]}`,
        );
      }),
    );
    if (!state.run) this.chips.append(planText(state));
    if (mode === "plan") this.chips.append(...legend(state, theme), ...besideLegend(state, theme));
    if (mode === "compare") this.chips.append(...marks(theme));
  }
}

/** Before a run the foot tells what the plan is. */
function planText({ plan }: DagState): string {
  if (!plan) return "no plan yet";
  return `planned by ${plan.planner}${plan.has_seconds ? "" : ", in task units"}`;
}

/** What colours and lines of the Gantt mean. */
function legend(state: DagState, theme: Theme): HTMLElement[] {
  const { plan } = state;
  if (!plan || !comparable(state)) return [];
  const { graph } = state;
  const kinds = graph.kinds.slice(0, theme.kinds.length).map((kind, i) => {
    const swatch = make("i", { class: "dagnb-swatch" });
    swatch.style.background = theme.kinds[i];
    return make("span", { class: "dagnb-key" }, swatch, kind);
  });
  const best = plan.lower_bound === null ? [] : [rule("dotted", theme.tones[3].strong, "best possible")];
  return [...kinds, ...best, rule("dashed", theme.quiet, "planned end")];
}

function rule(style: string, colour: string, text: string): HTMLElement {
  const swatch = make("i", { class: "dagnb-rule" });
  swatch.style.borderLeft = `2px ${style} ${colour}`;
  return make("span", { class: "dagnb-key" }, swatch, text);
}

/** Lines of the small Gantts. */
function marks(theme: Theme): HTMLElement[] {
  return [rule("solid", theme.text, "planned end"), rule("dotted", theme.tones[3].strong, "best possible")];
}

/** What happens beside the tasks, where any of it does. */
function besideLegend({ plan, live }: DagState, theme: Theme): HTMLElement[] {
  const kinds = new Set([...live.asides, ...(plan?.asides ?? [])].map((aside) => aside.kind));
  const looks: [kind: number, text: string, look: string][] = [
    [COPIED, "copy that came second", `repeating-linear-gradient(135deg,${theme.quiet} 0 1px,transparent 1px 4px)`],
    [
      RETRIED,
      "failed, tried again",
      `repeating-linear-gradient(135deg,${theme.tones[FAILED].strong} 0 1px,transparent 1px 4px)`,
    ],
    [PRELOADED, "fetched ahead", `linear-gradient(${theme.accent},${theme.accent}) center/100% 2px no-repeat`],
    [BEGUN, "worker starting", `linear-gradient(${theme.edge},${theme.edge}) center/100% 5px no-repeat`],
    [
      GIVEN_UP,
      "worker given up",
      `linear-gradient(45deg,transparent 45%,${theme.tones[FAILED].strong} 45% 55%,transparent 55%)`,
    ],
  ];
  return looks.flatMap(([kind, text, look]) => {
    if (!kinds.has(kind)) return [];
    const swatch = make("i", { class: "dagnb-swatch" });
    swatch.style.background = look;
    if (kind === RETRIED) swatch.style.outline = `1px solid ${theme.tones[FAILED].strong}`;
    if (kind === COPIED) swatch.style.outline = `1px solid ${theme.quiet}`;
    return [make("span", { class: "dagnb-key" }, swatch, text)];
  });
}
