/** Thousands of thin rectangles in few: neighbours of one colour in one column become one. */

/** Order in which states are painted: what matters most comes last and on top. */
export const PAINT_ORDER = [0, 1, 5, 6, 7, 3, 2, 4];

/** Collects rectangles of one class each, given from top to bottom inside a column, and joins those that touch. */
export class Runs {
  private readonly rects: number[][];
  private readonly openX: Float64Array;
  private readonly openY: Float64Array;
  private readonly openEnd: Float64Array;

  constructor(
    classes: number,
    private readonly slack = 0.6,
  ) {
    this.rects = Array.from({ length: classes }, () => []);
    this.openX = new Float64Array(classes).fill(Number.NaN);
    this.openY = new Float64Array(classes);
    this.openEnd = new Float64Array(classes);
  }

  /** A stretch [from, to] along the running axis at `across` (its column or lane). */
  add(cls: number, across: number, from: number, to: number): void {
    if (this.openX[cls] === across && from <= this.openEnd[cls] + this.slack) {
      if (to > this.openEnd[cls]) this.openEnd[cls] = to;
      return;
    }
    this.flush(cls);
    this.openX[cls] = across;
    this.openY[cls] = from;
    this.openEnd[cls] = to;
  }

  private flush(cls: number): void {
    const across = this.openX[cls];
    if (!Number.isNaN(across)) this.rects[cls].push(across, this.openY[cls], this.openEnd[cls]);
  }

  /** All stretches of a class: across, from, to, across, … */
  of(cls: number): number[] {
    this.flush(cls);
    this.openX[cls] = Number.NaN;
    return this.rects[cls];
  }
}
