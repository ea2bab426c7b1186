/** The metrics pane: Bokeh plots whose data follows a run. Same stem as dagnb/widgets/metrics.py. */

import type { AnyModel } from "@anywidget/types";
import { make } from "./dom";
import { themeOf, watchTheme } from "./theme";

interface Traits {
  version: string;
  widget_id: string;
}

/** What is used of BokehJS. */
interface Bokeh {
  embed: { embed_item(item: unknown, target: HTMLElement): Promise<ViewManager> };
}
interface ViewManager {
  roots: Iterable<{ model: { document: BokehDocument | null } }>;
  clear?(): void;
}
interface BokehDocument {
  get_model_by_name(name: string): { data: unknown } | null;
}

type Sources = Record<string, Record<string, unknown[]>>;

type Message =
  | { kind: "bokehjs" }
  | { kind: "doc"; number: number; item: { target_id: string | null } }
  | { kind: "data"; number: number; sources: Sources };

/** Milliseconds after which a question that was not answered is put again, and how often. */
const AGAIN = 4000;
const TIMES = 4;

/** Versions that this page has loaded, over all panes and notebooks. */
const loaded = ((): Map<string, Promise<Bokeh>> => {
  const page = globalThis as Record<symbol, unknown>;
  const key = Symbol.for("dagnb.bokeh");
  page[key] ??= new Map();
  return page[key] as Map<string, Promise<Bokeh>>;
})();

/** BokehJS as the kernel has it, from another pane of this page or over the comm. */
function load(model: AnyModel<Traits>): Promise<Bokeh> {
  const version = model.get("version");
  const known = loaded.get(version);
  if (known) return known;
  const coming = ask<Bokeh>(model, { kind: "need-bokehjs" }, (message, buffers) => {
    if (message.kind !== "bokehjs") return undefined;
    const url = URL.createObjectURL(new Blob([buffers[0] as BlobPart], { type: "text/javascript" }));
    return import(/* @vite-ignore */ url)
      .then((module) => module.default as Bokeh)
      .finally(() => URL.revokeObjectURL(url));
  });
  loaded.set(version, coming);
  coming.catch(() => loaded.delete(version));
  return coming;
}

/** Put a question to the kernel until `take` makes something of an answer. */
function ask<T>(
  model: AnyModel<Traits>,
  question: Record<string, unknown>,
  take: (message: Message, buffers: DataView[]) => Promise<T> | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let tries = 0;
    const hear = (message: Message, buffers: DataView[]): void => {
      const found = take(message, buffers);
      if (found === undefined) return;
      stop();
      found.then(resolve, reject);
    };
    const put = (): void => {
      if (tries++ >= TIMES) {
        stop();
        reject(new Error("No answer from the kernel. Run the cell again to see the plots."));
      } else model.send(question);
    };
    const timer = setInterval(put, AGAIN);
    const stop = (): void => {
      clearInterval(timer);
      model.off("msg:custom", hear);
    };
    model.on("msg:custom", hear);
    put();
  });
}

class Pane {
  private readonly root = make("div", { class: "dagnb-metrics", role: "group", "aria-label": "Metrics" });
  private readonly note = make("div", { role: "status", style: "font: 12px system-ui, sans-serif; opacity: 0.7" });
  private readonly cleaning: (() => void)[] = [];
  private manager: ViewManager | null = null;
  private document: BokehDocument | null = null;
  private number = 0;
  private dark: boolean | null = null;
  private gone = false;

  constructor(
    private readonly model: AnyModel<Traits>,
    host: HTMLElement,
  ) {
    host.append(this.note, this.root);
    this.note.textContent = "Loading the plots …";
    const hear = (message: Message): void => this.hear(message);
    model.on("msg:custom", hear);
    this.cleaning.push(
      () => model.off("msg:custom", hear),
      watchTheme(() => this.paint()),
    );
    this.paint();
  }

  destroy(): void {
    this.gone = true;
    for (const clean of this.cleaning) clean();
    this.manager?.clear?.();
  }

  /** Draw everything, unless it is drawn in this theme already. */
  private async paint(): Promise<void> {
    const { dark } = themeOf(this.root);
    if (dark === this.dark) return;
    this.dark = dark;
    try {
      const bokeh = await load(this.model);
      const doc = await ask(this.model, { kind: "need-doc", dark }, (message) =>
        message.kind === "doc" ? Promise.resolve(message) : undefined,
      );
      if (this.gone || dark !== this.dark) return;
      await this.embed(bokeh, doc);
    } catch (error) {
      this.dark = null;
      this.note.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  private async embed(bokeh: Bokeh, doc: { number: number; item: { target_id: string | null } }): Promise<void> {
    const target = make("div");
    const before = this.manager;
    this.root.replaceChildren(target);
    before?.clear?.();
    this.manager = await bokeh.embed.embed_item({ ...doc.item, target_id: null }, target);
    const [first] = this.manager.roots;
    this.document = first?.model.document ?? null;
    if (this.number === 0) this.cleaning.push(hideStill(this.model.get("widget_id")));
    this.number = doc.number;
    this.note.textContent = "";
  }

  /** New data for the document that is drawn: sources are replaced as a whole. */
  private hear(message: Message): void {
    if (message.kind !== "data" || !this.document) return;
    for (const [name, columns] of Object.entries(message.sources)) {
      const source = this.document.get_model_by_name(name);
      if (source) source.data = columns;
    }
  }
}

/** While the live plots are there, the still ones are not shown; the words around them stay. */
function hideStill(id: string): () => void {
  const still = `.dagnb-static[data-dagnb="${id.replace(/[^\w-]/g, "")}"]`;
  const style = make("style", {}, `${still}{display:none!important}`);
  document.head.append(style);
  return () => style.remove();
}

/** anywidget calls `render` once per view; the kernel may let go of the run when the last one has gone. */
export default () => {
  let views = 0;
  return {
    render({ model, el }: { model: AnyModel<Traits>; el: HTMLElement }): () => void {
      views++;
      const pane = new Pane(model, el);
      return () => {
        pane.destroy();
        if (--views === 0) model.send({ kind: "bye" });
      };
    },
  };
};
