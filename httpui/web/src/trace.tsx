// One trace: what it was, the sentence, the budget, the waterfall, the details.

import { useEffect, useMemo, useState } from "preact/hooks";
import { useData } from "./api";
import { Budget } from "./budget";
import { Spans, type Columns } from "./columns";
import { serviceColours } from "./encoding";
import { ErrorView, Stale } from "./error";
import { Explorer } from "./explorer";
import { count, cpuText, duration, localTime, shortID, utcTitle } from "./format";
import { Formats } from "./formats";
import { Legend } from "./legend";
import { Findings, Problems } from "./notes";
import { offline } from "./offline";
import { traceHref } from "./route";
import { ServiceChip } from "./service";
import { summaries } from "./signals";
import type { Trace } from "./types";

/** A trace whose samples may still come is asked for again, but not for ever. */
const PENDING_EVERY = 2000;
const PENDING_TRIES = 10;

/** SERVICES is how many services the head names. */
const SERVICES = 12;

/** columnsHref is where a trace's columns are. */
const columnsHref = (id: string) => traceHref(id) + (offline ? "" : "?columns=1");

/** decode makes typed arrays of the answer's columns; what they were made of can go. */
function decode(answer: unknown): Trace {
  const { columns, ...head } = answer as Omit<Trace, "spans"> & { columns: Columns };
  return { ...head, spans: new Spans(columns) };
}

export function TraceView({ id, span }: { id: string; span: string }) {
  const { data, failure, reload } = useData<Trace>(columnsHref(id), decode);
  const [tries, setTries] = useState(0);
  const waiting = data?.pending === true && tries < PENDING_TRIES;

  useEffect(() => {
    document.title = data ? `${data.root_name} ${duration(data.wall_ns)} · spanclock` : "Trace · spanclock";
  }, [data]);
  useEffect(() => {
    if (!waiting) return;
    const timer = setTimeout(() => {
      setTries((n) => n + 1);
      reload();
    }, PENDING_EVERY);
    return () => clearTimeout(timer);
  }, [waiting, tries, reload]);

  if (!data) {
    return failure ? <ErrorView failure={failure} onRetry={reload} /> : <p class="loading">Loading the trace…</p>;
  }
  return (
    <>
      {failure && <Stale failure={failure} onRetry={reload} />}
      <Loaded trace={data} span={span} waiting={waiting} onAgain={() => setTries(0)} />
    </>
  );
}

interface LoadedProps {
  trace: Trace;
  span: string;
  waiting: boolean;
  onAgain: () => void;
}

function Loaded({ trace, span, waiting, onAgain }: LoadedProps) {
  const { spans } = trace;
  const colours = useMemo(() => coloursOf(spans), [spans]);
  const problems = [...(trace.problems ?? []), ...holes(trace)];
  if (span && spans.indexOf(span) < 0) problems.push(`The span ${span} is not in this trace, or has not ended.`);

  return (
    <div class="trace">
      <Head trace={trace} colours={colours} />
      {trace.pending && (
        <p class="pending" role="status">
          CPU samples of the last seconds are still being gathered
          {waiting ? "; the figures will follow." : ". "}
          {!waiting && (
            <button type="button" onClick={onAgain}>
              Ask again
            </button>
          )}
        </p>
      )}
      <Budget trace={trace} />
      <Legend spans={spans} />
      <Findings findings={trace.findings ?? []} trace={trace.trace_id} />
      <Problems problems={problems} />
      <Explorer trace={trace} span={span} colours={colours} />
      <Formats trace={trace.trace_id} />
    </div>
  );
}

function Head({ trace, colours }: { trace: Trace; colours: ReadonlyMap<string, number> }) {
  const { spans } = trace;
  let errors = 0;
  for (let i = 0; i < spans.n; i++) if (spans.failed(i)) errors++;
  const meanwhile = summaries(trace.signals ?? [], { from: 0, to: trace.wall_ns });
  const headline = trace.headline;
  const cpu = cpuText(trace);
  return (
    <>
      <h1>
        <bdi>{trace.root_name || "(no name)"}</bdi> <span class="wall">{duration(trace.wall_ns)}</span>{" "}
        <code class="id" title={`trace ${trace.trace_id}`}>
          {shortID(trace.trace_id)}
        </code>
      </h1>
      <p class="meta">
        <time dateTime={trace.start} title={utcTitle(trace.start)}>
          {localTime(trace.start)}
        </time>
        <span>{count(spans.n, "span")}</span>
        {errors > 0 && (
          <span class="error-text">
            <span class="error-mark" aria-hidden="true">
              !
            </span>{" "}
            {count(errors, "error")}
          </span>
        )}
        <span title={cpu.title}>
          CPU {cpu.figure}
          {cpu.interval && ` (${cpu.interval})`}, {cpu.evidence}
        </span>
        {trace.kept && <span title="It stays when what is around it is evicted">kept: {trace.kept}</span>}
        <span class="services">
          {[...colours].slice(0, SERVICES).map(([name, colour]) => (
            <ServiceChip key={name} name={name} colour={colour} />
          ))}
          {colours.size > SERVICES && <span class="dim">and {count(colours.size - SERVICES, "more", "more")}</span>}
        </span>
      </p>
      {headline && (headline.strong || headline.rest) && (
        <p class="headline">
          <strong>{headline.strong}</strong>
          {/^[.,;:]/.test(headline.rest) ? "" : " "}
          {headline.rest}
        </p>
      )}
      {meanwhile.length > 0 && (
        <p class="meanwhile dim">
          Meanwhile in the process: {meanwhile.join("; ")}.
        </p>
      )}
    </>
  );
}

/** coloursOf numbers the services in the order in which they appear. */
function coloursOf(spans: Spans): ReadonlyMap<string, number> {
  const seen = new Set<number>();
  for (let i = 0; i < spans.n; i++) seen.add(spans.service[i]!);
  return serviceColours([...seen].map((w) => spans.words[w]!));
}

/** holes words the stretches of the trace for which nobody took CPU samples. */
function holes(trace: Trace): string[] {
  return (trace.windows ?? [])
    .filter((w) => w.hole)
    .map((w) => `No CPU samples from ${duration(Math.max(0, w.start_ns))} to ${duration(w.end_ns)}: ${w.hole}.`);
}
