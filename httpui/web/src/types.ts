// What the handler answers as JSON. Times are nanoseconds; start_ns and every
// [from, to] pair count from the trace's start.

import type { Spans } from "./columns";

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
  /** The request while it has not ended; the rest is of what has ended so far. */
  in_flight?: { service: string; name: string; age_ns: number } | null;
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

/** Signals is what the process went through in a stretch of the trace's time. */
export interface Signals {
  start_ns: number;
  end_ns: number;
  values: Record<string, number>;
}

/** Stretch is a part of a span's self time of which an execution trace tells what it was. */
export interface Stretch {
  from: number;
  to: number;
  state: string;
  /** How much of it the kernel ran something else; where in it is not known. */
  stolen: number;
}

/** Mark is an event of a span. */
export interface Mark {
  at: number;
  name: string;
}

/** Row is one span of the waterfall as an object; see Spans.row. */
export interface Row extends CPU {
  /** Its place among the trace's rows, which are in display order, parents first. */
  index: number;
  span_id: string;
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
  states?: Record<string, number> | null;
  state_evidence?: Record<string, Evidence> | null;
  critical?: Interval[] | null;
  decides_end?: boolean;
  links?: number;
  timeline?: Stretch[];
  /** The part of the trace's time for which an execution trace tells what the span did. */
  exact?: Interval | undefined;
  marks?: Mark[];
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
  /** The end of the latest span. */
  extent_ns?: number;
  rootless?: boolean;
  kept?: string;
  signals?: Signals[] | null;
  spans: Spans;
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

/** Wait is a place where a span was blocked, or waited for a CPU. */
export interface Wait {
  state: string;
  total_ns: number;
  count: number;
  frames: Frame[];
  /** Where the goroutine was that ended the last of the waits, and the span that it worked for. */
  waker: Frame[];
  waker_span: string;
}

/** SpanDetail is what only the whole span has. */
export interface SpanDetail {
  total_cpu_ns?: number;
  total_cpu_low_ns?: number;
  total_cpu_high_ns?: number;
  total_samples?: number;
  total_evidence?: Evidence;
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
  waits?: Wait[] | null;
  goroutines?: number;
}

/** Problem is the body of every answer that is no data. */
export interface Problem {
  error: string;
  hint?: string;
  evicted?: unknown;
  column?: number;
}
