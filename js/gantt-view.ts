/** The Gantt: a lane per worker, planned bars, and once it runs the actual ones over the ghosts of the plan. */

import { paintBars, paintFrame } from "./gantt-paint";
import { comparable, type Lanes, lanesOf, spanOf } from "./gantt-rows";
import { clamp, type Size } from "./scales";
import type { DagState } from "./types";
import type { Direction, Frame, Hit, View } from "./view";

export const AXIS = 26;
const LEAST_LANE = 16;
const MOST_LANE = 40;

/** Where things lie: lanes from `top`, time from `left`; x = left + (time − from) · scale. */
export interface Area {
  left: number;
  top: number;
  lane: number;
  scale: number;
  from: number;
  scroll: number;
  size: Size;
}

export class GanttView implements View {
  private lanes: Lanes | null = null;
  private seen: DagState | null = null;
  private size: Size = { width: 0, height: 0 };
  /** Times at the left edge and seconds across, or null while the whole span is shown. */
  private window: { from: number; span: number } | null = null;
  private scroll = 0;
  private span = 1;
  private left = 56;

  wish(): number {
    return AXIS + (this.lanes?.names.length ?? 4) * 34 + 12;
  }

  draw(ctx: CanvasRenderingContext2D, frame: Frame): boolean {
    this.take(frame.state);
    this.size = { ...frame.size, width: frame.size.width - frame.covered };
    this.span = spanOf(frame.state, frame.t - frame.state.t + frame.state.received);
    const lanes = this.lanes as Lanes;
    this.left = paintFrame(ctx, frame, lanes, this.area());
    paintBars(ctx, frame, lanes, this.area());
    return frame.state.runState === "running";
  }

  take(state: DagState): void {
    if (this.seen === state) return;
    const other = this.seen?.graph !== state.graph || this.seen?.run !== state.run;
    if (other) this.window = null;
    this.seen = state;
    this.lanes = lanesOf(state);
  }

  private area(): Area {
    const { size, left } = this;
    const rows = Math.max(1, this.lanes?.names.length ?? 1);
    const lane = clamp((size.height - AXIS - 6) / rows, LEAST_LANE, MOST_LANE);
    this.scroll = clamp(this.scroll, 0, Math.max(0, rows * lane - (size.height - AXIS - 6)));
    const room = Math.max(1, size.width - left - 14);
    const { from, span } = this.window ?? { from: 0, span: this.span * 1.02 };
    return { left, top: AXIS, lane, scale: room / span, from, scroll: this.scroll, size };
  }

  hit(x: number, y: number): Hit {
    const { lanes, seen } = this;
    const area = this.area();
    if (!lanes || !seen || y < area.top || x < area.left) return null;
    const lane = Math.floor((y - area.top + area.scroll) / area.lane);
    const time = area.from + (x - area.left) / area.scale;
    const slack = 2 / area.scale;
    const actual = this.at(lanes.actual, seen.live.worker, seen.live.start, seen.live.end, lane, time, slack);
    if (actual >= 0) return { task: actual };
    const { plan } = seen;
    if (!plan || !comparable(seen)) return null;
    const planned = this.at(lanes.planned, plan.worker, plan.start, plan.end, lane, time, slack);
    return planned >= 0 ? { task: planned } : null;
  }

  private at(
    tasks: Int32Array,
    worker: Uint16Array,
    start: Float64Array,
    end: Float64Array,
    lane: number,
    time: number,
    slack: number,
  ): number {
    let best = -1;
    for (const i of tasks) {
      if (this.lanes?.of[worker[i]] !== lane || start[i] > time + slack) continue;
      const until = !Number.isNaN(end[i]) ? end[i] : Number.POSITIVE_INFINITY;
      if (until < time - slack) continue;
      if (start[i] <= time && time <= until) return i;
      best = i;
    }
    return best;
  }

  pan(dx: number, dy: number): void {
    this.scroll -= dy;
    if (!this.window) return;
    const area = this.area();
    const most = this.span * 1.02 - this.window.span;
    this.window = { ...this.window, from: clamp(this.window.from - dx / area.scale, 0, Math.max(0, most)) };
  }

  zoom(factor: number, x: number): void {
    const area = this.area();
    const whole = this.span * 1.02;
    const now = this.window ?? { from: 0, span: whole };
    const span = clamp(now.span / factor, whole / 5000, whole);
    if (span >= whole * 0.999) {
      this.window = null;
      return;
    }
    const time = area.from + (Math.max(x, area.left) - area.left) / area.scale;
    const from = time - ((time - now.from) * span) / now.span;
    this.window = { from: clamp(from, 0, whole - span), span };
  }

  fit(): void {
    this.window = null;
    this.scroll = 0;
  }

  open(): void {
    // Bars have no groups.
  }

  reveal(task: number): void {
    const { seen, lanes } = this;
    if (!seen || !lanes) return;
    const [start, end, worker] = this.bar(task);
    if (Number.isNaN(start)) return;
    const area = this.area();
    if (this.window && (start > this.window.from + this.window.span || end < this.window.from)) {
      const from = (start + (!Number.isNaN(end) ? end : start)) / 2 - this.window.span / 2;
      this.window = { ...this.window, from: clamp(from, 0, this.span * 1.02 - this.window.span) };
    }
    const y = lanes.of[worker] * area.lane - area.scroll;
    const room = area.size.height - AXIS;
    if (y < 0 || y + area.lane > room) this.scroll = lanes.of[worker] * area.lane - room / 2;
  }

  /** Start, end and worker of the bar that stands for a task: the actual one where it ran. */
  private bar(task: number): [number, number, number] {
    const { live, plan } = this.seen as DagState;
    if (!Number.isNaN(live.start[task])) return [live.start[task], live.end[task], live.worker[task]];
    if (plan) return [plan.start[task], plan.end[task], plan.worker[task]];
    return [Number.NaN, Number.NaN, 0];
  }

  step(task: number, direction: Direction): number {
    const { lanes, seen } = this;
    if (!lanes || !seen) return -1;
    const order = lanes.actual.length ? lanes.actual : lanes.planned;
    if (task < 0) return order[0] ?? -1;
    const at = order.indexOf(task);
    const lane = lanes.of[this.bar(task)[2]];
    if (direction === "left" || direction === "right") {
      const next = order[at + (direction === "left" ? -1 : 1)] ?? -1;
      return at >= 0 && next >= 0 && lanes.of[this.bar(next)[2]] === lane ? next : -1;
    }
    return this.across(order, task, lane, direction === "up" ? -1 : 1);
  }

  /** The bar nearest in time on the next lane that has any. */
  private across(order: Int32Array, task: number, from: number, sign: number): number {
    const time = this.bar(task)[0];
    const { names, of } = this.lanes as Lanes;
    for (let lane = from + sign; lane >= 0 && lane < names.length; lane += sign) {
      let best = -1;
      for (const i of order) {
        if (of[this.bar(i)[2]] !== lane) continue;
        if (best < 0 || Math.abs(this.bar(i)[0] - time) < Math.abs(this.bar(best)[0] - time)) best = i;
      }
      if (best >= 0) return best;
    }
    return -1;
  }
}
