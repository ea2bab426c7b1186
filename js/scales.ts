/** World ↔ screen: the camera of the graph, the time scale of the Gantt, ticks. Pure numbers, no canvas. */

export interface Size {
  width: number;
  height: number;
}

export const clamp = (v: number, low: number, high: number): number => Math.max(low, Math.min(high, v));

/** Where the world lies on the screen: screen = world · k + t, with a scale for each axis. */
export interface Camera {
  kx: number;
  ky: number;
  tx: number;
  ty: number;
}

/** How far a camera may go. One zoom `k` drives both axes, and neither goes below its floor, the scale at which all of
 * that axis fits. So a graph of nine columns and 6,000 rows fills the view, and zooming in stretches y alone until both
 * scales agree; and a wide graph of few rows keeps its cards at full height. */
export interface Limits {
  floorX: number;
  floorY: number;
  least: number;
  most: number;
}

const MARGIN = 22;

/** `tallest` is how far y may be stretched when all fits anyway. */
export function limits(world: Size, view: Size, most = 2.5, tallest = 1): Limits {
  const floorX = Math.min(1, Math.max(1, view.width - 2 * MARGIN) / Math.max(1, world.width));
  const floorY = Math.min(tallest, Math.max(1, view.height - 2 * MARGIN) / Math.max(1, world.height));
  return { floorX, floorY, least: Math.min(floorX, floorY), most };
}

const scaled = (k: number, bounds: Limits): [number, number] => [
  Math.max(k, bounds.floorX),
  Math.max(k, bounds.floorY),
];

/** The zoom that a camera stands at: the scale of its smaller axis. */
export const zoomOf = (camera: Camera): number => Math.min(camera.kx, camera.ky);

/** The whole world, centred. */
export function fitted(world: Size, view: Size, bounds: Limits): Camera {
  const [kx, ky] = scaled(bounds.least, bounds);
  return { kx, ky, tx: (view.width - world.width * kx) / 2, ty: (view.height - world.height * ky) / 2 };
}

/** Zoom by `factor` so that the world under (x, y) stays there. */
export function zoomAt(camera: Camera, factor: number, x: number, y: number, bounds: Limits): Camera {
  const [kx, ky] = scaled(clamp(zoomOf(camera) * factor, bounds.least, bounds.most), bounds);
  return { kx, ky, tx: x - ((x - camera.tx) * kx) / camera.kx, ty: y - ((y - camera.ty) * ky) / camera.ky };
}

/** The camera at zoom `k` with (wx, wy) of the world in the middle of the view. */
export function lookAt(wx: number, wy: number, k: number, view: Size, bounds: Limits): Camera {
  const [kx, ky] = scaled(clamp(k, bounds.least, bounds.most), bounds);
  return { kx, ky, tx: view.width / 2 - wx * kx, ty: view.height / 2 - wy * ky };
}

/** Kept where something can be seen: an end of the world never goes past the middle of the view. */
export function held(camera: Camera, world: Size, view: Size): Camera {
  const axis = (t: number, k: number, length: number, room: number): number =>
    clamp(t, Math.min(MARGIN / 2, room / 2 - length * k), Math.max(room / 2, room - length * k - MARGIN / 2));
  return {
    ...camera,
    tx: axis(camera.tx, camera.kx, world.width, view.width),
    ty: axis(camera.ty, camera.ky, world.height, view.height),
  };
}

/** Kept inside: centred along an axis that fits, without a gap at either end along one that does not. */
export function framed(camera: Camera, world: Size, view: Size): Camera {
  const axis = (t: number, k: number, length: number, room: number): number => {
    const extent = length * k;
    return extent <= room ? (room - extent) / 2 : clamp(t, room - extent - MARGIN, MARGIN);
  };
  return {
    ...camera,
    tx: axis(camera.tx, camera.kx, world.width, view.width),
    ty: axis(camera.ty, camera.ky, world.height, view.height),
  };
}

/** Between two cameras, for a short flight. */
export function between(a: Camera, b: Camera, part: number): Camera {
  const e = part * part * (3 - 2 * part);
  const mix = (p: number, q: number): number => p + (q - p) * e;
  return { kx: mix(a.kx, b.kx), ky: mix(a.ky, b.ky), tx: mix(a.tx, b.tx), ty: mix(a.ty, b.ty) };
}

/** Round steps (1, 2, 5 · 10ⁿ) over [low, high] with at least `gap` of `room` pixels between them. */
export function ticks(low: number, high: number, room: number, gap = 90): number[] {
  const span = high - low;
  if (!(span > 0) || !(room > 0)) return [];
  const rough = (span * gap) / room;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999) ?? 10 * power;
  const found: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step + 0);
  return found;
}
