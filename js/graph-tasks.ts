/** The graph task by task: cards when there is room, bars when there is less, a map of stripes for thousands. */

import { EdgeLayer, inReach, traceEdge } from "./edges";
import { shorten } from "./format";
import { drawGlyph } from "./glyphs";
import { PAINT_ORDER, Runs } from "./runs";
import type { Camera } from "./scales";
import { FONT } from "./theme";
import { FAILED, type Graph, RUNNING, STATES } from "./types";
import { type Frame, taskOf } from "./view";

/** Heights in pixels: below `STRIPE` cards are stripes, below `LABEL` they carry no text. */
const STRIPE = 5;
const LABEL = 10.5;
const DIM = 0.22;

export class TaskPainter {
  private readonly edges: EdgeLayer;
  /** Tasks by column, top to bottom. */
  private readonly order: Int32Array;
  private labels = new Map<number, string>();
  private labelKey = "";
  private need = 0;

  constructor(private readonly graph: Graph) {
    this.edges = new EdgeLayer(graph);
    this.order = Int32Array.from({ length: graph.tasks }, (_, i) => i).sort(
      (a, b) => graph.x[a] - graph.x[b] || graph.y[a] - graph.y[b],
    );
  }

  draw(ctx: CanvasRenderingContext2D, frame: Frame, camera: Camera): boolean {
    const visible = inReach(this.graph, camera, frame.size);
    const more = this.edges.draw(ctx, frame, camera, visible);
    this.lineage(ctx, frame, camera);
    const high = this.graph.cardHeight * camera.ky;
    if (high < STRIPE) this.stripes(ctx, frame, camera);
    else this.cards(ctx, frame, camera, visible);
    return more;
  }

  /** The edges of the hovered task, else of the selected one, on top of the others. */
  private lineage(ctx: CanvasRenderingContext2D, frame: Frame, camera: Camera): void {
    const task = taskOf(frame.hover) >= 0 ? taskOf(frame.hover) : frame.selection;
    if (task < 0) return;
    const { graph } = this;
    ctx.strokeStyle = frame.theme.accent;
    ctx.lineWidth = 1.6;
    ctx.beginPath();
    for (const [edges, from, to] of [
      [graph.inEdges, graph.inStart[task], graph.inStart[task + 1]],
      [graph.outEdges, graph.outStart[task], graph.outStart[task + 1]],
    ] as const) {
      const step = Math.max(1, (to - from) / 200);
      for (let q = from; q < to; q += step) traceEdge(ctx, graph, edges[Math.floor(q)], camera);
    }
    ctx.stroke();
  }

  private stripes(ctx: CanvasRenderingContext2D, frame: Frame, camera: Camera): void {
    const { graph } = this;
    const { live } = frame.state;
    const w = Math.max(2, graph.cardWidth * camera.kx);
    const h = Math.max(1, Math.round(graph.cardHeight * camera.ky));
    // Matches of a search are classes of their own, so that the others can be pale.
    const runs = new Runs(STATES.length * 2);
    for (const i of this.order) {
      // Whole pixels: thousands of half-covered rows would shimmer, and neighbours could not be joined.
      const x = Math.round(graph.x[i] * camera.kx + camera.tx - w / 2);
      const y = Math.round(graph.y[i] * camera.ky + camera.ty - h / 2);
      if (x > frame.size.width || x + w < 0 || y > frame.size.height || y + h < 0) continue;
      const pale = frame.matches && !frame.matches[i] ? STATES.length : 0;
      runs.add(live.state[i] + pale, x, y, y + h);
    }
    for (const pale of [STATES.length, 0]) {
      ctx.globalAlpha = pale ? DIM : 1;
      for (const state of PAINT_ORDER) {
        const tone = frame.theme.tones[state];
        ctx.fillStyle = tone.hollow ? frame.theme.ribbon : tone.strong;
        const least = state === FAILED ? 3 : state === RUNNING ? 1.5 : 1;
        const rects = runs.of(state + pale);
        for (let q = 0; q < rects.length; q += 3) {
          ctx.fillRect(rects[q], rects[q + 1], w, Math.max(least, rects[q + 2] - rects[q + 1]));
        }
      }
    }
    ctx.globalAlpha = 1;
    this.ring(ctx, frame, camera, frame.selection, w, Math.max(h, 4));
  }

  private cards(ctx: CanvasRenderingContext2D, frame: Frame, camera: Camera, visible: number[]): void {
    const { graph } = this;
    const w = graph.cardWidth * camera.kx;
    const h = graph.cardHeight * camera.ky;
    const key = `${camera.kx.toFixed(3)}/${camera.ky.toFixed(3)}`;
    if (key !== this.labelKey) this.labels = new Map();
    this.labelKey = key;
    for (const i of visible) {
      ctx.globalAlpha = frame.matches && !frame.matches[i] ? DIM : 1;
      this.card(ctx, frame, i, graph.x[i] * camera.kx + camera.tx, graph.y[i] * camera.ky + camera.ty, w, h);
    }
    ctx.globalAlpha = 1;
    this.ring(ctx, frame, camera, taskOf(frame.hover), w, h, 0.5);
    this.ring(ctx, frame, camera, frame.selection, w, h);
  }

  private card(
    ctx: CanvasRenderingContext2D,
    frame: Frame,
    i: number,
    x: number,
    y: number,
    w: number,
    h: number,
  ): void {
    const state = frame.state.live.state[i];
    const tone = frame.theme.tones[state];
    const small = h < LABEL || w < 34;
    ctx.fillStyle = small && !tone.hollow ? tone.strong : tone.soft;
    ctx.strokeStyle = state === FAILED || state === RUNNING ? tone.strong : frame.theme.border;
    ctx.lineWidth = state === FAILED ? 1.75 : 1;
    ctx.beginPath();
    ctx.roundRect(x - w / 2, y - h / 2, w, h, Math.min(6, h / 4.5, w / 4));
    ctx.fill();
    ctx.stroke();
    if (small) return;
    const s = Math.max(0.55, Math.min(h / 28, w / 84, 2));
    const room = w - 31 * s;
    const size = Math.max(9, Math.min(12 * s, (12 * room) / this.widest(ctx)));
    drawGlyph(ctx, frame.theme, state, x - w / 2 + 14 * s, y, s);
    ctx.font = `${size}px ${FONT}`;
    ctx.fillStyle = state === 5 || state === 6 ? frame.theme.quiet : frame.theme.text;
    ctx.textBaseline = "middle";
    ctx.fillText(this.label(ctx, i, room), x - w / 2 + 26 * s, y + 0.5);
  }

  /** Width at 12 pixels that nearly all labels have: when cards are narrow, letters shrink before words are cut. */
  private widest(ctx: CanvasRenderingContext2D): number {
    if (!this.need) {
      ctx.font = `12px ${FONT}`;
      const step = Math.ceil(this.graph.tasks / 400);
      const widths = this.graph.keys.filter((_, i) => i % step === 0).map((key) => ctx.measureText(key).width);
      this.need = widths.sort((a, b) => a - b)[Math.floor((widths.length - 1) * 0.95)] || 1;
    }
    return this.need;
  }

  private label(ctx: CanvasRenderingContext2D, i: number, room: number): string {
    let text = this.labels.get(i);
    if (text === undefined) {
      text = shorten(this.graph.keys[i], room, (t) => ctx.measureText(t).width);
      this.labels.set(i, text);
    }
    return text;
  }

  private ring(
    ctx: CanvasRenderingContext2D,
    frame: Frame,
    camera: Camera,
    task: number,
    w: number,
    h: number,
    alpha = 1,
  ): void {
    if (task < 0 || task >= this.graph.tasks) return;
    const x = this.graph.x[task] * camera.kx + camera.tx;
    const y = this.graph.y[task] * camera.ky + camera.ty;
    ctx.globalAlpha = alpha;
    ctx.strokeStyle = frame.theme.accent;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.roundRect(x - w / 2 - 3, y - h / 2 - 3, w + 6, h + 6, 8);
    ctx.stroke();
    ctx.globalAlpha = 1;
  }
}
