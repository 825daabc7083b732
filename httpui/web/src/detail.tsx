// The details of the selected span. Its figures come with the trace; the rest
// is fetched when it is asked for.

import { useEffect, useState } from "preact/hooks";
import { get, Failure } from "./api";
import { count, cpuText, duration, localTime, utcTitle } from "./format";
import { Icicle } from "./icicle";
import { offline } from "./offline";
import { Rest } from "./rest";
import { spanHref, withFormat } from "./route";
import { ServiceChip } from "./service";
import { States } from "./states";
import type { Row, SpanDetail, Trace } from "./types";

interface Props {
  trace: Trace;
  row: Row;
  colour: number;
  onClose: () => void;
}

/** A selection that moves on with the arrow keys shall not ask for every span that it passes. */
const SETTLE = 120;

/** From this many rows on the details lie over the end of the list. */
const DOCK_FROM = 10;

export function Detail({ trace, row, colour, onClose }: Props) {
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
  const docked = (trace.spans?.length ?? 0) > DOCK_FROM;
  return (
    <section id="detail" class={`detail${docked ? " docked" : ""}`} tabIndex={-1} aria-labelledby="detail-title" onKeyDown={onKey}>
      <header>
        <h2 id="detail-title">
          {row.name || "(no name)"} {row.detail && <span class="note">{row.detail}</span>}
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
          error{row.status_text && `: ${row.status_text}`}
        </p>
      )}
      <div class="columns">
        <div>
          <States row={row} />
          <Times trace={trace} row={row} span={span} />
        </div>
        <div>
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
    </section>
  );
}

function Times({ trace, row, span }: { trace: Trace; row: Row; span: SpanDetail | undefined }) {
  const start = span?.start ?? "";
  const late = span?.late_samples ?? 0;
  const total = cpuText({
    cpu_ns: row.total_cpu_ns ?? 0,
    cpu_low_ns: row.total_cpu_low_ns ?? 0,
    cpu_high_ns: row.total_cpu_high_ns ?? 0,
    samples: row.total_samples ?? 0,
    evidence: row.total_evidence ?? row.evidence,
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
      {row.total_cpu_ns !== undefined && row.children > 0 && (
        <div>
          <dt>CPU with child spans</dt>
          <dd>
            {total.figure}
            {total.interval && ` (${total.interval})`}
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
