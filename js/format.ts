/** Numbers and names as people read them. */

/** `0.4 ms`, `41 s`, `2 min 5 s`, `3 h 20 min`; two digits, or whole numbers. */
export function seconds(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1e-3) return `${digits(value * 1e6)} µs`;
  if (size < 1) return `${digits(value * 1e3)} ms`;
  if (size < 100) return `${digits(value)} s`;
  if (size < 3600) return pair(value, 60, "min", "s");
  return pair(value / 60, 60, "h", "min");
}

function pair(value: number, per: number, large: string, small: string): string {
  const whole = Math.round(value);
  const rest = whole % per;
  return rest ? `${Math.floor(whole / per)} ${large} ${rest} ${small}` : `${whole / per} ${large}`;
}

/** Two digits, or whole numbers from 100 on; no trailing zeros. */
export function digits(value: number): string {
  const size = Math.abs(value);
  return String(Number(size >= 99.5 || size === 0 ? value.toFixed(0) : value.toPrecision(2)));
}

/** Decimal units, as disks and networks count. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return "–";
  let size = value;
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (Math.abs(size) < 999.5 || unit === "TB") return `${unit === "B" ? Math.round(size) : digits(size)} ${unit}`;
    size /= 1000;
  }
  return "";
}

/** Thousands apart: `10,000`. */
export const count = (value: number): string => value.toLocaleString("en-US");

export const plural = (n: number, word: string): string => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** Cut out the middle until it fits: the ends of task names are what tells them apart. */
export function shorten(text: string, room: number, measure: (text: string) => number): string {
  const flat = text.replace(/\s+/g, " ").slice(0, 200);
  if (measure(flat) <= room) return flat;
  let low = 0;
  let high = flat.length - 1;
  while (low < high) {
    const keep = (low + high + 1) >> 1;
    if (measure(cut(flat, keep)) <= room) low = keep;
    else high = keep - 1;
  }
  return cut(flat, Math.max(1, low));
}

function cut(text: string, keep: number): string {
  const tail = Math.min(keep >> 1, 12);
  return `${text.slice(0, keep - tail)}…${tail ? text.slice(-tail) : ""}`;
}
