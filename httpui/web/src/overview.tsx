// What the services do, taken together.

import { useEffect, useMemo, useState } from "preact/hooks";
import { useData } from "./api";
import { Chart, type Line } from "./chart";
import { MIN_SAMPLES, serviceColours } from "./encoding";
import { ErrorView } from "./error";
import { count, cpuText, duration, localTime, localTimeBrief, percent, rate, utcTitle } from "./format";
import { GraphTable, type Graph } from "./graphtable";
import { isTyping } from "./header";
import type { ViewProps } from "./lazy";
import { Again, Outcome } from "./loaded";
import { Problems } from "./notes";
import { Period } from "./period";
import { go, listHref, pageHref, traceHref } from "./route";
import { ServiceChip } from "./service";
import { Spark } from "./spark";
import { partsOf, StateBar } from "./statebar";
import type { CPU } from "./types";

interface Step {
  count: number;
  errors: number;
  p50_ns: number;
  p95_ns: number;
  p99_ns: number;
}

interface Operation {
  service: string;
  name: string;
  count: number;
  errors: number;
  mean_ns: number;
  p50_ns: number;
  p95_ns: number;
  p99_ns: number;
  max_ns: number;
  max_trace: string;
  counts: number[] | null;
  fails: number[] | null;
  error_codes: { code: string; count: number }[];
  request: (CPU & { traces: number; wall_ns: number; states: Record<string, number> }) | null;
}

interface Overview {
  from: string;
  to: string;
  step_ns: number;
  widened: boolean;
  series: Step[];
  services: Operation[];
  operations: Operation[];
  slowest: { trace_id: string; service: string; name: string; start: string; wall_ns: number; error: boolean }[];
  sampled: number;
  problems: string[];
}

const hrefOf = (params: URLSearchParams) => pageHref("overview", params);

export default function OverviewView({ search }: ViewProps) {
  const params = new URLSearchParams(search);
  const loaded = useData<Overview>(hrefOf(params));
  const { data, reload } = loaded;
  useEffect(() => {
    document.title = "Overview · spanclock";
  }, []);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key === "r" && !e.ctrlKey && !e.metaKey && !e.altKey && !isTyping(e.target)) reload();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [reload]);
  return (
    <>
      <h1 class="page-title">Overview</h1>
      <div class="status-line">
        <Period params={params} usual="1h" href={hrefOf} />
        {params.has("service") && (
          <span>
            service <strong>{params.get("service")}</strong> <a href={hrefOf(without(params, "service"))}>all services</a>
          </span>
        )}
        {data && (
          <span class="dim">
            <time title={utcTitle(data.from)}>{localTime(data.from).slice(0, 19)}</time> to{" "}
            <time title={utcTitle(data.to)}>{localTimeBrief(data.to, new Date(data.from)).replace(/\.\d+$/, "")}</time>
          </span>
        )}
        <Again href={hrefOf(params)} from={loaded} />
      </div>
      <Outcome of={loaded} waiting="Adding up…" />
      {data && <Figures data={data} params={params} />}
    </>
  );
}

function without(params: URLSearchParams, name: string): URLSearchParams {
  const next = new URLSearchParams(params);
  next.delete(name);
  return next;
}

function Figures({ data, params }: { data: Overview; params: URLSearchParams }) {
  if (data.operations.length === 0) {
    return (
      <section class="notice">
        <h2>Nothing to add up</h2>
        <p>
          {params.has("service") ? (
            <>
              No span of the service {params.get("service")} began in this time. Choose a longer time above, or{" "}
              <a href={hrefOf(without(params, "service"))}>all services</a>.
            </>
          ) : (
            "No span began in this time. Send the service a request, or choose a longer time above."
          )}
        </p>
      </section>
    );
  }
  return (
    <>
      {data.widened && <p class="pending">Nothing in the last hour: this is all that the store has.</p>}
      <Problems problems={data.problems} />
      <Charts data={data} params={params} />
      <Operations title="Services" data={data} list={data.services} params={params} />
      <Operations title="Operations" data={data} list={data.operations} params={params} />
      <p class="dim foot">
        CPU per request, where the time went, and the codes of errors are of the newest {count(data.sampled, "trace")} and of as many that failed; all
        other figures of all spans.
      </p>
      <Slowest data={data} />
      <Calls params={params} />
    </>
  );
}

function Charts({ data, params }: { data: Overview; params: URLSearchParams }) {
  const [table, setTable] = useState(false);
  const begin = new Date(data.from).getTime();
  const seconds = data.step_ns / 1e9;
  const times = useMemo(() => data.series.map((_, i) => begin / 1000 + i * seconds), [data]);
  const lines = useMemo(() => linesOf(data), [data]);
  const choose = (from: Date, to: Date) => {
    const next = without(params, "last");
    next.set("from", from.toISOString());
    next.set("to", to.toISOString());
    go(hrefOf(next));
  };
  return (
    <section aria-label="Over time">
      <div class="charts">
        <Chart title="Requests" times={times} lines={lines.rate} format={rate} onRange={choose} />
        <Chart title="Latency" times={times} lines={lines.latency} format={(ns) => duration(ns)} onRange={choose} />
      </div>
      <button type="button" class="small" aria-expanded={table} onClick={() => setTable(!table)}>
        {table ? "Hide the table" : "As a table"}
      </button>
      {table && <StepTable data={data} times={times} />}
    </section>
  );
}

function linesOf(data: Overview): { rate: Line[]; latency: Line[] } {
  const seconds = data.step_ns / 1e9;
  const some = (f: (s: Step) => number) => data.series.map((s) => (s.count > 0 ? f(s) : null));
  return {
    rate: [
      { label: "all", colour: "cpu", fill: true, values: data.series.map((s) => s.count / seconds) },
      { label: "errors", colour: "error", dash: [2, 2], values: data.series.map((s) => s.errors / seconds) },
    ],
    latency: [
      { label: "p50", colour: "net", values: some((s) => s.p50_ns) },
      { label: "p95", colour: "runq", dash: [6, 3], values: some((s) => s.p95_ns) },
      { label: "p99", colour: "lock", dash: [2, 3], values: some((s) => s.p99_ns) },
    ],
  };
}

function StepTable({ data, times }: { data: Overview; times: number[] }) {
  return (
    <div class="table-box" role="region" aria-label="Figures by time" tabIndex={0}>
      <table class="figures steps">
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col" class="num">Requests</th>
            <th scope="col" class="num">Errors</th>
            <th scope="col" class="num">p50</th>
            <th scope="col" class="num">p95</th>
            <th scope="col" class="num">p99</th>
          </tr>
        </thead>
        <tbody>
          {data.series.map((s, i) => (
            <tr key={i}>
              <th scope="row">{localTime(new Date(times[i]! * 1000).toISOString()).slice(0, 19)}</th>
              <td class="num">{s.count.toLocaleString("en")}</td>
              <td class="num">{s.errors.toLocaleString("en")}</td>
              {[s.p50_ns, s.p95_ns, s.p99_ns].map((ns, k) => (
                <td class="num" key={k}>
                  {s.count > 0 ? duration(ns) : ""}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** SHOWN is how many rows stand open. */
const SHOWN = 30;

interface OperationsProps {
  title: string;
  data: Overview;
  list: Operation[];
  params: URLSearchParams;
}

function Operations({ title, data, list, params }: OperationsProps) {
  const [whole, setWhole] = useState(false);
  const colours = serviceColours(data.services.map((s) => s.service).sort());
  const seconds = Math.max(1e-9, (new Date(data.to).getTime() - new Date(data.from).getTime()) / 1000);
  const services = title === "Services";
  return (
    <section>
      <h2 class="part-title">
        {title} <span class="dim">by total time</span>
      </h2>
      <div class="table-box">
        <table class="list operations">
          <thead>
            <tr>
              <th scope="col">{services ? "Service" : "Operation"}</th>
              <th scope="col" class="num">Count</th>
              <th scope="col" class="num">Rate</th>
              <th scope="col">Over time</th>
              <th scope="col" class="num">Errors</th>
              <th scope="col" class="num">p50</th>
              <th scope="col" class="num">p95</th>
              <th scope="col" class="num">p99</th>
              <th scope="col" class="num">Slowest</th>
              <th scope="col" class="num">CPU per request</th>
              <th scope="col" class="against">Where the time went</th>
            </tr>
          </thead>
          <tbody>
            {list.slice(0, whole ? undefined : SHOWN).map((o) => (
              <OperationRow key={o.service + "\0" + o.name} op={o} seconds={seconds} colour={colours.get(o.service) ?? 0} params={params} />
            ))}
          </tbody>
        </table>
      </div>
      {list.length > SHOWN && (
        <button type="button" class="small" onClick={() => setWhole(!whole)}>
          {whole ? "Show fewer" : `Show all ${list.length}`}
        </button>
      )}
    </section>
  );
}

function OperationRow({ op: o, seconds, colour, params }: { op: Operation; seconds: number; colour: number; params: URLSearchParams }) {
  const traces = new URLSearchParams();
  for (const name of ["from", "to", "last"]) if (params.has(name)) traces.set(name, params.get(name)!);
  traces.set("service", o.service);
  if (o.name) traces.set("name", o.name);
  const failed = new URLSearchParams(traces);
  failed.set("q", "status=error");
  const one = new URLSearchParams(params);
  one.set("service", o.service);
  return (
    <tr>
      <td class="request">
        {o.name ? <a href={listHref(traces)}>{o.name}</a> : <a href={hrefOf(one)}>{o.service || "(no service name)"}</a>}{" "}
        {o.name ? <ServiceChip name={o.service} colour={colour} /> : <span class={`service-mark svc-${colour}`} aria-hidden="true" />}
      </td>
      <td class="num">{o.count.toLocaleString("en")}</td>
      <td class="num">{rate(o.count / seconds)}</td>
      <td class="spark-cell">
        <Spark values={o.counts ?? []} bad={o.fails ?? []} label={`${o.count} spans and ${o.errors} errors over time`} />
      </td>
      <td class="num">
        {o.errors > 0 ? (
          <a class="error-text" href={listHref(failed)} title={o.error_codes.map((c) => `${c.code}: ${c.count}`).join("\n")}>
            {o.errors.toLocaleString("en")} ({percent(o.errors, o.count)})
          </a>
        ) : (
          <span class="dim">0</span>
        )}
        {o.error_codes.length > 0 && <span class="codes">{o.error_codes.slice(0, 2).map((c) => c.code).join(", ")}</span>}
      </td>
      <td class="num">{duration(o.p50_ns)}</td>
      <td class="num">{duration(o.p95_ns)}</td>
      <td class="num">{duration(o.p99_ns)}</td>
      <td class="num">
        <a href={traceHref(o.max_trace)}>{duration(o.max_ns)}</a>
      </td>
      <RequestCells request={o.request} />
    </tr>
  );
}

/** RequestCells are what single traces tell of a route; operations that no trace begins with have none. */
function RequestCells({ request: r }: { request: Operation["request"] }) {
  if (!r) {
    return (
      <>
        <td class="num dim" title="None of the newest traces begins here: its CPU time is part of that of the requests that call it">
          –
        </td>
        <td class="against" />
      </>
    );
  }
  const cpu = cpuText(r);
  return (
    <>
      <td class="num" title={`${cpu.title}, mean of ${count(r.traces, "request")}`}>
        {cpu.figure} {r.samples >= MIN_SAMPLES && <span class="dim">{cpu.interval}</span>}
      </td>
      <td class="against">
        <StateBar parts={partsOf(r.states)} />
      </td>
    </>
  );
}

function Slowest({ data }: { data: Overview }) {
  if (data.slowest.length === 0) return null;
  return (
    <section>
      <h2 class="part-title">Slowest</h2>
      <table class="figures slowest">
        <thead>
          <tr>
            <th scope="col" class="num">Wall</th>
            <th scope="col">Request</th>
            <th scope="col">Service</th>
            <th scope="col">When</th>
          </tr>
        </thead>
        <tbody>
          {data.slowest.map((s) => (
            <tr key={s.trace_id + s.start}>
              <td class="num">{duration(s.wall_ns)}</td>
              <td>
                <a href={traceHref(s.trace_id)}>{s.name || "(no name)"}</a>
                {s.error && <span class="error-text"> failed</span>}
              </td>
              <td>{s.service}</td>
              <td class="dim">
                <time title={utcTitle(s.start)}>{localTimeBrief(s.start, new Date())}</time>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Calls is the service graph. It takes as long again as all that stands above, so it is asked for. */
function Calls({ params }: { params: URLSearchParams }) {
  const [open, setOpen] = useState(false);
  return (
    <section>
      <h2 class="part-title">Calls between services</h2>
      {open ? (
        <CallTable href={pageHref("graph", params)} />
      ) : (
        <button type="button" class="small" onClick={() => setOpen(true)}>
          Show
        </button>
      )}
    </section>
  );
}

function CallTable({ href }: { href: string }) {
  const { data, failure, reload } = useData<Graph>(href);
  if (data) return <GraphTable graph={data} />;
  return failure ? <ErrorView failure={failure} onRetry={reload} /> : <p class="loading">Adding up…</p>;
}
