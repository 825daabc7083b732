// The line above the list: how fresh it is, and how store and profiler are.

import type { Loaded } from "./api";
import { bytes, count, localTimeBrief } from "./format";
import type { TraceList, TraceSummary } from "./types";

interface Props {
  list: TraceList;
  loaded: Loaded<TraceList>;
  paged: boolean;
  longest: boolean;
  follow: boolean;
  onFollow: (on: boolean) => void;
}

export function Status({ list, loaded, paged, longest, follow, onFollow }: Props) {
  const { reload, loading, at } = loaded;
  return (
    <div class="status-line">
      <span>{count(list.traces?.length ?? 0, "trace")}, {longest ? "longest" : "newest"} first</span>
      {at > 0 && <span class="dim">as of {localTimeBrief(new Date(at).toISOString(), new Date(at)).slice(0, 8)}</span>}
      <Profiler list={list} />
      <Exact list={list} />
      <Store list={list} />
      <Missing traces={list.traces ?? []} />
      <span class="push" />
      {!paged && (
        <label class="check">
          <input type="checkbox" name="follow" checked={follow} onChange={(e) => onFollow(e.currentTarget.checked)} /> follow
        </label>
      )}
      <button type="button" onClick={reload} aria-busy={loading}>
        Refresh
      </button>
    </div>
  );
}

function Profiler({ list }: { list: TraceList }) {
  const p = list.profiler;
  if (!p) return <span class="dim">no CPU profiler: spans and waterfall only</span>;
  const state = p.state && p.state !== "running" ? p.state : "";
  return (
    <span class={p.running ? "dim" : "warn"}>
      CPU profiler {p.running ? "running" : "not running"}
      {state && `: ${state}`}
    </span>
  );
}

/** Exact says of how many slow requests the exact states are known, and why none are taken. */
function Exact({ list }: { list: TraceList }) {
  const x = list.profiler?.exact;
  if (!x) return null;
  const of = x.slow ? ` of ${x.captured} of ${count(x.slow, "slow request")}` : "";
  if (x.armed) return <span class="dim">exact states{of || ": waiting for a slow request"}</span>;
  return (
    <span class={x.slow ? "warn" : "dim"}>
      exact states{of} off: {x.why}
    </span>
  );
}

/** Missing says once why the most of the traces without a CPU figure have none. */
function Missing({ traces }: { traces: TraceSummary[] }) {
  const reasons = new Map<string, number>();
  for (const t of traces) {
    if (t.evidence === "none" && t.cpu_reason) reasons.set(t.cpu_reason, (reasons.get(t.cpu_reason) ?? 0) + 1);
  }
  const [most] = [...reasons].sort(([, a], [, b]) => b - a);
  return most ? (
    <span class="dim">
      CPU ?: {most[0]} ({count(most[1], "trace")})
    </span>
  ) : null;
}

function Store({ list }: { list: TraceList }) {
  const s = list.store;
  if (!s) return null;
  const parts = [];
  if (s.spans !== undefined) parts.push(count(s.spans, "span"));
  if (s.bytes !== undefined && s.max_bytes) parts.push(`${bytes(s.bytes)} of ${bytes(s.max_bytes)}${s.in_memory ? " in memory" : ""}`);
  return (
    <>
      {parts.length > 0 && <span class="dim">store: {parts.join(", ")}</span>}
      {s.dropped ? <span class="warn">{count(s.dropped, "span")} dropped</span> : null}
      {s.last_error && <span class="error-text">store: {s.last_error}</span>}
    </>
  );
}
