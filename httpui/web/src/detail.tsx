// The details of the selected span. Its figures come with the trace; the rest
// is fetched when it is looked at.

import { useEffect, useState } from "preact/hooks";
import { get, Failure } from "./api";
import { count, cpuText, duration, exactPart, localTime, utcTitle } from "./format";
import { ENOUGH, pastKey, quantile, rank, type History } from "./history";
import { Icicle } from "./icicle";
import { memo } from "./memo";
import { offline } from "./offline";
import { Rest } from "./rest";
import { spanHref, withFormat } from "./route";
import { ServiceChip } from "./service";
import { States } from "./states";
import type { Row, SpanDetail, Trace } from "./types";
import { Waits } from "./waits";

interface Props {
  trace: Trace;
  row: Row;
  colour: number;
  history: History | undefined;
  onClose: () => void;
}

/** A selection that moves on with the arrow keys shall not ask for every span that it passes. */
const SETTLE = 120;

/** From this many rows on the details lie over the end of the list. */
const DOCK_FROM = 10;

export const Detail = memo(function Detail({ trace, row, colour, history, onClose }: Props) {
  const [span, setSpan] = useState<SpanDetail>();
  const [failure, setFailure] = useState<Failure>();
  const [turn, setTurn] = useState(0);
  const href = spanHref(trace.trace_id, row.span_id);

  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      get<SpanDetail>(href, abort.signal).then(
        (s) => {
          setFailure(undefined);
          setSpan(s);
        },
        (err: unknown) => {
          if (!abort.signal.aborted) setFailure(err instanceof Failure ? err : new Failure(0, String(err)));
        },
      );
    }, SETTLE);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
    // Another answer for the trace may mean more samples in the span.
  }, [href, turn, trace]);

  const onKey = (e: KeyboardEvent) => {
    if (e.key !== "Escape") return;
    e.preventDefault();
    onClose();
  };
  const docked = trace.spans.n > DOCK_FROM;
  return (
    <section id="detail" class={`detail${docked ? " docked" : ""}`} tabIndex={-1} aria-labelledby="detail-title" onKeyDown={onKey}>
      <header>
        <h2 id="detail-title">
          <bdi>{row.name || "(no name)"}</bdi> {row.detail && <span class="note">{row.detail}</span>}
        </h2>
        <ServiceChip name={row.service} colour={colour} />
        {row.kind && row.kind !== "internal" && <span class="dim">{row.kind}</span>}
        <span class="push" />
        {!offline && <a href={withFormat(href, "json")}>JSON</a>}
        <button type="button" onClick={onClose} aria-label="Close the details">
          ✕
        </button>
      </header>
      {row.status === "error" && (
        <p class="error-text">
          <span class="error-mark" aria-hidden="true">
            !
          </span>{" "}
          error{row.status_text && <>: <bdi>{row.status_text}</bdi></>}
        </p>
      )}
      <div class="columns">
        <div>
          <States row={row} />
          <Standing row={row} history={history} />
          <Times trace={trace} row={row} span={span} />
        </div>
        <div>
          {span?.waits && span.waits.length > 0 && <Waits waits={span.waits} trace={trace.trace_id} wall={row.wall_ns} />}
          <Stacks row={row} span={span} />
        </div>
      </div>
      {failure && (
        <p class="stale" role="status">
          Attributes, events and stacks could not be loaded: {failure.message}. {failure.hint}{" "}
          <button type="button" onClick={() => setTurn((n) => n + 1)}>
            Try again
          </button>
        </p>
      )}
      {span && <Rest span={span} trace={trace} />}
      {span && <Raw span={span} />}
    </section>
  );
});

function Times({ trace, row, span }: { trace: Trace; row: Row; span: SpanDetail | undefined }) {
  const start = span?.start ?? "";
  const late = span?.late_samples ?? 0;
  const total = span?.total_evidence && cpuText({
    cpu_ns: span.total_cpu_ns ?? 0,
    cpu_low_ns: span.total_cpu_low_ns ?? 0,
    cpu_high_ns: span.total_cpu_high_ns ?? 0,
    samples: span.total_samples ?? 0,
    evidence: span.total_evidence,
  });
  return (
    <dl class="facts">
      <div>
        <dt>starts at</dt>
        <dd>
          {duration(row.start_ns)}
          {start && (
            <time class="dim" dateTime={start} title={utcTitle(start)}>
              {" "}
              {localTime(start)}
            </time>
          )}
        </dd>
      </div>
      <div>
        <dt>wall</dt>
        <dd>{duration(row.wall_ns)}</dd>
      </div>
      <div>
        <dt>self time</dt>
        <dd>{duration(row.self_ns)}</dd>
      </div>
      {total && row.children > 0 && (
        <div>
          <dt>CPU with child spans</dt>
          <dd>
            {total.figure}
            {total.interval && ` (${total.interval})`}
          </dd>
        </div>
      )}
      {row.exact && (
        <div>
          <dt>execution trace</dt>
          <dd>
            {exactPart(row) ? exactPart(row).slice(2) : "the whole span"}
            {span?.goroutines ? `, ${count(span.goroutines, "goroutine")}` : ""}
          </dd>
        </div>
      )}
      {late > 0 && (
        <div>
          <dt>work after its end</dt>
          <dd>{count(late, "CPU sample")} on goroutines that still carried this span</dd>
        </div>
      )}
      <div>
        <dt>span</dt>
        <dd class="mono">{row.span_id}</dd>
      </div>
      <div>
        <dt>trace</dt>
        <dd class="mono">{trace.trace_id}</dd>
      </div>
    </dl>
  );
}

/** Standing says how this span compares with those of its name. */
function Standing({ row, history }: { row: Row; history: History | undefined }) {
  const past = history?.get(pastKey(row.service, row.name));
  if (!past) return null;
  if (past.count < ENOUGH) return <p class="dim">{count(past.count, "span")} of this name in the store: too few to compare.</p>;
  const below = rank(past, row.wall_ns);
  const words = below >= 100 ? "the longest" : below === 0 ? "among the shortest" : `longer than ${below}\u00a0%`;
  return (
    <p class="standing">
      <span class="track" aria-hidden="true">
        <span class="here" style={{ left: `${below}%` }} />
      </span>
      <strong>{words}</strong> of {count(past.count, "span")} of this name in the store{" "}
      <span class="dim">
        p50 {duration(quantile(past, 50))}, p95 {duration(quantile(past, 95))}, p99 {duration(quantile(past, 99))}
        {past.errors > 0 && `, ${count(past.errors, "error")}`}
      </span>
    </p>
  );
}

/** Raw is the span as the handler answers it. */
function Raw({ span }: { span: SpanDetail }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="raw" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>JSON</summary>
      {open && (
        <pre tabIndex={0} aria-label="The span as JSON">
          {JSON.stringify(span, undefined, 1)}
        </pre>
      )}
    </details>
  );
}

function Stacks({ row, span }: { row: Row; span: SpanDetail | undefined }) {
  const stacks = span?.stacks ?? [];
  const cpu = cpuText(row);
  return (
    <>
      <h3>CPU in this span</h3>
      {stacks.length > 0 ? (
        <Icicle stacks={stacks} />
      ) : (
        <p class="dim">
          {!span && row.samples > 0 ? "Loading the stacks…" : cpu.evidence === "no data" ? cpu.title : `No stack: ${cpu.title}.`}
        </p>
      )}
    </>
  );
}
