// One trace: what it was, the sentence, the budget, the waterfall, the details.

import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { useData } from "./api";
import { Budget } from "./budget";
import { Detail } from "./detail";
import { serviceColours } from "./encoding";
import { ErrorView, Stale } from "./error";
import { count, cpuText, duration, localTime, shortID, utcTitle } from "./format";
import { Formats } from "./formats";
import { Legend } from "./legend";
import { Findings, Problems } from "./notes";
import { go, replace, traceHref } from "./route";
import { makeTree } from "./rows";
import { ServiceChip } from "./service";
import type { Trace } from "./types";
import { Waterfall } from "./waterfall";

/** A trace whose samples may still come is asked for again, but not for ever. */
const PENDING_EVERY = 2000;
const PENDING_TRIES = 10;

export function TraceView({ id, span }: { id: string; span: string }) {
  const { data, failure, reload } = useData<Trace>(traceHref(id));
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
  const rows = trace.spans ?? [];
  const tree = useMemo(() => makeTree(rows), [trace]);
  const colours = useMemo(() => serviceColours(rows.map((r) => r.service)), [trace]);
  const selected = tree.index.get(span);

  const select = useCallback(
    (id: string, how: "click" | "key") => (how === "click" ? go : replace)(traceHref(trace.trace_id, id)),
    [trace.trace_id],
  );
  const close = useCallback(() => {
    replace(traceHref(trace.trace_id));
    document.getElementById("waterfall")?.focus({ preventScroll: true });
  }, [trace.trace_id]);

  const problems = [...(trace.problems ?? []), ...holes(trace)];
  if (span && selected === undefined) problems.push(`The span ${span} is not in this trace, or has not ended.`);

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
      <Legend rows={rows} />
      <Findings findings={trace.findings ?? []} trace={trace.trace_id} />
      <Problems problems={problems} />
      <Waterfall trace={trace} tree={tree} colours={colours} selected={selected} onSelect={select} onClose={close} />
      {selected !== undefined && (
        <Detail
          key={span}
          trace={trace}
          row={rows[selected]!}
          colour={colours.get(rows[selected]!.service) ?? 0}
          onClose={close}
        />
      )}
      <Formats trace={trace.trace_id} />
    </div>
  );
}

function Head({ trace, colours }: { trace: Trace; colours: ReadonlyMap<string, number> }) {
  const rows = trace.spans ?? [];
  const errors = rows.reduce((n, r) => n + (r.status === "error" ? 1 : 0), 0);
  const headline = trace.headline;
  const cpu = cpuText(trace);
  return (
    <>
      <h1>
        {trace.root_name || "(no name)"} <span class="wall">{duration(trace.wall_ns)}</span>{" "}
        <code class="id" title={`trace ${trace.trace_id}`}>
          {shortID(trace.trace_id)}
        </code>
      </h1>
      <p class="meta">
        <time dateTime={trace.start} title={utcTitle(trace.start)}>
          {localTime(trace.start)}
        </time>
        <span>{count(rows.length, "span")}</span>
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
        <span class="services">
          {[...colours].map(([name, colour]) => (
            <ServiceChip key={name} name={name} colour={colour} />
          ))}
        </span>
      </p>
      {headline && (headline.strong || headline.rest) && (
        <p class="headline">
          <strong>{headline.strong}</strong>
          {/^[.,;:]/.test(headline.rest) ? "" : " "}
          {headline.rest}
        </p>
      )}
    </>
  );
}

/** holes words the stretches of the trace for which nobody took CPU samples. */
function holes(trace: Trace): string[] {
  return (trace.windows ?? [])
    .filter((w) => w.hole)
    .map((w) => `No CPU samples from ${duration(Math.max(0, w.start_ns))} to ${duration(w.end_ns)}: ${w.hole}.`);
}
