/** The shape of a status: a disk (or ring) with a mark, the same as in the static SVG. 12 pixels across at size 1. */

import type { Theme } from "./theme";
import { CACHED, CANCELLED, DONE, FAILED, READY, RUNNING, SKIPPED } from "./types";

type Pen = Pick<CanvasRenderingContext2D, "moveTo" | "lineTo" | "arc">;

const MARKS: Record<number, (pen: Pen, x: number, y: number, s: number) => void> = {
  [READY]: (pen, x, y, s) => pen.arc(x, y, 1.3 * s, 0, 7),
  [RUNNING]: (pen, x, y, s) => line(pen, x, y, s, [-1.7, -2.7, 2.9, 0, -1.7, 2.7, -1.7, -2.7]),
  [DONE]: (pen, x, y, s) => line(pen, x, y, s, [-2.9, 0.2, -0.9, 2.3, 3, -2.2]),
  [CACHED]: (pen, x, y, s) => {
    line(pen, x, y, s, [-2.6, -1.4, 2.6, -1.4]);
    line(pen, x, y, s, [-2.6, 1.4, 2.6, 1.4]);
  },
  [FAILED]: (pen, x, y, s) => {
    line(pen, x, y, s, [-2.3, -2.3, 2.3, 2.3]);
    line(pen, x, y, s, [-2.3, 2.3, 2.3, -2.3]);
  },
  [SKIPPED]: (pen, x, y, s) => line(pen, x, y, s, [-2.7, 0, 2.7, 0]),
  [CANCELLED]: (pen, x, y, s) => line(pen, x, y, s, [-1.9, -1.9, 1.9, -1.9, 1.9, 1.9, -1.9, 1.9, -1.9, -1.9]),
};

function line(pen: Pen, x: number, y: number, s: number, points: number[]): void {
  pen.moveTo(x + points[0] * s, y + points[1] * s);
  for (let i = 2; i < points.length; i += 2) pen.lineTo(x + points[i] * s, y + points[i + 1] * s);
}

/** Draw the glyph of `state` centred at (x, y). */
export function drawGlyph(
  ctx: CanvasRenderingContext2D,
  theme: Theme,
  state: number,
  x: number,
  y: number,
  s: number,
): void {
  const tone = theme.tones[state];
  ctx.beginPath();
  ctx.arc(x, y, (tone.hollow ? 5.25 : 6) * s, 0, 7);
  if (tone.hollow) {
    ctx.strokeStyle = tone.strong;
    ctx.lineWidth = 1.5 * s;
    ctx.stroke();
  } else {
    ctx.fillStyle = tone.strong;
    ctx.fill();
  }
  const mark = MARKS[state];
  if (!mark) return;
  ctx.beginPath();
  mark(ctx, x, y, s);
  if (state === READY || state === RUNNING) {
    ctx.fillStyle = tone.hollow ? tone.strong : theme.onStrong;
    ctx.fill();
  } else {
    ctx.strokeStyle = theme.onStrong;
    ctx.lineWidth = 1.6 * s;
    ctx.lineCap = "round";
    ctx.stroke();
  }
}

/** A small canvas with the glyph, for chips and the drawer. */
export function glyphElement(theme: Theme, state: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  const scale = 2;
  canvas.width = canvas.height = 14 * scale;
  canvas.className = "dagnb-glyph";
  canvas.setAttribute("aria-hidden", "true");
  const ctx = canvas.getContext("2d");
  if (ctx) {
    ctx.scale(scale, scale);
    drawGlyph(ctx, theme, state, 7, 7, 1);
  }
  return canvas;
}
