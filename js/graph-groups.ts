/** The overview of a large graph: one box per kind and column, with its share of every status; ribbons between them. */

import { traceEdge } from "./edges";
import { count, shorten } from "./format";
import type { Camera } from "./scales";
import { FONT, type Theme } from "./theme";
import { FAILED, type Groups, RUNNING, STATES } from "./types";
import type { Frame } from "./view";

/** Left to right in a status bar. */
const BAR_ORDER = [3, 7, 2, 4, 5, 6, 1, 0];
/** Pixels: narrower boxes have their words upright. */
export const NARROW = 62;
/** What is told first when there is room for little. */
const TOLD = [4, 2, 5, 6, 3, 7, 1, 0];

export class GroupPainter {
  private readonly members: number[][];

  constructor(private readonly groups: Groups) {
    this.members = Array.from({ length: groups.size.length }, () => []);
    groups.of.forEach((g, i) => {
      this.members[g].push(i);
    });
  }

  membersOf(group: number): number[] {
    return this.members[group];
  }

  draw(ctx: CanvasRenderingContext2D, frame: Frame, camera: Camera): void {
    const tallies = this.tally(frame);
    this.ribbons(ctx, frame.theme, camera);
    for (let g = 0; g < this.members.length; g++) this.box(ctx, frame, camera, g, tallies[g]);
  }

  hit(x: number, y: number, camera: Camera): number {
    const { groups } = this;
    for (let g = 0; g < this.members.length; g++) {
      const dx = Math.abs(groups.x[g] * camera.kx + camera.tx - x);
      const dy = Math.abs(groups.y[g] * camera.ky + camera.ty - y);
      if (dx <= (groups.cardWidth / 2) * camera.kx && dy <= (groups.cardHeight / 2) * camera.ky) return g;
    }
    return -1;
  }

  private tally({ state }: Frame): number[][] {
    const tallies = this.members.map(() => STATES.map(() => 0));
    const { of } = this.groups;
    for (let i = 0; i < of.length; i++) tallies[of[i]][state.live.state[i]]++;
    return tallies;
  }

  private ribbons(ctx: CanvasRenderingContext2D, theme: Theme, camera: Camera): void {
    const { groups } = this;
    ctx.lineCap = "round";
    for (let e = 0; e < groups.src.length; e++) {
      const width = Math.min(9, 1.2 + 1.1 * Math.log2(Math.max(1, groups.count[e])) ** 0.9);
      ctx.strokeStyle = width < 2 ? theme.edge : theme.ribbon;
      ctx.lineWidth = width * Math.min(1, camera.ky);
      ctx.beginPath();
      traceEdge(ctx, groups, e, camera);
      ctx.stroke();
    }
  }

  private box(ctx: CanvasRenderingContext2D, frame: Frame, camera: Camera, g: number, tally: number[]): void {
    const { groups } = this;
    const { theme } = frame;
    const w = groups.cardWidth * camera.kx;
    const h = groups.cardHeight * camera.ky;
    const x = groups.x[g] * camera.kx + camera.tx - w / 2;
    const y = groups.y[g] * camera.ky + camera.ty - h / 2;
    const one = groups.size[g] === 1;
    const hovered = frame.hover !== null && "group" in frame.hover && frame.hover.group === g;
    const chosen = one && frame.selection === this.members[g][0];
    const faint = frame.matches && !this.members[g].some((i) => frame.matches?.[i]);
    ctx.globalAlpha = faint ? 0.3 : 1;
    if (!one) plate(ctx, x + 4, y + 4, w, h, theme.card, theme.border, 1);
    const stroke = tally[FAILED]
      ? theme.tones[FAILED].strong
      : tally[RUNNING]
        ? theme.tones[RUNNING].strong
        : theme.border;
    const strong = hovered || chosen;
    plate(ctx, x, y, w, h, theme.card, strong ? theme.accent : stroke, strong ? 2 : tally[FAILED] ? 1.75 : 1);
    if (w < NARROW) this.upright(ctx, frame, g, x, y, w, h, tally);
    else this.inside(ctx, frame, g, x, y, w, h, tally);
    ctx.globalAlpha = 1;
  }

  private name({ state }: Frame, g: number): string {
    const { groups } = this;
    return groups.size[g] === 1 ? state.graph.keys[this.members[g][0]] : groups.heads[g] || "tasks";
  }

  private much(g: number): string {
    return this.groups.size[g] === 1 ? "" : `×${count(this.groups.size[g])}`;
  }

  /** Name and number, status bar, the statuses in words. */
  private inside(
    ctx: CanvasRenderingContext2D,
    frame: Frame,
    g: number,
    left: number,
    y: number,
    w: number,
    h: number,
    tally: number[],
  ): void {
    const { theme } = frame;
    const pad = Math.min(12, w * 0.08);
    const x = left + pad;
    const room = w - 2 * pad;
    bar(ctx, theme, x, h >= 22 ? y + h * 0.52 : y + h / 2 - 2.5, room, tally, this.groups.size[g]);
    if (h < 22) return;
    const size = Math.max(10, Math.min(12 * (h / 54), 18));
    const width = (t: string): number => ctx.measureText(t).width;
    const much = this.much(g);
    const below = w < 150 && h >= 40; // no room for name and number side by side
    ctx.textBaseline = "middle";
    ctx.fillStyle = theme.quiet;
    ctx.font = `${size}px ${FONT}`;
    const taken = much && !below ? width(much) + 8 : 0;
    if (taken) ctx.fillText(much, x + room - width(much), y + h * 0.3);
    ctx.fillStyle = theme.text;
    ctx.font = `600 ${size}px ${FONT}`;
    ctx.fillText(shorten(this.name(frame, g), room - taken, width), x, y + h * 0.3);
    if (h < 40) return;
    ctx.font = `${Math.max(9.5, size * 0.84)}px ${FONT}`;
    ctx.fillStyle = theme.quiet;
    const before = below && much ? `${much}  ` : "";
    ctx.fillText(before + said(tally, room - width(before), width), x, y + h * 0.81);
  }

  /** A box too narrow for words across: they stand upright, the shares of status beside them. */
  private upright(
    ctx: CanvasRenderingContext2D,
    frame: Frame,
    g: number,
    x: number,
    y: number,
    w: number,
    h: number,
    tally: number[],
  ): void {
    const pad = Math.min(4, w * 0.15);
    const thick = Math.min(5, w - 2 * pad);
    ctx.save();
    ctx.translate(x + w / 2, y + h - pad);
    ctx.rotate(-Math.PI / 2);
    bar(ctx, frame.theme, 0, w / 2 - pad - thick, h - 2 * pad, tally, this.groups.size[g], thick);
    if (w >= 22) {
      ctx.font = `10.5px ${FONT}`;
      ctx.textBaseline = "middle";
      ctx.fillStyle = frame.theme.text;
      const text = `${this.name(frame, g)} ${this.much(g)}`;
      ctx.fillText(
        shorten(text, h - 2 * pad - 2, (t) => ctx.measureText(t).width),
        1,
        -w * 0.12,
      );
    }
    ctx.restore();
  }
}

function plate(
  ctx: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  h: number,
  fill: string,
  stroke: string,
  line: number,
): void {
  ctx.beginPath();
  ctx.roundRect(x, y, w, h, Math.min(8, h / 5));
  ctx.fillStyle = fill;
  ctx.strokeStyle = stroke;
  ctx.lineWidth = line;
  ctx.fill();
  ctx.stroke();
}

/** Shares by status; any status present is at least 3 px, so that one failure in 10,000 shows. */
function bar(
  ctx: CanvasRenderingContext2D,
  theme: Theme,
  x: number,
  y: number,
  width: number,
  tally: number[],
  total: number,
  thick = 5,
): void {
  const order = BAR_ORDER.filter((s) => tally[s]);
  const least = order.map((s) => Math.max(3, (width * tally[s]) / total));
  const scale = width / least.reduce((a, b) => a + b, 0);
  let at = x;
  order.forEach((s, q) => {
    const tone = theme.tones[s];
    ctx.fillStyle = tone.hollow ? theme.border : tone.strong;
    ctx.fillRect(at, y, Math.max(1, least[q] * scale - 1), thick);
    at += least[q] * scale;
  });
}

/** The statuses that matter most, as many as fit. */
export function said(tally: number[], room: number, width: (text: string) => number): string {
  let words = "";
  for (const s of TOLD.filter((state) => tally[state])) {
    const more = `${words && `${words} · `}${count(tally[s])} ${STATES[s]}`;
    if (width(more) > room) break;
    words = more;
  }
  return words;
}
