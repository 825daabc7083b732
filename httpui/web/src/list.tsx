// The list of traces, newest first.

import { useEffect, useLayoutEffect } from "preact/hooks";
import { useData } from "./api";
import { ErrorView, Stale } from "./error";
import { MIN_SAMPLES, serviceColours } from "./encoding";
import { Filter } from "./filter";
import { cpuPercent, cpuText, duration, localTimeBrief, utcTitle } from "./format";
import { Problems } from "./notes";
import { go, listHref, newerHref, savedScroll, traceHref, withFormat } from "./route";
import { ServiceChip } from "./service";
import { Status } from "./status";
import type { TraceList, TraceSummary } from "./types";

export function ListView({ search }: { search: string }) {
  const href = listHref(new URLSearchParams(search));
  const loaded = useData<TraceList>(href);
  const { data, failure, reload } = loaded;

  useEffect(() => {
    document.title = "Traces · spanclock";
  }, []);
  useLayoutEffect(() => {
    if (data) scrollTo(0, savedScroll());
  }, [href, data !== undefined]);

  const params = new URLSearchParams(search);
  return (
    <>
      <h1 class="visually-hidden">Traces</h1>
      <Filter params={params} />
      {!data && failure && <ErrorView failure={failure} onRetry={reload} />}
      {!data && !failure && <p class="loading">Loading traces…</p>}
      {data && (
        <>
          {failure && <Stale failure={failure} onRetry={reload} />}
          <Problems problems={data.problems ?? []} />
          <Status list={data} loaded={loaded} paged={params.has("cursor")} />
          {data.traces?.length ? <Table traces={data.traces} /> : <Empty params={params} />}
          <Pages list={data} params={params} />
        </>
      )}
    </>
  );
}

function Table({ traces }: { traces: TraceSummary[] }) {
  const now = new Date();
  const colours = serviceColours(traces.map((t) => t.service).sort());
  const longest = Math.max(...traces.map((t) => t.wall_ns), 1);
  return (
    <div class="table-box">
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Request</th>
            <th scope="col">Service</th>
            <th scope="col" class="num">
              Wall
            </th>
            <th scope="col" class="num">
              CPU
            </th>
            <th scope="col" class="evidence">
              Evidence
            </th>
            <th scope="col" class="against">
              CPU against wall
            </th>
            <th scope="col" class="num">
              Spans
            </th>
            <th scope="col" class="num">
              Errors
            </th>
            <th scope="col" class="when">
              When
            </th>
          </tr>
        </thead>
        <tbody>
          {traces.map((t) => (
            <TraceRow key={t.trace_id} trace={t} colour={colours.get(t.service) ?? 0} longest={longest} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface TraceRowProps {
  trace: TraceSummary;
  colour: number;
  longest: number;
  now: Date;
}

function TraceRow({ trace: t, colour, longest, now }: TraceRowProps) {
  const cpu = cpuText(t);
  const href = traceHref(t.trace_id);
  const open = (e: MouseEvent) => {
    // The link in the row does the rest; this makes the whole row its target.
    const onLink = (e.target as Element).closest("a");
    if (onLink || e.button !== 0 || getSelection()?.isCollapsed === false) return;
    if (e.metaKey || e.ctrlKey) window.open(href);
    else go(href);
  };
  const others = (t.services ?? []).filter((s) => s !== t.service);
  return (
    <tr onClick={open}>
      <td class="request">
        <a href={href}>{t.root_name || "(no name)"}</a>
        {t.rootless && (
          <span class="note" title="The root span has not ended, or is not in this store">
            root missing
          </span>
        )}
        {t.kept && (
          <span class="note" title="Kept beyond the ring">
            kept: {t.kept}
          </span>
        )}
      </td>
      <td class="svc">
        <ServiceChip name={t.service} colour={colour} />
        {others.length > 0 && (
          <span class="dim" title={others.join(", ")}>
            {" "}
            +{others.length}
          </span>
        )}
      </td>
      <td class="num wall">{duration(t.wall_ns)}</td>
      <td class="num cpu" title={cpu.title}>
        {cpu.figure}
      </td>
      <td class="evidence" title={cpu.title}>
        {cpu.interval && `${cpu.interval} · `}
        {cpu.evidence}
      </td>
      <td class="against">
        <Against trace={t} longest={longest} title={cpu.title} />
      </td>
      <td class="num spans">{t.spans.toLocaleString("en")}</td>
      <td class="num errors">
        {t.errors > 0 ? (
          <span class="error-text">
            <span class="error-mark" aria-hidden="true">
              !
            </span>{" "}
            {t.errors.toLocaleString("en")}
          </span>
        ) : (
          <span class="dim">0</span>
        )}
      </td>
      <td class="when">
        <time dateTime={t.start} title={utcTitle(t.start)}>
          {localTimeBrief(t.start, now)}
        </time>
      </td>
    </tr>
  );
}

/** Against draws the CPU time inside the wall time, all rows on one scale. */
function Against({ trace: t, longest, title }: { trace: TraceSummary; longest: number; title: string }) {
  const share = (ns: number) => `${Math.min(100, (100 * ns) / Math.max(1, t.wall_ns))}%`;
  // A few samples are a bound, not a measurement: nothing to draw.
  const known = t.evidence === "exact" || (t.evidence === "sampled" && t.samples >= MIN_SAMPLES);
  const low = t.evidence === "exact" ? t.cpu_ns : t.cpu_low_ns;
  const high = t.evidence === "exact" ? t.cpu_ns : t.cpu_high_ns;
  const words = `${title}; ${cpuPercent(t, t.wall_ns) || "unknown share"} of the wall time`;
  return (
    <span class={`against-bar${known ? "" : " none"}`} style={{ width: `${Math.max(1.5, (100 * t.wall_ns) / longest)}%` }} title={words}>
      {known && <span class="against-high" style={{ width: share(high) }} />}
      {known && <span class="against-low" style={{ width: share(low) }} />}
    </span>
  );
}

function Empty({ params }: { params: URLSearchParams }) {
  const filtered = [...params.keys()].some((k) => k !== "limit");
  return (
    <section class="notice">
      <h2>{filtered ? "No trace matches" : "No traces yet"}</h2>
      {filtered ? (
        <p>
          Service and name must be those of one and the same span, exactly. Traces that the store has removed are not
          found. <a href={listHref()}>Show all traces</a>
        </p>
      ) : (
        <p>
          A trace appears here when its first span has ended. Send the service a request, then refresh. If nothing
          comes, check that the tracer provider has the store's span processor, that the sampler records the request,
          and that OTEL_SDK_DISABLED is not set.
        </p>
      )}
    </section>
  );
}

function Pages({ list, params }: { list: TraceList; params: URLSearchParams }) {
  const paged = params.has("cursor");
  const here = listHref(params);
  const first = new URLSearchParams(params);
  first.delete("cursor");
  const older = new URLSearchParams(params);
  if (list.cursor) older.set("cursor", list.cursor);
  if (!paged && !list.cursor) return null;
  return (
    <nav class="pages" aria-label="Pages">
      {paged && <a href={listHref(first)}>« Newest</a>}
      {paged && newerHref() && <a href={newerHref()}>‹ Newer</a>}
      {list.cursor && (
        <a href={listHref(older)} data-newer={here} rel="next">
          Older ›
        </a>
      )}
      <span class="push" />
      <a class="dim" href={withFormat(here, "json")}>
        JSON
      </a>
    </nav>
  );
}
