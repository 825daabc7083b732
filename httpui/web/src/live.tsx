// What is in flight now: requests with their age, and where they stand.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Failure, lines, post } from "./api";
import { serviceColours, stateStyle } from "./encoding";
import { ErrorView, Stale } from "./error";
import { count, duration, localTimeBrief, shortFunc, utcTitle } from "./format";
import { isTyping } from "./header";
import type { ViewProps } from "./lazy";
import { Problems } from "./notes";
import { mount, pageHref, traceHref, withFormat } from "./route";
import { ServiceChip } from "./service";
import { Swatch } from "./swatch";
import type { Frame } from "./types";

interface Stack {
  goroutines: number;
  state: string;
  frames: Frame[];
}

interface LiveSpan {
  trace_id: string;
  span_id: string;
  parent_id: string;
  service: string;
  route: string;
  name: string;
  local_root: boolean;
  start: string;
  age_ns: number;
  goroutines: number;
  stacks: Stack[];
}

interface View {
  at: string;
  spans: LiveSpan[];
  omitted: number;
  late: number;
  capture: { possible: boolean; why: string };
  problems: string[];
}

/** LIMIT is how many spans a view has at most; AGAIN how long to wait before a broken stream is opened anew. */
const LIMIT = 300;
const AGAIN = 2000;

interface Stream {
  view: View | undefined;
  failure: Failure | undefined;
  running: boolean;
  toggle: () => void;
}

/** useStream keeps a stream of views open while it runs and the page is looked at. */
function useStream(): Stream {
  const [view, setView] = useState<View>();
  const [failure, setFailure] = useState<Failure>();
  const [running, setRunning] = useState(true);
  const [hidden, setHidden] = useState(document.hidden);
  useEffect(() => {
    const look = () => setHidden(document.hidden);
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  useEffect(() => {
    if (!running || hidden) return;
    const abort = new AbortController();
    let timer = 0;
    const open = () => {
      const ended = (err?: unknown) => {
        if (abort.signal.aborted) return;
        if (err) setFailure(err instanceof Failure ? err : new Failure(0, "The stream broke off", "It is opened again."));
        timer = window.setTimeout(open, AGAIN);
      };
      lines<View>(`${mount.pathname}live?stream=1&limit=${LIMIT}`, abort.signal, (v) => {
        setView(v);
        setFailure(undefined);
      }).then(() => ended(), ended);
    };
    open();
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [running, hidden]);
  return { view, failure, running, toggle: useCallback(() => setRunning((r) => !r), []) };
}

export default function LiveView(_: ViewProps) {
  const { view, failure, running, toggle } = useStream();
  useEffect(() => {
    document.title = "Live · spanclock";
  }, []);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== "p" || e.ctrlKey || e.metaKey || e.altKey || isTyping(e.target)) return;
      e.preventDefault();
      toggle();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return (
    <>
      <h1 class="page-title">In flight</h1>
      {!view && failure && <ErrorView failure={failure} onRetry={() => location.reload()} />}
      {!view && !failure && <p class="loading">Waiting for the first view…</p>}
      {view && (
        <>
          {failure && <Stale failure={failure} onRetry={() => location.reload()} />}
          <div class="status-line">
            <span>
              {count(view.spans.filter((s) => s.local_root).length, "request")}, {count(view.spans.length + view.omitted, "span")}
            </span>
            <span class="dim">
              as of <time title={utcTitle(view.at)}>{localTimeBrief(view.at, new Date()).slice(0, 8)}</time>
            </span>
            {view.late > 0 && <span class="dim">{count(view.late, "goroutine")} still at work for spans that are over</span>}
            {!view.capture.possible && <span class="dim">exact states cannot be asked for: {view.capture.why}</span>}
            <span class="push" />
            <a class="dim" href={withFormat(pageHref("live"), "json")}>
              JSON
            </a>
            <button type="button" onClick={toggle} aria-pressed={!running}>
              {running ? "Pause" : "Go on"}
            </button>
          </div>
          <Problems problems={view.problems} />
          {view.spans.length > 0 ? <Requests view={view} /> : <Empty view={view} />}
          {view.omitted > 0 && <p class="dim">{count(view.omitted, "more span")} are left out.</p>}
        </>
      )}
    </>
  );
}

function Empty({ view }: { view: View }) {
  const off = view.problems.some((p) => p.includes("no profiler"));
  return (
    <section class="notice">
      <h2>{off ? "There is no profiler" : "Nothing is in flight"}</h2>
      <p>
        {off
          ? "What is in flight is known to the profiler: set httpui.Options.Profiler to what profiler.Start returned, and take its tracer provider."
          : "Requests appear here from when their span starts until it ends. Most are too short to be met: a slow one stays."}
      </p>
    </section>
  );
}

/** Request is a local root, or a span without one, and what is in flight below it. */
interface Request {
  span: LiveSpan;
  below: { span: LiveSpan; depth: number }[];
}

/** requests groups spans below their local roots, in the order in which those began. */
export function requests(spans: readonly LiveSpan[]): Request[] {
  const known = new Map(spans.map((s) => [s.span_id, s]));
  const children = new Map<string, LiveSpan[]>();
  const tops: LiveSpan[] = [];
  for (const s of spans) {
    if (s.local_root || !known.has(s.parent_id)) tops.push(s);
    else children.set(s.parent_id, [...(children.get(s.parent_id) ?? []), s]);
  }
  return tops.map((span) => {
    const below: Request["below"] = [];
    const visit = (of: LiveSpan, depth: number) => {
      for (const s of children.get(of.span_id) ?? []) {
        if (depth > 60) return;
        below.push({ span: s, depth });
        visit(s, depth + 1);
      }
    };
    visit(span, 1);
    return { span, below };
  });
}

function Requests({ view }: { view: View }) {
  const colours = serviceColours(view.spans.map((s) => s.service).sort());
  return (
    <div class="table-box">
      <table class="list live">
        <thead>
          <tr>
            <th scope="col">Span</th>
            <th scope="col">Service</th>
            <th scope="col" class="num">
              Age
            </th>
            <th scope="col">State</th>
            <th scope="col">Stands in</th>
            <th scope="col">
              <span class="visually-hidden">Capture</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {requests(view.spans).flatMap((r) => [
            <SpanRow key={r.span.span_id} span={r.span} depth={0} colour={colours.get(r.span.service) ?? 0} possible={view.capture.possible} />,
            ...r.below.map(({ span, depth }) => (
              <SpanRow key={span.span_id} span={span} depth={depth} colour={colours.get(span.service) ?? 0} possible={view.capture.possible} />
            )),
          ])}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  span: LiveSpan;
  depth: number;
  colour: number;
  possible: boolean;
}

function SpanRow({ span: s, depth, colour, possible }: RowProps) {
  const [open, setOpen] = useState(false);
  const top = s.stacks[0];
  return (
    <>
      <tr class={depth > 0 ? "below" : ""}>
        <td class="request" style={{ paddingLeft: `${6 + 16 * Math.min(depth, 12)}px` }}>
          <a href={traceHref(s.trace_id)} title="What of this trace has ended is in the store">
            {s.name || "(no name)"}
          </a>
          {!s.local_root && depth === 0 && s.route && <span class="note">in {s.route}</span>}
        </td>
        <td class="svc">
          <ServiceChip name={s.service} colour={colour} />
        </td>
        <td class="num wall" title={`since ${utcTitle(s.start)}`}>
          {duration(s.age_ns)}
        </td>
        <td class="state">{top ? <State stack={top} /> : <span class="dim">no goroutine</span>}</td>
        <td class="stands">
          {top && (
            <button type="button" class="stack-button mono" aria-expanded={open} onClick={() => setOpen(!open)}>
              {standsIn(top.frames)}
            </button>
          )}
          {s.goroutines > 1 && <span class="note">{count(s.goroutines, "goroutine")}</span>}
        </td>
        <td class="capture">{depth === 0 && possible && <Capture trace={s.trace_id} name={s.name} />}</td>
      </tr>
      {open && (
        <tr class="stacks-row">
          <td colSpan={6}>
            {s.stacks.map((stack, i) => (
              <StackList key={i} stack={stack} />
            ))}
          </td>
        </tr>
      )}
    </>
  );
}

function State({ stack }: { stack: Stack }) {
  const style = stateStyle(stack.state);
  const title = stack.state === "cpu" ? "running, or ready to" : style.title;
  return (
    <span title={`${title}, concluded from its stack`}>
      <Swatch look={style.look} dashed />
      {stack.state === "cpu" ? "RUN" : style.code}?
    </span>
  );
}

/** standsIn is the first function of a stack, leaf first, that is not the runtime's. */
export function standsIn(frames: readonly Frame[]): string {
  const own = frames.find((f) => !/^(runtime|sync|time|syscall|internal)[./]/.test(f.func)) ?? frames[0];
  return own ? `${shortFunc(own.func)}:${own.line ?? 0}` : "?";
}

function StackList({ stack }: { stack: Stack }) {
  return (
    <div class="live-stack">
      <p class="dim">
        {count(stack.goroutines, "goroutine")} <State stack={stack} />
      </p>
      <ol class="mono">
        {stack.frames.map((f, i) => (
          <li key={i}>
            {f.func}{" "}
            <span class="dim">
              {f.file}:{f.line}
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}

/** Capture asks for the exact states of a request: as soon as it ends, and of now. */
function Capture({ trace, name }: { trace: string; name: string }) {
  const [said, setSaid] = useState("");
  const [failed, setFailed] = useState(false);
  const gone = useRef(false);
  useEffect(() => () => void (gone.current = true), []);
  const ask = (when: "end" | "now") => {
    setSaid("…");
    post(`${mount.pathname}live/${trace}?when=${when}`, { "Spanclock-Capture": "1" }).then(
      () => !gone.current && (setFailed(false), setSaid(when === "end" ? "when it ends" : "captured")),
      (err: unknown) => !gone.current && (setFailed(true), setSaid(err instanceof Failure ? err.message : String(err))),
    );
  };
  if (said) return <span class={failed ? "error-text" : "dim"}>{said}</span>;
  return (
    <span class="captures">
      <button type="button" class="small" onClick={() => ask("end")} title="Take its exact states when it has ended" aria-label={`Capture ${name} when it ends`}>
        Capture
      </button>
      <button type="button" class="small" onClick={() => ask("now")} title="Take the exact states of what it did until now" aria-label={`Capture ${name} now`}>
        now
      </button>
    </span>
  );
}
