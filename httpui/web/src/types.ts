// What the handler answers as JSON. Times are nanoseconds; start_ns and every
// [from, to] pair count from the trace's start.

/** Evidence says how a figure is known. */
export type Evidence = "exact" | "sampled" | "inferred" | "none";

/** Interval is a half-open stretch of the trace's time, [from, to). */
export type Interval = readonly [from: number, to: number];

/** CPU is a CPU time with its interval and what it rests on. */
export interface CPU {
  cpu_ns: number;
  cpu_low_ns: number;
  cpu_high_ns: number;
  samples: number;
  evidence: Evidence;
  /** Why there is no better evidence; empty when there is nothing to say. */
  cpu_reason?: string;
  /** Samples may still arrive: the profile window has not ended. */
  cpu_pending?: boolean;
}

export interface TraceSummary extends CPU {
  trace_id: string;
  service: string;
  services?: string[];
  root_name: string;
  rootless?: boolean;
  start: string;
  wall_ns: number;
  spans: number;
  errors: number;
  kept?: string;
}

export interface ProfilerState {
  running: boolean;
  state?: string;
  exact?: ExactState | null;
}

/** The exact states of slow requests: of how many, and why none are taken when not armed. */
export interface ExactState {
  armed: boolean;
  why: string;
  slow: number;
  captured: number;
}

export interface StoreState {
  open?: boolean;
  in_memory?: boolean;
  spans?: number;
  bytes?: number;
  max_bytes?: number;
  evicted_spans?: number;
  dropped?: number;
  last_error?: string;
}

export interface TraceList {
  traces: TraceSummary[] | null;
  cursor?: string;
  profiler?: ProfilerState | null;
  store?: StoreState | null;
  problems?: string[] | null;
}

export interface BudgetPart {
  state: string;
  ns: number;
  low_ns?: number;
  high_ns?: number;
  evidence: Evidence;
}

export interface Finding {
  kind: string;
  text: string;
  span_ids?: string[] | null;
  saves_ns?: number;
}

export interface ProfileWindow {
  start_ns: number;
  end_ns: number;
  hole?: string;
}

/** Row is one span of the waterfall; rows come in display order, parents first. */
export interface Row extends CPU {
  span_id: string;
  parent_id?: string;
  service: string;
  name: string;
  detail?: string;
  kind?: string;
  status: "unset" | "ok" | "error";
  status_text?: string;
  depth: number;
  children: number;
  awaited: boolean;
  local_root: boolean;
  start_ns: number;
  wall_ns: number;
  self_ns: number;
  self?: Interval[] | null;
  total_cpu_ns?: number;
  total_cpu_low_ns?: number;
  total_cpu_high_ns?: number;
  total_samples?: number;
  total_evidence?: Evidence;
  states?: Record<string, number> | null;
  state_evidence?: Record<string, Evidence> | null;
  critical?: Interval[] | null;
  decides_end?: boolean;
  events?: number;
}

export interface Trace extends CPU {
  trace_id: string;
  service: string;
  root_name: string;
  start: string;
  wall_ns: number;
  critical_ns?: number;
  headline?: { strong: string; rest: string } | null;
  budget?: BudgetPart[] | null;
  spans: Row[] | null;
  findings?: Finding[] | null;
  problems?: string[] | null;
  /** Samples of this trace may still arrive. */
  pending?: boolean;
  windows?: ProfileWindow[] | null;
  /** Whether this reader may see attribute values. */
  values?: boolean;
}

export interface Attribute {
  key: string;
  type?: string;
  value?: unknown;
}

export interface SpanEvent {
  name: string;
  time_ns: number;
  attributes?: Attribute[] | null;
  dropped?: number;
}

export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes?: Attribute[] | null;
  dropped?: number;
}

export interface Frame {
  func: string;
  file?: string;
  line?: number;
}

/** Stack is one call stack, leaf first. */
export interface Stack {
  frames: Frame[];
  samples: number;
}

/** SpanDetail is one span whole; figures as in Row, as far as they are given. */
export interface SpanDetail extends Partial<Omit<Row, "events">> {
  start?: string;
  end?: string;
  attributes?: Attribute[] | null;
  resource?: Attribute[] | null;
  scope?: { name?: string; version?: string; schema_url?: string } | null;
  events?: SpanEvent[] | null;
  links?: SpanLink[] | null;
  dropped?: Record<string, number> | null;
  late_samples?: number;
  stacks?: Stack[] | null;
}

/** Problem is the body of every answer that is no data. */
export interface Problem {
  error: string;
  hint?: string;
  evicted?: unknown;
  column?: number;
}
