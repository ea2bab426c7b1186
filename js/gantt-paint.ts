/** How the Gantt looks: axis and lanes, planned bars, actual bars with their shape of status. */

import { seconds, shorten } from "./format";
import { comparable, type Lanes } from "./gantt-rows";
import type { Area } from "./gantt-view";
import { drawGlyph } from "./glyphs";
import { PAINT_ORDER, Runs } from "./runs";
import { clamp, ticks } from "./scales";
import { FONT, type Theme } from "./theme";
import { type Aside, BEGUN, COPIED, FAILED, GIVEN_UP, PRELOADED, RETRIED, RUNNING, STATES } from "./types";
import { type Frame, taskOf } from "./view";

/** Narrower bars are plain, have no mark, and join their neighbours of the same colour when they touch. */
const THIN = 9;

/** Height of what is fetched ahead. */
const THREAD = 2;

/** Right end of a plain bar: as long as bars can be told apart, a gap follows. */
const plainEnd = (x: number, w: number): number => x + (w > 3 ? w - 1 : Math.max(1, w));

const singled = (frame: Frame, i: number): boolean => frame.selection === i || taskOf(frame.hover) === i;

/** Lanes, names and the axis; returns the width that names need. */
export function paintFrame(ctx: CanvasRenderingContext2D, frame: Frame, lanes: Lanes, area: Area): number {
  const { theme, size } = frame;
  ctx.font = `11px ${FONT}`;
  ctx.textBaseline = "middle";
  ctx.lineWidth = 1;
  const width = (t: string): number => ctx.measureText(t).width;
  let left = 36;
  lanes.names.forEach((name, row) => {
    const y = area.top + row * area.lane - area.scroll;
    if (y + area.lane < area.top || y > size.height) return;
    if (row % 2 === 0) {
      ctx.fillStyle = theme.stripe;
      ctx.fillRect(0, y, size.width, area.lane);
    }
    ctx.fillStyle = theme.quiet;
    const text = shorten(name, 92, width);
    ctx.fillText(text, 12, y + area.lane / 2);
    left = Math.max(left, Math.ceil(width(text)) + 24);
  });
  axis(ctx, frame, area);
  return left;
}

function axis(ctx: CanvasRenderingContext2D, frame: Frame, area: Area): void {
  const { theme, size, state } = frame;
  ctx.fillStyle = theme.page;
  ctx.fillRect(0, 0, size.width, area.top);
  const units = !state.run && state.plan !== null && !state.plan.has_seconds;
  const to = area.from + (size.width - area.left) / area.scale;
  const marks = ticks(area.from, to, size.width - area.left);
  ctx.textAlign = "center";
  for (const at of marks) {
    const x = Math.round(area.left + (at - area.from) * area.scale) + 0.5;
    if (x > size.width - 8) continue;
    ctx.strokeStyle = theme.border;
    ctx.globalAlpha = 0.55;
    line(ctx, x, area.top - 4, x, size.height);
    ctx.globalAlpha = 1;
    ctx.fillStyle = theme.quiet;
    ctx.fillText(units ? String(Number(at.toPrecision(6))) : seconds(at), x, area.top / 2);
  }
  ctx.textAlign = "left";
  if (units) ctx.fillText("task units", 12, area.top / 2);
}

export function paintBars(ctx: CanvasRenderingContext2D, frame: Frame, lanes: Lanes, area: Area): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(area.left, area.top, frame.size.width - area.left, frame.size.height - area.top);
  ctx.clip();
  const { state } = frame;
  const ran = state.run !== "";
  if (comparable(state)) {
    planned(ctx, frame, lanes, area, ran);
    beside(ctx, frame, lanes, area, state.plan?.asides ?? [], ran ? "ghost" : "whole");
  }
  if (ran) {
    actual(ctx, frame, lanes, area);
    beside(ctx, frame, lanes, area, state.live.asides, comparable(state) ? "actual" : "whole");
  }
  bounds(ctx, frame, area);
  ctx.restore();
}

interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** Top and height of a bar inside its lane; ghosts of the plan take a strip at the top once there is an actual bar. */
function inLane(row: number, area: Area, part: "whole" | "ghost" | "actual"): [number, number] {
  const y = area.top + row * area.lane - area.scroll;
  const pad = Math.min(4, area.lane * 0.14);
  const room = area.lane - 2 * pad;
  if (part === "whole") return [y + pad, room];
  const strip = Math.max(3, room * 0.24);
  return part === "ghost" ? [y + pad, strip] : [y + pad + strip + 1, room - strip - 1];
}

function planned(ctx: CanvasRenderingContext2D, frame: Frame, lanes: Lanes, area: Area, ghost: boolean): void {
  const { plan, graph } = frame.state;
  if (!plan) return;
  const colours = frame.theme.kinds;
  const runs = new Runs(colours.length);
  const boxes: [number, Box][] = [];
  for (const i of lanes.planned) {
    const row = lanes.of[plan.worker[i]];
    const [y, h] = inLane(row, area, ghost ? "ghost" : "whole");
    const x = area.left + (plan.start[i] - area.from) * area.scale;
    const w = (plan.end[i] - plan.start[i]) * area.scale;
    if (x + w < area.left || x > area.size.width || y > area.size.height || y + h < area.top) continue;
    const narrow = w < THIN && !frame.matches && !singled(frame, i);
    if (narrow) runs.add(graph.kind[i] % colours.length, row, x, plainEnd(x, w));
    else boxes.push([i, { x, y, w: Math.max(1, w), h }]);
  }
  paintRuns(ctx, runs, colours, (row) => inLane(row, area, ghost ? "ghost" : "whole"), ghost ? 0.5 : 0.75);
  for (const [i, box] of boxes) plannedBar(ctx, frame, i, box, ghost);
}

function plannedBar(ctx: CanvasRenderingContext2D, frame: Frame, i: number, box: Box, ghost: boolean): void {
  const { theme, state, matches } = frame;
  const { graph, plan } = state;
  const colour = theme.kinds[graph.kind[i] % theme.kinds.length];
  const gap = box.w > 6 ? 1 : 0;
  const fade = matches && !matches[i] ? 0.2 : 1;
  ctx.fillStyle = colour;
  ctx.globalAlpha = (ghost ? 0.4 : 0.26) * fade;
  rounded(ctx, box.x, box.y, box.w - gap, box.h, ghost ? 1.5 : 4);
  ctx.fill();
  ctx.globalAlpha = fade;
  const critical = plan?.critical[i];
  if (ghost) {
    if (critical) ctx.fillRect(box.x, box.y, box.w - gap, Math.min(2, box.h / 2));
  } else {
    ctx.fillRect(box.x, box.y, Math.min(3, box.w - gap), box.h);
    const fetched = (plan?.fetch[i] ?? 0) * (box.w / Math.max(1e-12, (plan?.end[i] ?? 0) - (plan?.start[i] ?? 0)));
    if (fetched > 1) hatch(ctx, theme, box.x, box.y, Math.min(fetched, box.w - gap), box.h);
    if (critical) {
      ctx.fillStyle = theme.text;
      ctx.fillRect(box.x, box.y + box.h - 2, box.w - gap, 2);
    }
    label(ctx, frame, i, box.x + 7, box, theme.text);
    mark(ctx, frame, i, box);
  }
  ctx.globalAlpha = 1;
}

function actual(ctx: CanvasRenderingContext2D, frame: Frame, lanes: Lanes, area: Area): void {
  const { live } = frame.state;
  const runs = new Runs(STATES.length * 2);
  const boxes: [number, Box][] = [];
  const part = comparable(frame.state) ? "actual" : "whole";
  for (const i of lanes.actual) {
    const row = lanes.of[live.worker[i]];
    const [y, h] = inLane(row, area, part);
    const x = area.left + (live.start[i] - area.from) * area.scale;
    const end = !Number.isNaN(live.end[i]) ? live.end[i] : Math.max(frame.t, live.start[i]);
    const w = (end - live.start[i]) * area.scale;
    if (x + w < area.left || x > area.size.width || y > area.size.height || y + h < area.top) continue;
    const pale = frame.matches && !frame.matches[i] ? STATES.length : 0;
    const narrow = w < THIN && live.state[i] !== FAILED && !singled(frame, i);
    if (narrow) runs.add(live.state[i] + pale, row, x, plainEnd(x, w));
    else boxes.push([i, { x, y, w: Math.max(live.state[i] === FAILED ? 3 : 1, w), h }]);
  }
  const tones = frame.theme.tones.map((tone) => tone.strong);
  paintRuns(ctx, runs, [...tones, ...tones], (row) => inLane(row, area, part), 0.9, STATES.length);
  for (const [i, box] of boxes) actualBar(ctx, frame, i, box);
}

function actualBar(ctx: CanvasRenderingContext2D, frame: Frame, i: number, box: Box): void {
  const { theme, state, matches } = frame;
  const { live } = state;
  const tone = theme.tones[live.state[i]];
  const gap = box.w > 6 ? 1 : 0;
  ctx.globalAlpha = matches && !matches[i] ? 0.2 : 1;
  rounded(ctx, box.x, box.y, box.w - gap, box.h, 4);
  ctx.fillStyle = live.state[i] === RUNNING ? tone.soft : tone.strong;
  ctx.fill();
  if (live.state[i] === RUNNING) {
    ctx.strokeStyle = tone.strong;
    ctx.lineWidth = 1.5;
    ctx.stroke();
  }
  const fetched = live.fetch[i] * (box.w / Math.max(1e-12, live.end[i] - live.start[i]));
  if (fetched > 1) hatch(ctx, theme, box.x, box.y, Math.min(fetched, box.w - gap), box.h);
  let left = box.x + 5;
  if (box.w > 22 && box.h >= 12) {
    const s = Math.min(1, box.h / 15);
    drawGlyph(ctx, theme, live.state[i], box.x + 10, box.y + box.h / 2, s * 0.92);
    left = box.x + 20;
  }
  label(ctx, frame, i, left, box, live.state[i] === RUNNING ? theme.text : theme.onStrong);
  ctx.globalAlpha = 1;
  mark(ctx, frame, i, box);
}

function label(ctx: CanvasRenderingContext2D, frame: Frame, i: number, left: number, box: Box, colour: string): void {
  const from = Math.max(left, 64);
  const room = box.x + box.w - from - 5;
  if (room < 22 || box.h < 11) return;
  ctx.font = `${Math.min(11.5, box.h * 0.78)}px ${FONT}`;
  ctx.fillStyle = colour;
  ctx.textBaseline = "middle";
  const text = shorten(frame.state.graph.keys[i], room, (t) => ctx.measureText(t).width);
  if (text.length > 2) ctx.fillText(text, from, box.y + box.h / 2 + 0.5);
}

/** What happens beside the tasks' own lives: copies and failed tries hatched, start-ups grey, fetches ahead thin. */
function beside(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  lanes: Lanes,
  area: Area,
  asides: Aside[],
  part: "whole" | "ghost" | "actual",
): void {
  const { theme, state } = frame;
  for (const aside of asides) {
    const [y, h] = inLane(lanes.of[aside.worker], area, part);
    const x = area.left + (aside.start - area.from) * area.scale;
    const w = Math.max(1, (aside.end - aside.start) * area.scale);
    if (x + w < area.left || x > area.size.width || y > area.size.height || y + h < area.top) continue;
    const failed = aside.kind === RETRIED;
    const colour = failed ? theme.tones[FAILED].strong : theme.kinds[state.graph.kind[aside.task] % theme.kinds.length];
    if (aside.kind === BEGUN) {
      ctx.fillStyle = theme.edge;
      ctx.globalAlpha = aside.cold ? 0.75 : 0.4;
      ctx.fillRect(x, y + h * 0.3, w, h * 0.4);
    } else if (aside.kind === PRELOADED) {
      ctx.fillStyle = theme.accent;
      ctx.fillRect(x, y + h + 0.5, w, THREAD); // between the lanes: the task that runs meanwhile stays whole
    } else if (aside.kind === COPIED || failed) {
      ctx.globalAlpha = 0.18;
      ctx.fillStyle = colour;
      ctx.strokeStyle = colour;
      ctx.fillRect(x, y, w, h);
      ctx.globalAlpha = 1;
      if (w > 4) hatch(ctx, { ...theme, page: colour }, x, y, w, h);
      ctx.lineWidth = 1;
      ctx.strokeRect(x + 0.5, y + 0.5, Math.max(0.5, w - 1), h - 1);
    } else if (aside.kind === GIVEN_UP) {
      const r = Math.min(h, 10) / 2;
      const middle = y + h / 2;
      ctx.strokeStyle = theme.tones[FAILED].strong;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      for (const rise of [r, -r]) {
        ctx.moveTo(x - r, middle - rise);
        ctx.lineTo(x + r, middle + rise);
      }
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
  }
}

/** Selection and hover. */
function mark(ctx: CanvasRenderingContext2D, frame: Frame, i: number, box: Box): void {
  const chosen = frame.selection === i;
  if (!chosen && taskOf(frame.hover) !== i) return;
  ctx.strokeStyle = frame.theme.dark ? "#ffffff" : "#000000";
  ctx.globalAlpha = chosen ? 0.9 : 0.4;
  ctx.lineWidth = 2;
  rounded(ctx, box.x, box.y, box.w, box.h, 4);
  ctx.stroke();
  ctx.globalAlpha = 1;
}

/** Time that went into fetching inputs. */
function hatch(ctx: CanvasRenderingContext2D, theme: Theme, x: number, y: number, w: number, h: number): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, h);
  ctx.clip();
  ctx.strokeStyle = theme.page;
  ctx.globalAlpha *= 0.65;
  ctx.lineWidth = 1.2;
  ctx.beginPath();
  const end = Math.min(x + w, 4096); // a bar may be far longer than any screen
  for (let at = Math.max(x, -h) - h; at < end; at += 4) {
    ctx.moveTo(at, y + h);
    ctx.lineTo(at + h, y);
  }
  ctx.stroke();
  ctx.restore();
}

function paintRuns(
  ctx: CanvasRenderingContext2D,
  runs: Runs,
  colours: string[],
  place: (row: number) => [number, number],
  alpha: number,
  pale = 0,
): void {
  const classes = pale ? [...PAINT_ORDER.map((s) => s + pale), ...PAINT_ORDER] : colours.map((_, c) => c);
  for (const cls of classes) {
    ctx.fillStyle = colours[cls];
    ctx.globalAlpha = pale && cls >= pale ? 0.18 : alpha;
    const rects = runs.of(cls);
    for (let q = 0; q < rects.length; q += 3) {
      const [y, h] = place(rects[q]);
      ctx.fillRect(rects[q + 1], y, Math.max(0.8, rects[q + 2] - rects[q + 1]), h);
    }
  }
  ctx.globalAlpha = 1;
}

/** Lines: the best possible end, the planned one, and now. */
function bounds(ctx: CanvasRenderingContext2D, frame: Frame, area: Area): void {
  const { state, theme, size } = frame;
  const at = (time: number): number => area.left + (time - area.from) * area.scale;
  const rule = (time: number, colour: string, dash: number[]): void => {
    const x = clamp(at(time), -9, size.width + 9);
    ctx.setLineDash(dash);
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.25;
    line(ctx, x, area.top, x, size.height);
    ctx.setLineDash([]);
  };
  if (state.plan && comparable(state)) {
    if (state.plan.lower_bound) rule(state.plan.lower_bound, theme.tones[3].strong, [2, 3]);
    rule(state.plan.makespan, theme.quiet, [6, 3]);
  }
  if (state.runState === "running") rule(frame.t, theme.accent, []);
}

function line(ctx: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

function rounded(ctx: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, r: number): void {
  ctx.beginPath();
  if (w < 4) ctx.rect(x, y, w, h);
  else ctx.roundRect(x, y, w, h, Math.min(r, h / 3, w / 6));
}
