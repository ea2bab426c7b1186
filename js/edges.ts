/** Edges: how one lies, and the cached picture of them all that makes panning cheap. */

import type { Camera, Size } from "./scales";
import type { Drawn, Graph } from "./types";
import type { Frame } from "./view";

type Pen = Pick<CanvasRenderingContext2D, "moveTo" | "lineTo" | "bezierCurveTo">;

/** The path of edge `e`: right side of its source, through its points, left side of its target. */
export function traceEdge(pen: Pen, drawn: Drawn, e: number, { kx, ky, tx, ty }: Camera): void {
  const half = (drawn.cardWidth / 2) * kx;
  const u = drawn.src[e];
  const v = drawn.dst[e];
  let x = drawn.x[u] * kx + tx + half;
  let y = drawn.y[u] * ky + ty;
  pen.moveTo(x, y);
  for (let b = drawn.bendStart[e]; b < drawn.bendStart[e + 1]; b++) {
    const bx = drawn.bends[2 * b] * kx + tx;
    const by = drawn.bends[2 * b + 1] * ky + ty;
    curve(pen, x, y, bx, by);
    x = bx;
    y = by;
  }
  curve(pen, x, y, drawn.x[v] * kx + tx - half, drawn.y[v] * ky + ty);
}

export function curve(pen: Pen, x0: number, y0: number, x1: number, y1: number): void {
  const middle = (x0 + x1) / 2;
  if (Math.abs(y1 - y0) < 0.6) pen.lineTo(x1, y1);
  else pen.bezierCurveTo(middle, y0, middle, y1, x1, y1);
}

/** Edges of one visible card on each side, and edges of the whole picture: more would be a grey blot. */
const PER_SIDE = 24;
const MOST = 5000;
/** The cache reaches this far beyond the view, as a share of it. */
const BEYOND = 0.4;

export class EdgeLayer {
  private readonly canvas = document.createElement("canvas");
  private made: { camera: Camera; size: Size; key: string } | null = null;
  private cost = 0;

  constructor(private readonly graph: Graph) {}

  /** Draw the edges; true when a better picture should follow once the gesture is over. */
  draw(ctx: CanvasRenderingContext2D, frame: Frame, camera: Camera, visible: number[]): boolean {
    const key = `${frame.theme.edge}${frame.size.width}x${frame.size.height}@${frame.dpr}`;
    const fits = this.made?.key === key && this.covers(camera, frame.size);
    const wait = !fits && frame.moving && this.cost > 12 && this.made?.key === key && this.near(camera);
    if (!fits && !wait) this.render(frame, camera, visible, key);
    this.blit(ctx, camera);
    return wait;
  }

  private covers(camera: Camera, size: Size): boolean {
    const made = this.made;
    if (!made || made.camera.kx !== camera.kx || made.camera.ky !== camera.ky) return false;
    const dx = camera.tx - made.camera.tx;
    const dy = camera.ty - made.camera.ty;
    return Math.abs(dx) <= size.width * BEYOND && Math.abs(dy) <= size.height * BEYOND;
  }

  /** The old picture may be stretched a little while a gesture lasts; far more would be a blur, and slow. */
  private near(camera: Camera): boolean {
    const old = this.made?.camera ?? camera;
    const [x, y] = [camera.kx / old.kx, camera.ky / old.ky];
    return Math.max(x, y, 1 / x, 1 / y) < 3;
  }

  private blit(ctx: CanvasRenderingContext2D, camera: Camera): void {
    if (!this.made) return;
    const { camera: old, size } = this.made;
    const left = -size.width * BEYOND;
    const top = -size.height * BEYOND;
    const sx = camera.kx / old.kx;
    const sy = camera.ky / old.ky;
    ctx.drawImage(
      this.canvas,
      (left - old.tx) * sx + camera.tx,
      (top - old.ty) * sy + camera.ty,
      size.width * (1 + 2 * BEYOND) * sx,
      size.height * (1 + 2 * BEYOND) * sy,
    );
  }

  private render(frame: Frame, camera: Camera, visible: number[], key: string): void {
    const began = performance.now();
    const { size, theme, dpr } = frame;
    const width = Math.ceil(size.width * (1 + 2 * BEYOND) * dpr);
    const height = Math.ceil(size.height * (1 + 2 * BEYOND) * dpr);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const ctx = this.canvas.getContext("2d");
    if (!ctx) return;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, width, height);
    ctx.setTransform(dpr, 0, 0, dpr, size.width * BEYOND * dpr, size.height * BEYOND * dpr);
    const edges = this.choose(camera, size, visible);
    const crowd = edges.length > 1200;
    ctx.strokeStyle = theme.edge;
    ctx.globalAlpha = crowd ? Math.max(0.16, 420 / edges.length) : 1;
    ctx.lineWidth = crowd ? 0.8 : Math.min(1.2, Math.max(0.7, camera.kx * 1.2));
    ctx.beginPath();
    for (const e of edges) traceEdge(ctx, this.graph, e, camera);
    ctx.stroke();
    ctx.globalAlpha = 1;
    this.made = { camera: { ...camera }, size: { ...size }, key };
    this.cost = performance.now() - began;
  }

  /** Edges of cards in reach, a few per side; on a map of thousands an even sample of all. */
  private choose(camera: Camera, size: Size, visible: number[]): number[] {
    const { graph } = this;
    const chosen: number[] = [];
    if (visible.length > 1500 || graph.src.length <= MOST / 4) {
      const step = Math.max(1, graph.src.length / MOST);
      for (let e = 0; e < graph.src.length; e += step) chosen.push(Math.floor(e));
      return chosen;
    }
    const taken = new Set<number>();
    for (const i of inReach(graph, camera, size, BEYOND)) {
      take(taken, graph.outEdges, graph.outStart[i], graph.outStart[i + 1]);
      take(taken, graph.inEdges, graph.inStart[i], graph.inStart[i + 1]);
      if (taken.size > MOST) break;
    }
    return [...taken];
  }
}

function take(taken: Set<number>, edges: Int32Array, from: number, to: number): void {
  const step = Math.max(1, (to - from) / PER_SIDE);
  for (let q = from; q < to; q += step) taken.add(edges[Math.floor(q)]);
}

/** Tasks whose card touches the view, or lies within `beyond` views of it. */
export function inReach(graph: Graph, { kx, ky, tx, ty }: Camera, size: Size, beyond = 0): number[] {
  const w = (graph.cardWidth / 2) * kx + size.width * beyond;
  const h = (graph.cardHeight / 2) * ky + size.height * beyond;
  const found: number[] = [];
  for (let i = 0; i < graph.tasks; i++) {
    const x = graph.x[i] * kx + tx;
    if (x + w < 0 || x - w > size.width) continue;
    const y = graph.y[i] * ky + ty;
    if (y + h >= 0 && y - h <= size.height) found.push(i);
  }
  return found;
}
