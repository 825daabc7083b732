// The store's and the profiler's own figures: what spanclock holds, costs and misses.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { useData } from "./api";
import { bytes, count, duration, localTime, utcTitle } from "./format";
import type { ViewProps } from "./lazy";
import { Again, Outcome } from "./loaded";
import { Problems } from "./notes";
import { pageHref } from "./route";

interface Vitals {
  now: string;
  build: { go: string; os: string; arch: string; gomaxprocs: number; spanclock: string; main: string; revision: string; store_format: number };
  store: { open: boolean; in_memory: boolean; spans: number; bytes: number; max_bytes: number; evicted_spans: number; dropped: number; last_error: string };
  ring: {
    dir: string;
    blocks: number;
    segments: number;
    oldest: string;
    damaged_bytes: number;
    damaged_segments: number;
    memory_bytes: number;
    max_memory: number;
    accepted: number;
    durable: number;
    queued: number;
    dropped: Record<string, number>;
    lost: number;
    clipped: number;
    redact_failed: number;
    usage_dropped: number;
    evicted_segments: number;
    last_eviction: { when: string; why: string } | null;
    kept_traces: number;
    kept_spans: number;
    kept_bytes: number;
    commits: number;
    written_bytes: number;
  };
  runs: { id: string; pid: number; go: string; path: string; version: string; revision: string; start: string; this: boolean }[];
  profiler: {
    running: boolean;
    state: string;
    covered: number | null;
    governor?: { level: string; why: string; since: string; budget: number; cost: number; profiler_cpu_ns: number; store_cpu_ns: number };
    exact?: {
      armed: boolean;
      why: string;
      slow: number;
      captured: number;
      missed: number;
      snapshots: number;
      last_bytes: number;
      last_cpu_ns: number;
      events_per_second: number;
    };
  };
  sampling: Record<string, number> & { labels_readable: boolean; last_error: string };
  signals: { known: string[]; missing: string[] };
  problems: string[];
}

export default function HealthView(_: ViewProps) {
  const loaded = useData<Vitals>(pageHref("health"));
  const { data, reload } = loaded;
  useEffect(() => {
    document.title = "Health · spanclock";
  }, []);
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && reload(), 5000);
    return () => clearInterval(timer);
  }, [reload]);
  return (
    <>
      <h1 class="page-title">Health</h1>
      <div class="status-line">
        {data && <span class="dim">as of {localTime(data.now).slice(11, 19)}, every 5 s</span>}
        <Again href={pageHref("health")} from={loaded} />
      </div>
      <Outcome of={loaded} waiting="Loading…" />
      {data && (
        <>
          <Problems problems={data.problems} />
          <div class="vitals">
            <Store v={data} />
            <Profiler v={data} />
            <Exact v={data} />
            <Signals v={data} />
            <Build v={data} />
          </div>
        </>
      )}
    </>
  );
}

type Line = readonly [name: string, value: ComponentChildren];

function Card({ title, lines, children }: { title: string; lines: readonly (Line | false)[]; children?: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      {children}
      <dl>
        {lines.map((l) => l && (
          <div key={l[0]}>
            <dt>{l[0]}</dt>
            <dd>{l[1]}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** Meter draws how much of a bound is taken. */
function Meter({ label, part, whole, words }: { label: string; part: number; whole: number; words: string }) {
  const share = whole > 0 ? Math.min(1, part / whole) : 0;
  return (
    <div class="meter">
      <span>
        {label} <span class="dim">{words}</span>
      </span>
      <span class="meter-bar" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * share)} aria-valuetext={words}>
        <span style={{ width: `${100 * share}%` }} />
      </span>
    </div>
  );
}

const number = (n: number | undefined) => (n ?? 0).toLocaleString("en");
const time = (iso: string) => (iso ? <time title={utcTitle(iso)}>{localTime(iso).slice(0, 19)}</time> : "–");
const bad = (n: number, text: string) => (n > 0 ? <span class="warn">{text}</span> : text);

function Store({ v }: { v: Vitals }) {
  const { store: s, ring: r } = v;
  if (!s.open) {
    return (
      <Card title="Store" lines={[]}>
        <p>There is no span store: spanstore.Open failed, or OTEL_SDK_DISABLED is true. The error that Open returned says why.</p>
      </Card>
    );
  }
  const d = r.dropped;
  return (
    <Card
      title="Store"
      lines={[
        ["Directory", s.in_memory ? "in memory" : <span class="mono">{r.dir}</span>],
        ["Spans", `${number(s.spans)} in ${count(r.blocks, "block")}, ${count(r.segments, "segment")}`],
        ["Oldest", time(r.oldest)],
        ["Came in", `${number(r.accepted)} since the start; ${number(r.durable)} durable, ${number(r.queued)} queued`],
        ["Dropped", bad(s.dropped, s.dropped > 0 ? `${number(s.dropped)}: queue full ${number(d["queue"])}, disk ${number(d["disk"])}, not encodable ${number(d["broken"])}, after Close ${number(d["closed"])}` : "none")],
        ["Evicted", `${number(s.evicted_spans)} spans in ${count(r.evicted_segments, "segment")}`],
        r.last_eviction !== null && ["Last eviction", <>{time(r.last_eviction.when)}: {r.last_eviction.why}</>],
        ["Kept beyond the ring", `${count(r.kept_traces, "trace")}, ${bytes(r.kept_bytes)}`],
        ["Damage", bad(r.lost + r.damaged_segments, r.lost + r.damaged_segments > 0 ? `${number(r.lost)} spans lost, ${count(r.damaged_segments, "segment")} set aside (${bytes(r.damaged_bytes)})` : "none")],
        ["Clipped", `${number(r.clipped)} values; redaction failed ${number(r.redact_failed)} times; ${number(r.usage_dropped)} usage records dropped`],
        ["Written", `${bytes(r.written_bytes)} in ${count(r.commits, "commit")}`],
        s.last_error !== "" && ["Last error", <span class="error-text">{s.last_error}</span>],
      ]}
    >
      <Meter label="Disk" part={s.bytes} whole={s.max_bytes} words={`${bytes(s.bytes)} of ${bytes(s.max_bytes)}`} />
      <Meter label="Memory" part={r.memory_bytes} whole={r.max_memory} words={`${bytes(r.memory_bytes)} of ${bytes(r.max_memory)}`} />
    </Card>
  );
}

const share = (x: number) => `${(100 * x).toFixed(x < 0.1 ? 2 : 0)} %`;

function Profiler({ v }: { v: Vitals }) {
  const { profiler: p, sampling: s } = v;
  const g = p.governor;
  if (!g) {
    return (
      <Card title="CPU profiler" lines={[]}>
        <p>There is none: spans and waterfall only. Set httpui.Options.Profiler to what profiler.Start returned.</p>
      </Card>
    );
  }
  return (
    <Card
      title="CPU profiler"
      lines={[
        ["State", p.running ? p.state : <span class="warn">{p.state}</span>],
        ["Level", <>{g.level === "full" ? g.level : <span class="warn">{g.level}</span>}{g.why && `: ${g.why}`}, since {time(g.since)}</>],
        ["Own CPU since the start", `profiler ${duration(g.profiler_cpu_ns)}, store ${duration(g.store_cpu_ns)}`],
        p.covered !== null && ["Covered", `${share(p.covered)} of the time; ${duration(s["lost_ns"] ?? 0)} lost between ${count(s["windows"] ?? 0, "window")}`],
        ["Holes", bad(s["holes"] ?? 0, `${number(s["holes"])}, ${duration(s["missed_ns"] ?? 0)}`)],
        ["Samples", `${number(s["samples"])}: ${number(s["labeled"])} on spans, ${number(s["late"])} late, ${number(s["unattributed"])} unattributed, ${number(s["own"])} our own`],
        ["In flight", `${count(s["live_spans"] ?? 0, "span")}; ${number(s["dropped_spans"])} had to make room, ${number(s["aged_spans"])} were too old`],
        ["Labels", s.labels_readable ? "readable" : "only set: see the profiler's caveats"],
        (s["errors"] ?? 0) > 0 && ["Errors", <span class="error-text">{number(s["errors"])}: {s.last_error}</span>],
      ]}
    >
      <Meter label="Own CPU" part={g.cost} whole={g.budget} words={`${share(g.cost)} of a budget of ${share(g.budget)}`} />
    </Card>
  );
}

function Exact({ v }: { v: Vitals }) {
  const x = v.profiler.exact;
  if (!x) return null;
  return (
    <Card
      title="Exact states"
      lines={[
        ["Flight recorder", x.armed ? "armed" : <span class="warn">not armed{x.why && `: ${x.why}`}</span>],
        ["Slow, failed or asked for", number(x.slow)],
        ["Captured", number(x.captured)],
        ["Missed", bad(x.missed, number(x.missed))],
        ["Snapshots", x.snapshots > 0 ? `${number(x.snapshots)}, the last ${bytes(x.last_bytes)}, read in ${duration(x.last_cpu_ns)} of CPU` : "none"],
        ["Scheduling events", `${Math.round(x.events_per_second).toLocaleString("en")}/s`],
      ]}
    />
  );
}

function Signals({ v }: { v: Vitals }) {
  if (!v.profiler.governor) return null;
  return (
    <Card title="Signals of the process" lines={[["Known", v.signals.known.length > 0 ? v.signals.known.join(", ") : "none yet"]]}>
      {v.signals.missing.length > 0 && (
        <>
          <h3>Missing</h3>
          <ul class="missing">
            {v.signals.missing.map((m) => (
              <li key={m}>{m}</li>
            ))}
          </ul>
        </>
      )}
    </Card>
  );
}

function Build({ v }: { v: Vitals }) {
  const b = v.build;
  return (
    <Card
      title="Build and runs"
      lines={[
        b.main !== "" && ["Program", <span class="mono">{b.main}</span>],
        b.revision !== "" && ["Revision", <span class="mono">{b.revision}</span>],
        ["Go", `${b.go} ${b.os}/${b.arch}, GOMAXPROCS ${b.gomaxprocs}`],
        ["spanclock", `${b.spanclock || "unknown version"}, store format ${b.store_format}`],
      ]}
    >
      {v.runs.length > 0 && (
        <table class="figures runs">
          <caption class="visually-hidden">Processes that wrote what the store has</caption>
          <thead>
            <tr>
              <th scope="col">Run since</th>
              <th scope="col" class="num">PID</th>
              <th scope="col">Go</th>
              <th scope="col">Revision</th>
            </tr>
          </thead>
          <tbody>
            {v.runs.map((r) => (
              <tr key={r.id}>
                <td>
                  {time(r.start)} {r.this && <span class="note">this process</span>}
                </td>
                <td class="num">{r.pid}</td>
                <td>{r.go}</td>
                <td class="mono">{r.revision.slice(0, 12) || "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Card>
  );
}
