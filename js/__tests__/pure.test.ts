import { describe, expect, it } from "vitest";
import { make } from "../dom";
import { bytes, digits, plural, seconds, shorten } from "../format";
import { said } from "../graph-groups";
import { Runs } from "../runs";
import { fitted, framed, held, limits, lookAt, ticks, zoomAt, zoomOf } from "../scales";
import { nextMatch, search } from "../search";
import { emptyLive } from "../state";
import { DARK, LIGHT, luminance } from "../theme";
import { headline, outcome } from "../toolbar";
import type { DagState, Header } from "../types";

describe("format", () => {
  it.each([
    [0, "0 s"],
    [4.2e-5, "42 µs"],
    [0.0123, "12 ms"],
    [1.25, "1.3 s"],
    [41.3, "41 s"],
    [125, "2 min 5 s"],
    [120, "2 min"],
    [12_000, "3 h 20 min"],
    [Number.NaN, "–"],
  ])("%s seconds is %s", (value, text) => expect(seconds(value)).toBe(text));
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1500, "1.5 kB"],
    [2.5e8, "250 MB"],
    [3.2e12, "3.2 TB"],
  ])("%s bytes is %s", (value, text) => expect(bytes(value)).toBe(text));
  it("counts in words", () => {
    expect(plural(1, "task")).toBe("1 task");
    expect(plural(10_000, "task")).toBe("10,000 tasks");
    expect(digits(0.05)).toBe("0.05");
  });
  it("cuts the middle out and keeps both ends", () => {
    const width = (text: string): number => text.length;
    expect(shorten("short", 10, width)).toBe("short");
    const cut = shorten("preprocess_images[1234]", 12, width);
    expect(cut.length).toBeLessThanOrEqual(12);
    expect(cut).toMatch(/^pre.*…/);
    expect(cut.endsWith("4]")).toBe(true);
    expect(shorten("abc", 0, width).length).toBeLessThanOrEqual(2);
  });
});

describe("camera", () => {
  const view = { width: 1000, height: 500 };
  const worlds = [
    { width: 300, height: 100 },
    { width: 1600, height: 60_000 },
    { width: 90_000, height: 120 },
  ];
  it.each(worlds)("fits %o", (world) => {
    const camera = fitted(world, view, limits(world, view));
    expect(camera.kx).toBeLessThanOrEqual(1);
    for (const [t, k, length, room] of [
      [camera.tx, camera.kx, world.width, view.width],
      [camera.ty, camera.ky, world.height, view.height],
    ]) {
      expect(t).toBeGreaterThan(0);
      expect(t + length * k).toBeLessThan(room);
    }
  });
  it.each(worlds)("zooming keeps what lies under the pointer: %o", (world) => {
    const bounds = limits(world, view);
    const camera = zoomAt(fitted(world, view, bounds), 3, 400, 200, bounds);
    const again = zoomAt(camera, 1.7, 321, 123, bounds);
    expect((321 - again.tx) / again.kx).toBeCloseTo((321 - camera.tx) / camera.kx, 6);
    expect((123 - again.ty) / again.ky).toBeCloseTo((123 - camera.ty) / camera.ky, 6);
    expect(zoomOf(zoomAt(camera, 1e9, 0, 0, bounds))).toBeCloseTo(bounds.most);
    expect(zoomOf(zoomAt(camera, 1e-9, 0, 0, bounds))).toBeCloseTo(bounds.least);
  });
  it("never loses the world", () => {
    const world = worlds[1];
    const bounds = limits(world, view);
    const far = { ...lookAt(800, 30_000, 1, view, bounds), tx: 1e7, ty: -1e9 };
    const back = held(far, world, view);
    expect(back.tx).toBeLessThan(view.width);
    expect(back.ty + world.height * back.ky).toBeGreaterThan(0);
    expect(framed(far, world, view).tx).toBeLessThan(50);
  });
  it("has round ticks", () => {
    expect(ticks(0, 10, 1000, 90)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(ticks(0.2, 0.4, 300, 90).length).toBeGreaterThanOrEqual(2);
    expect(ticks(0, 0, 100)).toEqual([]);
  });
});

describe("runs", () => {
  it("joins neighbours of one class in one lane only", () => {
    const runs = new Runs(2);
    runs.add(0, 5, 0, 1);
    runs.add(0, 5, 1.2, 2);
    runs.add(1, 5, 2, 3);
    runs.add(0, 5, 9, 10);
    runs.add(0, 6, 10, 11);
    expect(runs.of(0)).toEqual([5, 0, 2, 5, 9, 10, 6, 10, 11]);
    expect(runs.of(1)).toEqual([5, 2, 3]);
  });
});

describe("search", () => {
  const live = emptyLive(3);
  live.state.set([3, 4, 0]);
  live.worker.set([0, 1, 0xffff]);
  const graph = { keys: ["raw", "fit[0]", "fit[1]"], kinds: ["load", "fit"], kind: [0, 1, 1], tasks: 3 };
  const state = { graph, live, plan: null, workers: ["w0", "w1"] } as unknown as DagState;
  it.each([
    ["fit", [0, 1, 1]],
    ["status:failed", [0, 1, 0]],
    ["worker:w0", [1, 0, 0]],
    ["worker:1", [0, 1, 0]],
    ["kind:fit 1", [0, 0, 1]],
    ["FIT[0]", [0, 1, 0]],
  ])("%s", (query, found) => expect([...(search(query, state) ?? [])]).toEqual(found));
  it("finds nothing without a query, and goes round", () => {
    expect(search("  ", state)).toBeNull();
    const found = new Uint8Array([1, 0, 1]);
    expect([
      nextMatch(found, 0),
      nextMatch(found, 2),
      nextMatch(found, 0, -1),
      nextMatch(new Uint8Array(3), 0),
    ]).toEqual([2, 0, 2, -1]);
  });
});

describe("words", () => {
  const header: Header = {
    name: "etl",
    tasks: 10,
    planner: "heft",
    workers: 8,
    forecast: 41,
    lower_bound: 34,
    has_seconds: true,
    declared: false,
    actions: [],
  };
  it("tell the forecast, and none without seconds", () => {
    expect(headline(header)).toBe("10 tasks · forecast 41 s on 8 workers · best possible 34 s");
    expect(headline({ ...header, has_seconds: false })).toBe("10 tasks · no forecast yet on 8 workers");
  });
  it("tell how a saved run ended", () => {
    expect(outcome(null, { state: "done", makespan: 2 })).toBe("done in 2 s");
    expect(outcome(null, { state: "failed", makespan: 2, counts: { failed: 3 } })).toBe("3 failed after 2 s");
    expect(outcome(null, {})).toBe("");
  });
  it("say what matters first, and only what fits", () => {
    const tally = [0, 0, 2, 5, 1, 0, 0, 0];
    expect(said(tally, 100, (t) => t.length)).toBe("1 failed · 2 running · 5 done");
    expect(said(tally, 12, (t) => t.length)).toBe("1 failed");
  });
  it("from users stay text", () => {
    const element = make("div", {}, "<img src=x onerror=alert(1)>");
    expect(element.children.length).toBe(0);
    expect(element.textContent).toContain("<img");
  });
});

describe("theme", () => {
  it("tells dark from light", () => {
    expect(luminance("#fff")).toBeCloseTo(1);
    expect(luminance("rgb(17, 20, 24)")).toBeLessThan(0.2);
    expect(luminance("nonsense")).toBeNull();
    expect(luminance("rgba(0,0,0,0)")).toBeNull();
  });
  it.each([LIGHT, DARK])("has readable text and glyphs", (theme) => {
    const light = (colour: string): number => luminance(colour) ?? Number.NaN;
    for (const tone of theme.tones) {
      expect(Math.abs(light(theme.text) - light(tone.soft))).toBeGreaterThan(0.5);
      expect(Math.abs(light(tone.strong) - light(theme.page))).toBeGreaterThan(0.25);
    }
  });
});
