import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Channel, Connection, type Listener } from "../connection";
import type { SnapshotMessage, ToKernel } from "../types";

/** The kernel's end: keeps what it hears and says what it is told to. */
class Kernel implements Channel {
  heard: ToKernel[] = [];
  private callback: ((message: unknown, buffers?: DataView[]) => void) | null = null;
  send(message: unknown): void {
    this.heard.push(message as ToKernel);
  }
  on(_: string, callback: (...args: never[]) => void): void {
    this.callback = callback as (message: unknown) => void;
  }
  off(): void {
    this.callback = null;
  }
  say(message: unknown, buffers: DataView[] = []): void {
    this.callback?.(message, buffers);
  }
  get kinds(): string[] {
    return this.heard.map((m) => m.kind);
  }
}

const buffer = (data: Uint8Array | Int32Array | Float32Array): DataView => new DataView(data.buffer as ArrayBuffer);

function snapshot(seq: number, have = false): [SnapshotMessage, DataView[]] {
  const columns: [string, string, DataView][] = [
    ["keys", "u1", buffer(new TextEncoder().encode('["a"]').slice())],
    ["kind", "i4", buffer(new Int32Array(1))],
    ["x", "f4", buffer(new Float32Array(1))],
    ["y", "f4", buffer(new Float32Array(1))],
    ["src", "i4", buffer(new Int32Array(0))],
    ["dst", "i4", buffer(new Int32Array(0))],
    ["bend_start", "i4", buffer(new Int32Array(1))],
    ["bends", "f4", buffer(new Float32Array(0))],
  ];
  const sent = have ? [] : columns;
  return [
    {
      kind: "snapshot",
      run: "r",
      state: "running",
      seq,
      t: 0,
      graph: { fingerprint: "f", name: "g", tasks: 1, kinds: ["k"] },
      plan: null,
      workers: [],
      columns: sent.map(([name, type]) => [name, type]),
    },
    sent.map(([, , data]) => data),
  ];
}
const patch = (seq: number): unknown => ({ kind: "patch", run: "r", state: "running", seq, t: 1 });

describe("a connection", () => {
  let kernel: Kernel;
  let connection: Connection;
  let listener: Listener;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "performance"] });
    kernel = new Kernel();
    connection = new Connection(kernel);
    listener = { state: vi.fn(), detail: vi.fn(), said: vi.fn(), planned: vi.fn(), compared: vi.fn() };
  });
  afterEach(() => vi.useRealTimers());

  it("asks when the first view comes and leaves with the last", () => {
    const one = connection.subscribe(listener);
    const two = connection.subscribe({ ...listener });
    expect(kernel.kinds).toEqual(["ready"]);
    one();
    expect(kernel.kinds).toEqual(["ready"]);
    two();
    expect(kernel.kinds).toEqual(["ready", "bye"]);
  });

  it("folds patches and acknowledges every half second", () => {
    connection.subscribe(listener);
    kernel.say(...snapshot(4));
    kernel.say(patch(5));
    kernel.say(patch(6));
    expect(connection.state?.seq).toBe(6);
    vi.advanceTimersByTime(500);
    expect(kernel.heard.at(-1)).toEqual({ kind: "ack", seq: 6 });
    expect(listener.state).toHaveBeenCalledTimes(3);
  });

  it("asks anew after a gap, once, and says which graph it has", () => {
    connection.subscribe(listener);
    kernel.say(...snapshot(4));
    kernel.say(patch(6));
    kernel.say(patch(7));
    expect(kernel.heard.slice(1)).toEqual([{ kind: "resync", have: "f", seq: 4 }]);
    kernel.say(...snapshot(8, true));
    kernel.say(patch(9));
    expect(connection.state?.seq).toBe(9);
    expect(connection.gaps).toBe(1);
  });

  it("asks again when nobody answers", () => {
    connection.subscribe(listener);
    vi.advanceTimersByTime(4000);
    expect(kernel.kinds).toEqual(["ready", "ready"]);
  });

  it("outlives a kernel that is gone", () => {
    kernel.send = () => {
      throw new Error("closed");
    };
    expect(() => connection.subscribe(listener)()).not.toThrow();
  });

  it("hands over details and answers", () => {
    connection.subscribe(listener);
    kernel.say({ kind: "detail", task: 3, detail: { stdout: "x" } });
    kernel.say({ kind: "said", action: "run", ok: false, text: "no" });
    expect(listener.detail).toHaveBeenCalledWith(3, { stdout: "x" });
    expect(listener.said).toHaveBeenCalledWith("run", false, "no");
  });
});
