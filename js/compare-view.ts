/** Plans side by side: a table that sorts, a small Gantt in every row on one axis of time. A click makes a row the plan. */

import { COLUMNS, type Column, type Comparing, columnsFor, type SmallGantt, sorted } from "./compare-rows";
import { make } from "./dom";
import { digits, plural, seconds } from "./format";
import { ticks } from "./scales";
import { FONT, type Theme } from "./theme";
import type { CompareRow } from "./types";

/** Least height of a small Gantt, and pixels for each lane beyond. */
const LEAST = 22;
const LANE = 4;
const MOST = 46;
/** Narrower tables have no Gantts beside the figures. */
const ROOM = 130;

export interface CompareEvents {
  pick(row: number): void;
}

export class CompareView {
  readonly element = make("div", { class: "dagnb-compare", hidden: true });
  private data: Comparing | null = null;
  private chosen = -1;
  private by: Column | undefined;
  private descending = false;
  private drawn: [canvas: HTMLCanvasElement, row: number][] = [];
  private axis: HTMLCanvasElement | null = null;
  private width = 0;
  private readonly observer: ResizeObserver;

  constructor(
    private theme: Theme,
    private readonly events: CompareEvents,
  ) {
    this.element.dataset.lmSuppressShortcuts = "true";
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
  }

  get id(): number {
    return this.data?.id ?? 0;
  }

  /** Height at which all rows are seen. */
  wish(): number {
    return 34 + (this.data?.gantts ?? []).reduce((sum, gantt) => sum + heightOf(gantt) + 9, 0);
  }

  take(data: Comparing): void {
    this.data = data;
    this.by = undefined;
    this.render();
  }

  /** The best row in sight; `scrollIntoView` would move the notebook, too. */
  sight(): void {
    const best = this.element.querySelector<HTMLElement>(".dagnb-best");
    if (!best) return;
    const below = best.offsetTop + best.offsetHeight - this.element.clientHeight;
    if (below > 0) this.element.scrollTop = below;
  }

  choose(row: number): void {
    if (row === this.chosen) return;
    this.chosen = row;
    this.mark();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    if (this.data) this.render(); // what has not been seen needs no other colours
  }

  show(shown: boolean): void {
    if (this.element.hidden === !shown) return;
    this.element.hidden = !shown;
    if (shown) this.resize();
  }

  destroy(): void {
    this.observer.disconnect();
  }

  private resize(): void {
    const width = this.element.clientWidth;
    if (!width || this.element.hidden) return;
    const columns = (at: number): string => columnsFor(this.data?.rows ?? [], at).join("/");
    if (!this.width || columns(width) !== columns(this.width)) this.render();
    else this.paint();
  }

  private render(): void {
    const { data } = this;
    this.width = this.element.clientWidth;
    this.drawn = [];
    if (!data) {
      this.element.replaceChildren(make("div", { class: "dagnb-note" }, "Waiting for the plans …"));
      return;
    }
    const columns = columnsFor(data.rows, this.width || 1000);
    this.axis = make("canvas", { class: "dagnb-axis", "aria-hidden": "true" });
    const heads = columns.map((column) => this.head(column));
    const gantt = make("th", { class: "dagnb-wide" }, this.axis);
    const rows = sorted(data.rows, this.by, this.descending).map((row) => this.row(row, columns, data));
    const table = make(
      "table",
      { role: "grid", "aria-label": `${plural(data.rows.length, "plan")} compared` },
      make("thead", {}, make("tr", {}, make("th"), ...heads, gantt)),
      make("tbody", {}, ...rows),
    );
    const top = this.element.scrollTop;
    this.element.replaceChildren(table);
    this.element.scrollTop = top;
    this.mark();
    this.paint();
  }

  private head(column: Column): HTMLElement {
    const mine = this.by === column;
    const way = mine ? (this.descending ? "descending" : "ascending") : "none";
    const arrow = mine ? (this.descending ? " ↓" : " ↑") : "";
    const click = (): void => {
      this.descending = mine && !this.descending;
      this.by = mine && way === "descending" ? undefined : column;
      this.render();
    };
    const button = make("button", { type: "button", title: column.title, onclick: click }, column.head + arrow);
    return make("th", { "aria-sort": way, scope: "col", class: column === COLUMNS[0] ? "dagnb-word" : "" }, button);
  }

  private row(place: number, columns: Column[], data: Comparing): HTMLElement {
    const row = data.rows[place];
    const best = place === data.best;
    const star = make("td", { class: "dagnb-star" }, best ? "★" : "");
    if (best) star.title = "the best";
    const element = make("tr", { tabindex: 0, class: best ? "dagnb-best" : "" }, star);
    element.dataset.row = String(place);
    if (row.makespan === null) {
      element.classList.add("dagnb-failed");
      element.append(...columns.slice(0, 2).map((column) => this.cell(row, column, data)));
      element.append(make("td", { colspan: columns.length - 1 }, `failed: ${row.error}`));
      return element;
    }
    const canvas = make("canvas", { "aria-hidden": "true" });
    canvas.style.height = `${heightOf(data.gantts[place])}px`;
    this.drawn.push([canvas, place]);
    element.append(
      ...columns.map((column) => this.cell(row, column, data)),
      make("td", { class: "dagnb-wide" }, canvas),
    );
    element.title = tip(row);
    element.addEventListener("click", () => this.events.pick(place));
    element.addEventListener("keydown", (e) => this.key(e, place));
    return element;
  }

  private cell(row: CompareRow, column: Column, data: Comparing): HTMLElement {
    const cell = make("td", { class: column === COLUMNS[0] ? "dagnb-word" : "" }, column.text(row));
    if (column.key === "makespan" && row.makespan !== null) {
      const bar = make("i", { class: "dagnb-bar" });
      bar.style.width = `${(100 * row.makespan) / data.span}%`;
      cell.append(bar);
    }
    return cell;
  }

  private key(e: KeyboardEvent, place: number): void {
    const element = e.currentTarget as HTMLElement;
    if (e.key === "Enter" || e.key === " ") this.events.pick(place);
    else if (e.key === "ArrowDown") (element.nextElementSibling as HTMLElement | null)?.focus();
    else if (e.key === "ArrowUp") (element.previousElementSibling as HTMLElement | null)?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  private mark(): void {
    for (const row of this.element.querySelectorAll("tbody tr")) {
      const mine = Number((row as HTMLElement).dataset.row) === this.chosen;
      row.setAttribute("aria-selected", String(mine));
    }
  }

  private paint(): void {
    const { data, theme } = this;
    if (!data) return;
    for (const [canvas, place] of this.drawn) {
      const ctx = context(canvas);
      if (ctx) paintRow(ctx, data.rows[place], data.gantts[place], data.span, theme, canvas);
    }
    const ctx = this.axis && context(this.axis);
    if (ctx && this.axis) paintAxis(ctx, data, theme, this.axis);
  }
}

const heightOf = (gantt: SmallGantt): number => Math.min(MOST, Math.max(LEAST, gantt.lanes * LANE));

/** Pixels from the left at which a moment is drawn; a margin is left for what stands at the end. */
const scaleOf = (canvas: HTMLCanvasElement, span: number): number => (canvas.clientWidth - 10) / span;

function tip(row: CompareRow): string {
  const say = (value: number): string => (row.has_seconds ? seconds(value) : digits(value));
  const lines = [`${row.planner} on ${plural(row.workers, "worker")}: ${say(row.makespan ?? 0)}`];
  if (row.interval) lines.push(`to be expected between ${say(row.interval[0])} and ${say(row.interval[1])}`);
  if (row.lower_bound !== null) lines.push(`no plan can end before ${say(row.lower_bound)}`);
  return lines.join("\n");
}

/** A canvas at the resolution of the screen, cleared; null while it has no size. */
function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width < ROOM || !height) return null;
  const dpr = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * dpr);
  canvas.height = Math.round(height * dpr);
  const ctx = canvas.getContext("2d");
  ctx?.setTransform(dpr, 0, 0, dpr, 0, 0);
  return ctx;
}

function paintRow(
  ctx: CanvasRenderingContext2D,
  row: CompareRow,
  gantt: SmallGantt,
  span: number,
  theme: Theme,
  canvas: HTMLCanvasElement,
): void {
  const scale = scaleOf(canvas, span);
  const height = canvas.clientHeight;
  const lane = height / Math.max(1, gantt.lanes);
  const gap = Math.min(1, lane / 6);
  for (let i = 0; i < gantt.lane.length; i++) {
    const x = gantt.start[i] * scale;
    const w = (gantt.end[i] - gantt.start[i]) * scale;
    const h = (lane - gap) * gantt.height[i];
    ctx.fillStyle = theme.kinds[gantt.kind[i] % theme.kinds.length];
    ctx.fillRect(x, (gantt.lane[i] + 1) * lane - gap - h, Math.max(0.6, w > 3 ? w - 0.6 : w), h);
  }
  const rule = (time: number, colour: string, dash: number[]): void => {
    const x = Math.round(time * scale) + 0.5;
    ctx.setLineDash(dash);
    stroke(ctx, colour, 1.25, [x, 0, x, height]);
    ctx.setLineDash([]);
  };
  if (row.makespan) rule(row.makespan, theme.text, []);
  if (row.lower_bound) rule(row.lower_bound, theme.tones[3].strong, [2, 2]);
  if (row.interval) {
    const [low, high] = row.interval.map((time) => time * scale);
    const y = height / 2;
    stroke(ctx, theme.page, 4, [low, y, high, y]);
    stroke(ctx, theme.text, 1.5, [low, y, high, y]);
    for (const x of [low, high]) stroke(ctx, theme.text, 1.5, [x, y - 4, x, y + 4]);
  }
}

function paintAxis(ctx: CanvasRenderingContext2D, data: Comparing, theme: Theme, canvas: HTMLCanvasElement): void {
  const scale = scaleOf(canvas, data.span);
  const units = data.rows.some((row) => row.makespan !== null && !row.has_seconds);
  ctx.font = `11px ${FONT}`;
  ctx.textBaseline = "middle";
  ctx.fillStyle = theme.quiet;
  for (const at of ticks(0, data.span, canvas.clientWidth)) {
    const text = units ? String(Number(at.toPrecision(6))) : seconds(at);
    const x = at * scale;
    ctx.textAlign = at ? "center" : "left";
    if (x + ctx.measureText(text).width / 2 < canvas.clientWidth) ctx.fillText(text, x, canvas.clientHeight / 2);
  }
}

function stroke(ctx: CanvasRenderingContext2D, colour: string, width: number, [x0, y0, x1, y1]: number[]): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}
