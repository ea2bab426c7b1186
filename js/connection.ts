/** Talks with the kernel: asks for a snapshot, folds patches, acknowledges, notices gaps. One per model, shared by its
 * views; it draws nothing. */

import { applyPatch, applySnapshot, type Patch } from "./state";
import type { CompareMessage, DagState, Detail, FromKernel, Knobs, SnapshotMessage, ToKernel } from "./types";

/** The part of anywidget's model that is used. */
export interface Channel {
  send(content: unknown): void;
  on(name: string, callback: (...args: never[]) => void): void;
  off(name: string, callback: (...args: never[]) => void): void;
}

export interface Listener {
  state(state: DagState): void;
  detail(task: number, detail: Detail): void;
  said(action: string, ok: boolean, text: string): void;
  /** The sliders' position `id` was planned, or refused. */
  planned(id: number, ok: boolean, text: string): void;
  compared(message: CompareMessage, buffers: DataView[]): void;
}

/** Seconds between acknowledgements while messages come; the kernel stops after 5 without one. */
const ACK = 0.5;
/** Seconds after which a request is asked again, twice as long every time: the kernel may be busy, or gone. */
const AGAIN = 3;

const now = (): number => performance.now() / 1000;

export class Connection {
  state: DagState | null = null;
  /** Snapshots asked for because a patch was missing. */
  gaps = 0;
  private readonly listeners = new Set<Listener>();
  private acked = -1;
  private heard = 0;
  private asked = Number.NEGATIVE_INFINITY;
  private waiting = false;
  private patience = AGAIN;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly channel: Channel) {}

  /** Take part; the first listener wakes the kernel up, the last one to leave lets it sleep. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.start();
    if (this.state) listener.state(this.state);
    return () => {
      if (this.listeners.delete(listener) && !this.listeners.size) this.stop();
    };
  }

  askDetail(task: number): void {
    this.send({ kind: "get-detail", task });
  }

  act(name: string): void {
    this.send({ kind: "action", name });
  }

  pick(row: number): void {
    this.send({ kind: "pick", row });
  }

  askCompare(): void {
    this.send({ kind: "get-compare" });
  }

  /** Plan what might be, or with null what is. */
  whatIf(id: number, knobs: Knobs | null): void {
    this.send(knobs ? { kind: "what-if", id, ...knobs } : { kind: "what-if", id, reset: true });
  }

  private start(): void {
    this.channel.on("msg:custom", this.receive);
    this.timer = setInterval(() => this.tick(), ACK * 1000);
    this.ask("ready");
  }

  private stop(): void {
    this.channel.off("msg:custom", this.receive);
    clearInterval(this.timer);
    this.send({ kind: "bye" });
  }

  private send(message: ToKernel): void {
    try {
      this.channel.send(message);
    } catch {
      // The kernel is gone: the picture stays as it is, and the next tick tries again.
    }
  }

  private ask(kind: "ready" | "resync"): void {
    this.waiting = true;
    this.asked = now();
    const have = this.state?.graph.fingerprint ?? "";
    this.send(kind === "ready" ? { kind, have } : { kind, have, seq: this.state?.seq ?? -1 });
  }

  private tick(): void {
    if (this.waiting) {
      if (now() - this.asked <= this.patience) return;
      this.patience *= 2;
      this.ask(this.state ? "resync" : "ready");
    } else if (this.state && (this.heard > 0 || this.state.runState === "running")) {
      // While a run lives we acknowledge even silence: a kernel that had given us up hears that we are back.
      this.heard = 0;
      this.acked = this.state.seq;
      this.send({ kind: "ack", seq: this.acked });
    }
  }

  private readonly receive = (message: FromKernel, buffers: DataView[] = []): void => {
    switch (message.kind) {
      case "snapshot":
        this.snapshot(message, buffers);
        break;
      case "patch":
        this.patch(message, buffers);
        break;
      case "detail":
        for (const listener of this.listeners) listener.detail(message.task, message.detail);
        break;
      case "said":
        for (const listener of this.listeners) listener.said(message.action, message.ok, message.text);
        break;
      case "planned":
        for (const listener of this.listeners) listener.planned(message.id, message.ok, message.text);
        break;
      case "compare":
        for (const listener of this.listeners) listener.compared(message, buffers);
        break;
      default:
        message satisfies never;
    }
  };

  private snapshot(message: SnapshotMessage, buffers: DataView[]): void {
    const whole = message.columns.some(([name]) => name === "keys");
    if (!whole && this.state?.graph.fingerprint !== message.graph.fingerprint) {
      // Meant for another page that looks at the same widget: we hold another graph, or none.
      if (!this.waiting) this.ask("resync");
      return;
    }
    this.waiting = false;
    this.patience = AGAIN;
    this.take(applySnapshot(this.state, message, buffers, now()));
  }

  private patch(message: Patch, [records, asides]: DataView[]): void {
    if (!this.state || this.waiting) return;
    const next = applyPatch(this.state, message, records, now(), asides);
    if (next) {
      this.take(next);
    } else {
      this.gaps += 1;
      this.ask("resync");
    }
  }

  private take(state: DagState): void {
    this.state = state;
    this.heard += 1;
    for (const listener of this.listeners) listener.state(state);
  }
}
