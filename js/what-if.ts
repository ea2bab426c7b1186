/** Sliders for what might be: workers, memory, bandwidth. At each drag the kernel plans again; the newest position wins.
 *
 * One question is under way at a time. What is dragged meanwhile waits, and only its last position is asked: the picture
 * keeps up with the hand as fast as the kernel can, and never works through a queue. */

import { make } from "./dom";
import { bytes } from "./format";
import { clamp } from "./scales";
import type { Header, Knobs } from "./types";

export interface WhatIfEvents {
  /** Plan with these; null: what is real again. */
  ask(id: number, knobs: Knobs | null): void;
  say(text: string, ok: boolean): void;
}

type Name = keyof Knobs;

interface Slider {
  name: Name;
  label: string;
  /** Position ↔ value. */
  at(value: number): number;
  value(at: number): number;
  text(value: number): string;
  range(value: number): [low: number, high: number, step: number];
}

/** Two digits: the value that is shown is the value that is meant. */
const round = (value: number): number => Number(value.toPrecision(2));

const SLIDERS: Slider[] = [
  {
    name: "workers",
    label: "workers",
    at: (value) => value,
    value: Math.round,
    text: (value) => String(value),
    range: (value) => [1, Math.max(32, 2 * value), 1],
  },
  {
    name: "memory",
    label: "memory",
    at: (value) => Math.log2(value / 1e9),
    value: (at) => round(2 ** at) * 1e9,
    text: (value) => `${bytes(value)} each`,
    range: (value) => [Math.min(-3, Math.log2(value / 1e9)), Math.max(6, Math.log2(value / 1e9)), 0.25],
  },
  {
    name: "bandwidth",
    label: "bandwidth",
    at: (value) => Math.log10(value),
    value: (at) => round(10 ** at),
    text: (value) => `${bytes(value)}/s`,
    range: (value) => [Math.min(5, Math.log10(value)), Math.max(10.5, Math.log10(value)), 0.1],
  },
];

/** Milliseconds without an answer after which the kernel is taken to be busy. */
const PATIENCE = 1500;

export class WhatIf {
  readonly element = make("div", { class: "dagnb-knobs", hidden: true, role: "group", "aria-label": "What if" });
  /** Milliseconds from the last question to its answer: for measuring. */
  took = 0;
  private readonly inputs: HTMLInputElement[];
  private readonly values: HTMLElement[];
  private readonly back: HTMLButtonElement;
  private real: Knobs | null = null;
  private wanted: Knobs | null = null;
  private changed = false;
  private header: Header | null = null;
  private under = 0;
  private last = 0;
  private asked = 0;
  private busy: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly events: WhatIfEvents) {
    this.values = SLIDERS.map(() => make("output", {}));
    this.inputs = SLIDERS.map((slider, i) => {
      const input = make("input", { type: "range", "aria-label": slider.label, oninput: () => this.turn(i) });
      input.dataset.lmSuppressShortcuts = "true";
      return input;
    });
    this.back = make("button", { type: "button", hidden: true, onclick: () => this.reset() }, "Reset");
    const labels = SLIDERS.map(({ label }, i) => make("label", {}, label, this.inputs[i], this.values[i]));
    this.element.append(make("span", { class: "dagnb-if" }, "What if"), ...labels, this.back);
  }

  /** The header has changed, or the view. */
  update(header: Header, shown: boolean): void {
    const knobs = header.knobs ?? null;
    this.header = header;
    this.element.hidden = !shown || !knobs;
    if (!knobs) return;
    if (!header.what_if) this.real = knobs;
    this.back.hidden = !header.what_if && !this.changed;
    this.element.classList.toggle("dagnb-on", header.what_if === true);
    if (this.under || this.changed) return; // a hand is at the sliders
    this.wanted = knobs;
    SLIDERS.forEach((slider, i) => {
      const [low, high, step] = slider.range(this.real?.[slider.name] ?? knobs[slider.name]);
      const input = this.inputs[i];
      Object.assign(input, { min: String(low), max: String(high), step: step === 1 ? "1" : "any" });
      input.value = String(slider.at(knobs[slider.name]));
      this.values[i].textContent = slider.text(knobs[slider.name]);
    });
  }

  /** The kernel has planned, or refused. */
  planned(id: number, ok: boolean, text: string): void {
    if (id !== this.last) return;
    this.under = 0;
    this.took = performance.now() - this.asked;
    clearTimeout(this.busy);
    this.events.say(text, ok);
    if (this.changed) this.send();
    else if (this.header) this.update(this.header, !this.element.hidden);
  }

  private turn(i: number): void {
    const slider = SLIDERS[i];
    if (!this.wanted || !this.real) return;
    const [low, high] = slider.range(this.real[slider.name]);
    const value = slider.value(clamp(Number(this.inputs[i].value), low, high));
    this.values[i].textContent = slider.text(value);
    this.wanted = { ...this.wanted, [slider.name]: value };
    this.changed = true;
    this.back.hidden = false;
    if (!this.under) this.send();
  }

  private reset(): void {
    if (!this.real) return;
    this.wanted = this.real;
    this.changed = false;
    this.ask(null);
  }

  private send(): void {
    this.changed = false;
    this.ask(this.wanted);
  }

  private ask(knobs: Knobs | null): void {
    this.last += 1;
    this.under = this.last;
    this.asked = performance.now();
    this.events.ask(this.under, knobs);
    clearTimeout(this.busy);
    // An older ipykernel hears us only after the cell; say so rather than look dead.
    this.busy = setTimeout(() => {
      this.under = 0;
      this.events.say("The kernel is busy. It plans when the cell ends; its ■ button interrupts the cell.", false);
    }, PATIENCE);
  }
}
