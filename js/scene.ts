/** One canvas and the view on it: size, frames, pointer, wheel and keys. Draws when something changed, never per message. */

import type { Size } from "./scales";
import { clock } from "./state";
import { calm, type Theme } from "./theme";
import type { DagState } from "./types";
import { type Direction, type Frame, type Hit, taskOf, type View } from "./view";

/** Seconds after the last gesture in which costly drawing may wait. */
const SETTLE = 0.1;
/** Pixels within which a press and its release are a click. */
const STILL = 4;

const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};

export interface SceneEvents {
  /** A click on a task, or beside all (-1). */
  select(task: number): void;
  /** An arrow key led here. */
  walk(task: number): void;
  hover(hit: Hit, x: number, y: number): void;
  enter(task: number): void;
  escape(): void;
  find(): void;
}

export class Scene {
  readonly canvas: HTMLCanvasElement;
  view: View | null = null;
  state: DagState | null = null;
  selection = -1;
  matches: Uint8Array | null = null;
  /** Pixels at the right that lie under the drawer. */
  covered = 0;
  /** Frames drawn so far, and seconds spent in drawing: for measuring. */
  frames = 0;
  spent = 0;
  private hover: Hit = null;
  private size: Size = { width: 0, height: 0 };
  private frame = 0;
  private gesture = Number.NEGATIVE_INFINITY;
  private armed = false;
  private readonly stop = new AbortController();
  private readonly observer: ResizeObserver;
  private theme: Theme;

  constructor(
    private readonly host: HTMLElement,
    theme: Theme,
    private readonly events: SceneEvents,
  ) {
    this.theme = theme;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "dagnb-canvas";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    // Otherwise JupyterLab takes arrows and Enter for the notebook.
    this.canvas.dataset.lmSuppressShortcuts = "true";
    host.append(this.canvas);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.listen();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.invalidate();
  }

  invalidate(): void {
    if (this.frame || this.stop.signal.aborted) return;
    this.frame = requestAnimationFrame(() => this.draw());
  }

  destroy(): void {
    this.stop.abort();
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    this.canvas.remove();
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    const dpr = this.dpr;
    this.size = { width, height };
    this.canvas.width = Math.round(width * dpr);
    this.canvas.height = Math.round(height * dpr);
    this.draw();
  }

  private get dpr(): number {
    return Math.min(2, window.devicePixelRatio || 1);
  }

  private get moving(): boolean {
    return performance.now() / 1000 - this.gesture < SETTLE;
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const ctx = this.canvas.getContext("2d", { alpha: false });
    const { state, view } = this;
    if (!ctx || !this.size.width) return;
    const began = performance.now();
    ctx.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    ctx.fillStyle = this.theme.page;
    ctx.fillRect(0, 0, this.size.width, this.size.height);
    if (state && view?.draw(ctx, this.describe(state))) this.again();
    this.frames += 1;
    this.spent += (performance.now() - began) / 1000;
  }

  private describe(state: DagState): Frame {
    return {
      state,
      theme: this.theme,
      size: this.size,
      selection: this.selection,
      hover: this.hover,
      matches: this.matches,
      t: clock(state, performance.now() / 1000),
      covered: this.covered,
      moving: this.moving,
      calm: calm(),
      dpr: this.dpr,
    };
  }

  /** Another frame is wanted: at once while something moves, four times a second for a growing bar if motion is unwelcome. */
  private again(): void {
    if (calm() && !this.moving) setTimeout(() => this.invalidate(), 250);
    else this.invalidate();
  }

  private listen(): void {
    const { canvas } = this;
    const signal = this.stop.signal;
    canvas.addEventListener("pointerdown", (e) => this.press(e), { signal });
    canvas.addEventListener("pointermove", (e) => this.move(e), { signal });
    canvas.addEventListener("pointerleave", () => this.leave(), { signal });
    canvas.addEventListener("dblclick", (e) => this.zoom(2, e.offsetX, e.offsetY), { signal });
    canvas.addEventListener("wheel", (e) => this.wheel(e), { signal, passive: false });
    canvas.addEventListener("keydown", (e) => this.key(e), { signal });
    canvas.addEventListener("focus", () => this.invalidate(), { signal });
  }

  private press(down: PointerEvent): void {
    if (down.button !== 0) return;
    this.armed = true;
    this.canvas.setPointerCapture(down.pointerId);
    let last = down;
    let far = false;
    const drag = (e: PointerEvent): void => {
      far ||= Math.hypot(e.clientX - down.clientX, e.clientY - down.clientY) > STILL;
      if (!far) return;
      this.touch(() => this.view?.pan(e.clientX - last.clientX, e.clientY - last.clientY));
      last = e;
    };
    const up = (e: PointerEvent): void => {
      done.abort();
      if (!far && e.type === "pointerup") this.click(e.offsetX, e.offsetY);
    };
    const done = new AbortController();
    const options = { signal: AbortSignal.any([done.signal, this.stop.signal]) };
    this.canvas.addEventListener("pointermove", drag, options);
    this.canvas.addEventListener("pointerup", up, options);
    this.canvas.addEventListener("pointercancel", up, options);
  }

  private click(x: number, y: number): void {
    const hit = this.view?.hit(x, y) ?? null;
    if (hit && "group" in hit) {
      this.events.hover(null, 0, 0);
      this.touch(() => this.view?.open(hit.group));
    } else this.events.select(taskOf(hit));
  }

  private move(e: PointerEvent): void {
    if (e.buttons) return;
    const hit = this.view?.hit(e.offsetX, e.offsetY) ?? null;
    const changed = JSON.stringify(hit) !== JSON.stringify(this.hover);
    this.hover = hit;
    this.canvas.style.cursor = hit ? "pointer" : "grab";
    this.events.hover(hit, e.offsetX, e.offsetY);
    if (changed) this.invalidate();
  }

  private leave(): void {
    this.armed = false;
    this.hover = null;
    this.events.hover(null, 0, 0);
    this.invalidate();
  }

  /** The notebook scrolls unless Ctrl is held or the picture was pressed since the pointer came in. */
  private wheel(e: WheelEvent): void {
    if (!this.armed && !e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    const unit = e.deltaMode === 1 ? 18 : 1;
    if (e.shiftKey) this.touch(() => this.view?.pan(-(e.deltaX || e.deltaY) * unit, 0));
    else this.zoom(Math.exp((-e.deltaY * unit) / (e.ctrlKey ? 120 : 320)), e.offsetX, e.offsetY);
  }

  zoom(factor: number, x = this.size.width / 2, y = this.size.height / 2): void {
    this.touch(() => this.view?.zoom(factor, x, y));
  }

  fit(): void {
    this.touch(() => this.view?.fit());
  }

  touch(gesture: () => void): void {
    this.gesture = performance.now() / 1000;
    gesture();
    this.invalidate();
  }

  private key(e: KeyboardEvent): void {
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const direction = ARROWS[e.key];
    if (direction) this.step(direction);
    else if (e.key === "Enter" || e.key === " ") this.events.enter(this.selection);
    else if (e.key === "Escape") this.events.escape();
    else if (e.key === "+" || e.key === "=") this.zoom(1.4);
    else if (e.key === "-") this.zoom(1 / 1.4);
    else if (e.key === "0" || e.key === "f") this.fit();
    else if (e.key === "/") this.events.find();
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  private step(direction: Direction): void {
    const next = this.view?.step(this.selection, direction) ?? -1;
    if (next < 0) return;
    this.events.walk(next);
  }
}
