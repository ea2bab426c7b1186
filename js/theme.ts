/** Colours. Status tones are those of the static SVG (dagnb/widgets/theme.py): Okabe-Ito, told apart by colour-blind
 * readers, and never told by colour alone. The page itself follows JupyterLab's --jp-* variables. */

import { STATES, type StateName } from "./types";

export interface Tone {
  strong: string;
  soft: string;
  hollow: boolean;
}

export interface Theme {
  dark: boolean;
  page: string;
  card: string;
  border: string;
  text: string;
  quiet: string;
  edge: string;
  ribbon: string;
  stripe: string;
  accent: string;
  onStrong: string;
  tones: Tone[];
  /** Kinds of task, for the edge of a planned bar. */
  kinds: string[];
}

type Pair = [strong: string, soft: string];

function tones(pairs: Record<StateName, Pair>): Tone[] {
  return STATES.map((name) => ({
    strong: pairs[name][0],
    soft: pairs[name][1],
    hollow: name === "waiting" || name === "ready",
  }));
}

export const LIGHT: Theme = {
  dark: false,
  page: "#ffffff",
  card: "#ffffff",
  border: "#c9d1da",
  text: "#1f2733",
  quiet: "#5b6675",
  edge: "#a3aebb",
  ribbon: "#c6ced8",
  stripe: "#f5f7f9",
  accent: "#0067a8",
  onStrong: "#ffffff",
  tones: tones({
    waiting: ["#7d8896", "#ffffff"],
    ready: ["#5b6675", "#ffffff"],
    running: ["#0067a8", "#e0eff9"],
    done: ["#009e73", "#effaf5"],
    failed: ["#d55e00", "#fdebdd"],
    skipped: ["#515c6b", "#eef0f3"],
    cancelled: ["#6b5a8e", "#f2eff8"],
    cached: ["#c470a0", "#fbf1f7"],
  }),
  kinds: ["#4477aa", "#c9a227", "#aa3377", "#228833", "#66a9c9", "#9c6b3f", "#8a8fb8", "#7f7f7f"],
};

export const DARK: Theme = {
  dark: true,
  page: "#15191f",
  card: "#1e242c",
  border: "#3b4552",
  text: "#e6eaf0",
  quiet: "#9aa6b5",
  edge: "#586474",
  ribbon: "#3d4754",
  stripe: "#191e25",
  accent: "#3d9be0",
  onStrong: "#10141a",
  tones: tones({
    waiting: ["#8b97a6", "#1e242c"],
    ready: ["#aab5c3", "#1e242c"],
    running: ["#3d9be0", "#15304a"],
    done: ["#2fc79a", "#18302b"],
    failed: ["#ff8a3d", "#46270f"],
    skipped: ["#b4bfcc", "#2b323b"],
    cancelled: ["#b39ddb", "#2b2540"],
    cached: ["#cc79a7", "#33212c"],
  }),
  kinds: ["#77aadd", "#ddcc77", "#dd88bb", "#66bb77", "#99ddee", "#cc9966", "#aaaedd", "#aaaaaa"],
};

/** 0 (black) … 1 (white) of a CSS colour as browsers compute it, or null when it is not one. */
export function luminance(colour: string): number | null {
  const hex = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(colour.trim());
  if (hex) {
    const wide = hex[1].length === 3 ? hex[1].replace(/./g, "$&$&") : hex[1];
    const parts = [0, 2, 4].map((i) => Number.parseInt(wide.slice(i, i + 2), 16) / 255);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  }
  const rgb = /^rgba?\(\s*([\d.]+)[\s,]+([\d.]+)[\s,]+([\d.]+)(?:[\s,/]+([\d.]+))?/i.exec(colour.trim());
  if (!rgb || rgb[4] === "0") return null;
  return (0.2126 * Number(rgb[1]) + 0.7152 * Number(rgb[2]) + 0.0722 * Number(rgb[3])) / 255;
}

/** The theme of the page around `el`: JupyterLab's variables, VS Code's, the system's wish. */
export function themeOf(el: Element): Theme {
  const style = getComputedStyle(el);
  const page =
    style.getPropertyValue("--jp-layout-color0").trim() ||
    style.getPropertyValue("--vscode-editor-background").trim() ||
    style.getPropertyValue("--marimo-background").trim();
  const light = luminance(page);
  const dark = light === null ? matchMedia("(prefers-color-scheme: dark)").matches : light < 0.5;
  const base = dark ? DARK : LIGHT;
  return light === null ? base : { ...base, page };
}

/** Call `changed` when the page may have another theme; returns how to stop. */
export function watchTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  const filter = ["class", "style", "data-jp-theme-light", "data-jp-theme-name", "data-theme"];
  for (const node of [document.documentElement, document.body]) {
    observer.observe(node, { attributes: true, attributeFilter: filter });
  }
  // JupyterLab changes the attributes first and loads the style sheet of the new theme after that.
  const sheets = new MutationObserver(() => setTimeout(changed, 300));
  sheets.observe(document.head, { childList: true });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    sheets.disconnect();
    system.removeEventListener("change", changed);
  };
}

export const calm = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The custom properties that style.ts uses. */
export function setColours(root: HTMLElement, theme: Theme): void {
  const names = ["page", "card", "border", "text", "quiet", "stripe", "accent"] as const;
  for (const name of names) root.style.setProperty(`--dagnb-${name}`, theme[name]);
  root.style.setProperty("--dagnb-on-strong", theme.onStrong);
  root.style.setProperty("--dagnb-done", theme.tones[3].strong);
  root.style.setProperty("--dagnb-failed", theme.tones[4].strong);
  root.style.setProperty("--dagnb-failed-soft", theme.tones[4].soft);
  root.style.setProperty("color-scheme", theme.dark ? "dark" : "light");
}

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
