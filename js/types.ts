/** What travels between kernel and browser, and what the views draw. Mirrors dagnb/widgets/snapshot.py and feed.py. */

/** The life of a task; the numbers are those of `TaskState` in dagnb/trace/events.py. */
export const STATES = ["waiting", "ready", "running", "done", "failed", "skipped", "cancelled", "cached"] as const;
export type StateName = (typeof STATES)[number];

export const WAITING = 0;
export const READY = 1;
export const RUNNING = 2;
export const DONE = 3;
export const FAILED = 4;
export const SKIPPED = 5;
export const CANCELLED = 6;
export const CACHED = 7;

/** The worker of a task that has none. */
export const NO_WORKER = 0xffff;

/** Small durable facts: the traitlets of the widget, saved with the notebook. */
export interface Traits {
  mode: Mode;
  selection: number;
  header: Header;
  summary: Summary;
  compared: Compared;
  widget_id: string;
}
export type Mode = "graph" | "plan" | "compare";

/** Plans side by side: the number of the comparison, how many rows it has, and which one is the plan now. */
export interface Compared {
  id?: number;
  rows?: number;
  chosen?: number;
}

/** Where the sliders stand: workers, bytes of memory of each, bytes per second between two. */
export interface Knobs {
  workers: number;
  memory: number;
  bandwidth: number;
}

/** Seconds, or NaN-free null where there is no forecast. `actions` names the buttons that somebody answers. */
export interface Header {
  name: string;
  tasks: number;
  planner: string;
  workers: number;
  forecast: number | null;
  lower_bound: number | null;
  /** Where the makespan is to be expected. */
  interval?: [low: number, high: number] | null;
  has_seconds: boolean;
  declared: boolean;
  actions: string[];
  /** Absent where nobody plans what might be. */
  knobs?: Knobs | null;
  /** The plan is one that might be: a slider was moved. */
  what_if?: boolean;
  /** Of what the plan decides. */
  fingerprint?: string;
}

/** How the last run ended (or stands); `makespan` in seconds. */
export interface Summary {
  run?: string;
  state?: RunState;
  makespan?: number;
  counts?: Partial<Record<StateName, number>>;
}
export type RunState = "" | "running" | "done" | "failed" | "cancelled";

/** Kernel → browser. Columns of a snapshot travel as one buffer each, in the order of `columns`. */
export type FromKernel =
  | SnapshotMessage
  | { kind: "patch"; run: string; seq: number; t: number; state: RunState }
  | { kind: "detail"; task: number; detail: Detail }
  | { kind: "said"; action: string; ok: boolean; text: string }
  | { kind: "planned"; id: number; ok: boolean; text: string }
  | CompareMessage;

/** The small Gantts of the rows lie one after the other in the columns first, lane, start, end, kind and height. */
export interface CompareMessage {
  kind: "compare";
  id: number;
  best: number;
  rows: CompareRow[];
  columns: [name: string, type: string][];
}
/** Figures are null where they are not known, and all of them where the planner failed. */
export interface CompareRow {
  planner: string;
  label: string;
  workers: number;
  error: string;
  has_seconds: boolean;
  lanes: number;
  makespan: number | null;
  interval: [low: number, high: number] | null;
  lower_bound: number | null;
  gap: number | null;
  gb_seconds: number | null;
  worker_seconds: number | null;
  bytes_moved: number | null;
  cold_starts: number | null;
  locality: number | null;
}

export interface SnapshotMessage {
  kind: "snapshot";
  run: string;
  state: RunState;
  seq: number;
  t: number;
  graph: GraphFacts;
  plan: PlanFacts | null;
  workers: string[];
  columns: [name: string, type: string][];
}
export interface GraphFacts {
  fingerprint: string;
  name: string;
  tasks: number;
  kinds: string[];
  /** Sizes in pixels at scale 1; absent when the graph part is left out because the browser has it. */
  layout?: PageFacts & { overview?: PageFacts };
  /** What stands on the boxes of the overview. */
  heads?: string[];
}
export interface PageFacts {
  width: number;
  height: number;
  card: [width: number, height: number];
}
export interface PlanFacts {
  planner: string;
  makespan: number;
  lower_bound: number | null;
  interval?: [low: number, high: number] | null;
  has_seconds: boolean;
}

/** Browser → kernel. */
export type ToKernel =
  | { kind: "ready"; have: string }
  | { kind: "resync"; have: string; seq: number }
  | { kind: "ack"; seq: number }
  | { kind: "bye" }
  | { kind: "get-detail"; task: number }
  | { kind: "action"; name: string }
  | { kind: "get-compare" }
  | { kind: "pick"; row: number }
  | ({ kind: "what-if"; id: number } & (Knobs | { reset: true }));

/** Asked on demand for one task; every text is the user's and goes into the page as text only. */
export interface Detail {
  where?: string;
  resources?: Record<string, string | number>;
  error?: string;
  traceback?: string;
  /** A line for each failed try that was followed by another. */
  tries?: string;
  stdout?: string;
  stderr?: string;
  note?: string;
}

/** A drawing on a page of its own: centres of cards of one size, and edges with the points they pass. */
export interface Drawn {
  x: Float32Array;
  y: Float32Array;
  src: Int32Array;
  dst: Int32Array;
  bendStart: Int32Array;
  bends: Float32Array;
  cardWidth: number;
  cardHeight: number;
  width: number;
  height: number;
}

export interface Graph extends GraphFacts, Drawn {
  keys: string[];
  kind: Int32Array;
  groups: Groups | null;
  /** CSR: edges that leave task i are outEdges[outStart[i]:outStart[i+1]]; likewise into it. */
  outStart: Int32Array;
  outEdges: Int32Array;
  inStart: Int32Array;
  inEdges: Int32Array;
}

/** The overview: boxes of tasks of one kind (and column), and ribbons that stand for `count` edges each. */
export interface Groups extends Drawn {
  of: Int32Array;
  heads: string[];
  size: Int32Array;
  count: Int32Array;
  /** Left, top, right, bottom of the members of each box on the page of tasks. */
  extent: Float32Array;
}

export interface Planned extends PlanFacts {
  worker: Uint16Array;
  /** 1 where the plan leaves the worker open; `worker` is then the simulator's choice. */
  free: Uint8Array;
  start: Float64Array;
  end: Float64Array;
  fetch: Float32Array;
  critical: Uint8Array;
  asides: Aside[];
}

/** What an aside is; the numbers are those of `RecordKind` in dagnb/trace/records.py. */
export const PRELOADED = 7;
export const COPIED = 8;
export const BEGUN = 9;
export const GIVEN_UP = 10;
export const RETRIED = 11;

/** Something beside the tasks' own lives: an output fetched ahead, a copy that came second, a failed try, a start. */
export interface Aside {
  kind: number;
  start: number;
  end: number;
  task: number;
  worker: number;
  cold: boolean;
}

/** What happened so far: one row per task, times in seconds since the run was submitted. */
export interface Live {
  state: Uint8Array;
  attempt: Uint8Array;
  worker: Uint16Array;
  start: Float64Array;
  end: Float64Array;
  size: Float64Array;
  fetch: Float32Array;
  upload: Float32Array;
  asides: Aside[];
}

export interface DagState {
  graph: Graph;
  plan: Planned | null;
  workers: string[];
  live: Live;
  /** Tasks by state, in the order of STATES. */
  counts: number[];
  run: string;
  runState: RunState;
  seq: number;
  /** Kernel time of the last message in seconds since submission, and when it came (performance.now / 1000). */
  t: number;
  received: number;
}
