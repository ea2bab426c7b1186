/** The graph: an overview of groups when it is large, which opens into single tasks as one zooms in. */

import { GroupPainter, NARROW } from "./graph-groups";
import { TaskPainter } from "./graph-tasks";
import {
  between,
  type Camera,
  fitted,
  framed,
  held,
  type Limits,
  limits,
  lookAt,
  type Size,
  zoomAt,
  zoomOf,
} from "./scales";
import type { Graph } from "./types";
import type { Direction, Frame, Hit, View } from "./view";

/** Seconds of a flight from one place to another. */
const FLIGHT = 0.24;
const HOME: Camera = { kx: 1, ky: 1, tx: 0, ty: 0 };

export class GraphView implements View {
  private readonly tasks: TaskPainter;
  private readonly groups: GroupPainter | null;
  private size: Size = { width: 0, height: 0 };
  private camera: Camera = HOME;
  private bounds: Limits = { floorX: 0, floorY: 0, least: 1, most: 2.5 };
  private whole = true;
  private open_ = false;
  private flight: { from: Camera; to: Camera; began: number } | null = null;

  constructor(private readonly graph: Graph) {
    this.tasks = new TaskPainter(graph);
    this.groups = graph.groups ? new GroupPainter(graph.groups) : null;
  }

  /** Boxes are shown and not tasks. */
  get grouped(): boolean {
    return this.groups !== null && !this.open_;
  }

  private get world(): Size {
    const { groups } = this.graph;
    return this.grouped && groups ? groups : this.graph;
  }

  wish(): number {
    // An overview opens into thousands of tasks, which want room.
    return Math.max(this.groups ? 420 : 0, this.world.height + 2 * 28);
  }

  draw(ctx: CanvasRenderingContext2D, frame: Frame): boolean {
    this.resize(frame.size);
    const flying = this.fly(frame.calm);
    if (this.grouped) this.groups?.draw(ctx, frame, this.camera);
    else return this.tasks.draw(ctx, { ...frame, moving: frame.moving || flying }, this.camera) || flying;
    return flying;
  }

  private resize(size: Size): void {
    if (size.width === this.size.width && size.height === this.size.height) return;
    this.size = { ...size };
    this.rebound();
    if (this.whole) this.camera = fitted(this.world, this.size, this.bounds);
    else this.camera = held(zoomAt(this.camera, 1, size.width / 2, size.height / 2, this.bounds), this.world, size);
  }

  private rebound(): void {
    const { groups } = this.graph;
    if (!this.grouped || !groups) {
      this.bounds = limits(this.graph, this.size);
      return;
    }
    // Narrow boxes have their words upright, so give them height.
    const narrow = limits(groups, this.size).floorX * groups.cardWidth < NARROW;
    this.bounds = limits(groups, this.size, 1.3, narrow ? 1.9 : 1);
  }

  private fly(calm: boolean): boolean {
    if (!this.flight) return false;
    const part = calm ? 1 : (performance.now() / 1000 - this.flight.began) / FLIGHT;
    this.camera = between(this.flight.from, this.flight.to, Math.min(1, part));
    if (part >= 1) this.flight = null;
    return part < 1;
  }

  private flyTo(to: Camera): void {
    this.flight = { from: this.camera, to, began: performance.now() / 1000 };
  }

  hit(x: number, y: number): Hit {
    if (this.grouped) {
      const group = this.groups?.hit(x, y, this.camera) ?? -1;
      if (group < 0) return null;
      const members = this.groups?.membersOf(group) ?? [];
      return members.length === 1 ? { task: members[0] } : { group };
    }
    const task = this.nearest(x, y);
    return task < 0 ? null : { task };
  }

  private nearest(x: number, y: number): number {
    const { graph, camera } = this;
    const w = Math.max(3, (graph.cardWidth / 2) * camera.kx);
    const h = Math.max(3, (graph.cardHeight / 2) * camera.ky);
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < graph.tasks; i++) {
      const dx = Math.abs(graph.x[i] * camera.kx + camera.tx - x);
      const dy = Math.abs(graph.y[i] * camera.ky + camera.ty - y);
      if (dx <= w && dy <= h && dy < least) {
        best = i;
        least = dy;
      }
    }
    return best;
  }

  pan(dx: number, dy: number): void {
    this.flight = null;
    this.whole = false;
    const { camera } = this;
    this.camera = held({ ...camera, tx: camera.tx + dx, ty: camera.ty + dy }, this.world, this.size);
  }

  zoom(factor: number, x: number, y: number): void {
    this.flight = null;
    const k = zoomOf(this.camera);
    if (this.grouped && factor > 1 && k >= this.bounds.most * 0.999) this.open(this.under(x, y));
    else if (this.open_ && this.groups && factor < 1 && k <= this.bounds.least * 1.001) this.fit();
    else {
      this.whole = false;
      this.camera = held(zoomAt(this.camera, factor, x, y, this.bounds), this.world, this.size);
    }
  }

  /** The group under the pointer, else the nearest one. */
  private under(x: number, y: number): number {
    const hit = this.groups?.hit(x, y, this.camera) ?? -1;
    const { groups } = this.graph;
    if (hit >= 0 || !groups) return hit;
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let g = 0; g < groups.size.length; g++) {
      const dx = groups.x[g] * this.camera.kx + this.camera.tx - x;
      const dy = groups.y[g] * this.camera.ky + this.camera.ty - y;
      if (dx * dx + dy * dy < least) {
        least = dx * dx + dy * dy;
        best = g;
      }
    }
    return best;
  }

  fit(): void {
    const was = this.grouped;
    this.open_ = false;
    this.whole = true;
    this.rebound();
    const to = fitted(this.world, this.size, this.bounds);
    if (was === this.grouped) this.flyTo(to);
    else this.camera = to;
  }

  open(group: number): void {
    const members = this.groups?.membersOf(group) ?? [];
    if (!members.length) return;
    this.unfold();
    const [x0, y0, x1, y1] = this.graph.groups?.extent.slice(4 * group, 4 * group + 4) ?? [0, 0, 1, 1];
    const k = Math.min(1, (this.size.height - 40) / (y1 - y0), (this.size.width - 40) / (x1 - x0));
    const to = lookAt((x0 + x1) / 2, (y0 + y1) / 2, k, this.size, this.bounds);
    this.flyTo(framed(to, this.graph, this.size));
  }

  private unfold(): void {
    if (this.open_) return;
    this.open_ = true;
    this.whole = false;
    this.rebound();
    this.camera = fitted(this.graph, this.size, this.bounds);
  }

  reveal(task: number, covered: number): void {
    const { graph, camera, size } = this;
    if (this.grouped) return;
    const width = size.width - covered;
    const half = Math.min((graph.cardWidth / 2) * camera.kx + 8, width / 2);
    const x = graph.x[task] * camera.kx + camera.tx;
    const y = graph.y[task] * camera.ky + camera.ty;
    if (x >= half && x <= width - half && y > 24 && y < size.height - 24) return;
    this.whole = false;
    const to = lookAt(graph.x[task], graph.y[task], zoomOf(camera), { ...size, width }, this.bounds);
    this.flyTo(held(to, graph, size));
  }

  step(task: number, direction: Direction): number {
    const { graph } = this;
    if (task < 0) return graph.tasks ? 0 : -1;
    const near = (edges: Int32Array, ends: Int32Array, from: number, to: number): number => {
      let best = -1;
      for (let q = from; q < to; q++) {
        const i = ends[edges[q]];
        if (best < 0 || this.away(i, task) < this.away(best, task)) best = i;
      }
      return best;
    };
    if (direction === "left") return near(graph.inEdges, graph.src, graph.inStart[task], graph.inStart[task + 1]);
    if (direction === "right") return near(graph.outEdges, graph.dst, graph.outStart[task], graph.outStart[task + 1]);
    return this.neighbour(task, direction === "down" ? 1 : -1);
  }

  private away(a: number, b: number): number {
    const { x, y } = this.graph;
    return Math.abs(x[a] - x[b]) + Math.abs(y[a] - y[b]);
  }

  /** The next task up or down in the same column. */
  private neighbour(task: number, sign: number): number {
    const { graph } = this;
    let best = -1;
    for (let i = 0; i < graph.tasks; i++) {
      if (Math.abs(graph.x[i] - graph.x[task]) > graph.cardWidth / 2) continue;
      const ahead = (graph.y[i] - graph.y[task]) * sign;
      if (ahead > 0 && (best < 0 || ahead < (graph.y[best] - graph.y[task]) * sign)) best = i;
    }
    return best;
  }
}
