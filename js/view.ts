/** What the scene asks of a view, and what it hands over for every frame. */

import type { Size } from "./scales";
import type { Theme } from "./theme";
import type { DagState } from "./types";

/** What lies under the pointer. */
export type Hit = { task: number } | { group: number } | null;

export type Direction = "left" | "right" | "up" | "down";

export interface Frame {
  state: DagState;
  theme: Theme;
  size: Size;
  /** Selected and hovered task, -1 for none. */
  selection: number;
  hover: Hit;
  /** One byte per task, 1 where the search matches; null without a search. */
  matches: Uint8Array | null;
  /** Seconds since the run was submitted. */
  t: number;
  /** Pixels at the right that lie under the drawer. */
  covered: number;
  /** A gesture is under way: what is costly may wait. */
  moving: boolean;
  calm: boolean;
  dpr: number;
}

export interface View {
  /** Draw; true asks for another frame (a flight, or something left for when the gesture is over). */
  draw(ctx: CanvasRenderingContext2D, frame: Frame): boolean;
  hit(x: number, y: number): Hit;
  pan(dx: number, dy: number): void;
  zoom(factor: number, x: number, y: number): void;
  fit(): void;
  /** Bring a task into sight, when `covered` pixels at the right lie under the drawer. */
  reveal(task: number, covered: number): void;
  /** A group was clicked: true when that opened it. */
  open(group: number): void;
  /** The task next to `task` (or the first), -1 for none. */
  step(task: number, direction: Direction): number;
  /** Height in pixels at which everything is readable. */
  wish(): number;
}

export function taskOf(hit: Hit): number {
  return hit && "task" in hit ? hit.task : -1;
}
