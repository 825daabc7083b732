// Latency over time: a dot for each trace, which opens it.

import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { get } from "./api";
import { count, duration, localTime, localTimeBrief } from "./format";
import { recall, remember } from "./memory";
import { go, listHref, traceHref } from "./route";
import { useWidth } from "./size";
import type { TraceList, TraceSummary } from "./types";

/** MOST is how many traces the plot shows: the newest that match. */
const MOST = 1000;
const HEIGHT = 150;
const LEFT = 58;
const RIGHT = 14;
const BOTTOM = 22;
const TOP = 8;

interface Dot {
  trace: TraceSummary;
  at: number;
  x: number;
  y: number;
}

export function Scatter({ list, params }: { list: TraceList; params: URLSearchParams }) {
  const [open, setOpen] = useState(recall("scatter") !== "closed");
  const toggle = (e: Event) => {
    const now = (e.currentTarget as HTMLDetailsElement).open;
    if (now === open) return;
    setOpen(now);
    remember("scatter", now ? "" : "closed");
  };
  return (
    <details class="scatter" open={open} onToggle={toggle}>
      <summary>Latency over time</summary>
      {open && <Plot list={list} params={params} />}
    </details>
  );
}

/** The latest wider answer, and the list that it belongs to: going back to it asks for nothing. */
let latest: { href: string; list: TraceList; traces: TraceSummary[] } | undefined;

/** useMore gives more traces than the list has, once they are there. */
function useMore(list: TraceList, params: URLSearchParams): TraceSummary[] {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const wider = new URLSearchParams(params);
  wider.delete("cursor");
  wider.set("limit", String(MOST));
  const href = listHref(wider);
  const wanted = Boolean(list.cursor) || params.has("cursor");
  useEffect(() => {
    if (!wanted || (latest?.href === href && latest.list === list)) return;
    const abort = new AbortController();
    get<TraceList>(href, abort.signal).then(
      (all) => {
        latest = { href, list, traces: all.traces ?? [] };
        redraw(0);
      },
      () => {}, // the list's own traces are drawn
    );
    return () => abort.abort();
  }, [href, wanted, list]);
  return (wanted && latest?.href === href && latest.traces) || list.traces || [];
}

function Plot({ list, params }: { list: TraceList; params: URLSearchParams }) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box);
  const traces = useMore(list, params);
  const scale = useMemo(() => scaleOf(traces, width), [traces, width]);
  const [active, setActive] = useState(-1);
  const [brush, setBrush] = useState<readonly [number, number]>();
  const dots = scale.dots;
  const shown = dots[active];

  useLayoutEffect(() => {
    const draw = () => canvas.current && drawPlot(canvas.current, width, scale, active, brush);
    draw();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    dark.addEventListener("change", draw);
    return () => {
      theme.disconnect();
      dark.removeEventListener("change", draw);
    };
  }, [scale, width, active, brush]);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== "s" || e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test((e.target as Element).tagName)) return;
      e.preventDefault();
      box.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  const position = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect();
    return [e.clientX - r.left, e.clientY - r.top] as const;
  };
  const onPointerMove = (e: PointerEvent) => {
    const [x, y] = position(e);
    if (brush) setBrush([brush[0], x]);
    else setActive(nearest(dots, x, y));
  };
  const onPointerDown = (e: PointerEvent) => {
    const [x, y] = position(e);
    const at = nearest(dots, x, y);
    if (e.button !== 0) return;
    if (at >= 0) setActive(at);
    else if (e.pointerType === "mouse") {
      box.current!.setPointerCapture(e.pointerId);
      setBrush([x, x]);
    }
  };
  const onPointerUp = () => {
    if (brush && Math.abs(brush[1] - brush[0]) > 6) go(listHref(between(params, scale, brush)));
    setBrush(undefined);
  };
  const onClick = (e: MouseEvent) => {
    if (!shown || brush) return;
    const href = traceHref(shown.trace.trace_id);
    if (e.metaKey || e.ctrlKey) window.open(href);
    else go(href);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -dots.length, End: dots.length }[e.key];
    if (step !== undefined) setActive(Math.max(0, Math.min(dots.length - 1, (active < 0 ? dots.length : active) + step)));
    else if (e.key === "Enter" && shown) go(traceHref(shown.trace.trace_id));
    else if (e.key === "Escape") box.current?.blur();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };

  return (
    <>
      <div
        ref={box}
        class={`plot${active >= 0 ? " at-dot" : ""}`}
        style={{ height: `${HEIGHT}px` }}
        role="application"
        aria-roledescription="scatter plot"
        aria-label={`Wall time of ${count(dots.length, "trace")} over time; left and right move between them, Enter opens one`}
        tabIndex={0}
        onPointerMove={onPointerMove}
        onPointerDown={onPointerDown}
        onPointerUp={onPointerUp}
        onPointerLeave={() => !brush && setActive(-1)}
        onClick={onClick}
        onKeyDown={onKeyDown}
        onBlur={() => setActive(-1)}
      >
        <canvas ref={canvas} aria-hidden="true" />
      </div>
      <p class="plot-line" role="status">
        {shown ? words(shown.trace) : <span class="dim">{`${count(dots.length, "trace")}${dots.length >= MOST ? ", the newest" : ""} · click a dot to open its trace, drag to choose a time`}</span>}
      </p>
    </>
  );
}

function words(t: TraceSummary) {
  return (
    <>
      <strong>{t.root_name}</strong> <bdi>{t.service}</bdi> · {duration(t.wall_ns)} · {localTimeBrief(t.start, new Date())}
      {t.errors > 0 && <span class="error-text"> · {count(t.errors, "error")}</span>}
    </>
  );
}

interface Scale {
  dots: Dot[];
  from: number;
  to: number;
  /** The wall times at the bottom and the top, nanoseconds. */
  low: number;
  high: number;
  x: (ms: number) => number;
  y: (ns: number) => number;
  width: number;
}

/** scaleOf places the dots: time to the right, wall time upwards by its logarithm. */
function scaleOf(traces: readonly TraceSummary[], width: number): Scale {
  const starts = traces.map((t) => new Date(t.start).getTime());
  let [from, to] = [Math.min(...starts), Math.max(...starts)];
  if (!(to > from)) [from, to] = [from - 500, to + 500];
  const walls = traces.map((t) => Math.max(1000, t.wall_ns));
  const low = 10 ** Math.floor(Math.log10(Math.min(...walls)));
  const high = Math.max(10 * low, 10 ** Math.ceil(Math.log10(Math.max(...walls))));
  const x = (ms: number) => LEFT + ((ms - from) / (to - from)) * Math.max(1, width - LEFT - RIGHT);
  const span = Math.log(high / low);
  const y = (ns: number) => HEIGHT - BOTTOM - (Math.log(Math.max(low, ns) / low) / span) * (HEIGHT - BOTTOM - TOP);
  const dots = traces.map((trace, i) => ({ trace, at: starts[i]!, x: x(starts[i]!), y: y(walls[i]!) }));
  dots.sort((a, b) => a.at - b.at);
  return { dots, from, to, low, high, x, y, width };
}

/** REACH is how far from a dot it is still meant, pixels. */
const REACH = 9;

function nearest(dots: readonly Dot[], x: number, y: number): number {
  let best = -1;
  let least = REACH * REACH;
  dots.forEach((d, i) => {
    const far = (d.x - x) ** 2 + (d.y - y) ** 2;
    if (far <= least) [best, least] = [i, far];
  });
  return best;
}

function between(params: URLSearchParams, scale: Scale, [a, b]: readonly [number, number]): URLSearchParams {
  const time = (px: number) => scale.from + ((px - LEFT) / Math.max(1, scale.width - LEFT - RIGHT)) * (scale.to - scale.from);
  const next = new URLSearchParams(params);
  for (const name of ["cursor", "last"]) next.delete(name);
  next.set("from", new Date(Math.floor(time(Math.min(a, b)))).toISOString());
  next.set("to", new Date(Math.ceil(time(Math.max(a, b)))).toISOString());
  return next;
}

function drawPlot(canvas: HTMLCanvasElement, width: number, scale: Scale, active: number, brush: readonly [number, number] | undefined): void {
  const c = canvas.getContext("2d");
  if (!c || width <= 0) return;
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${HEIGHT}px`;
  c.scale(ratio, ratio);
  const colour = colours(canvas);
  drawAxes(c, width, scale, colour);
  if (brush) {
    c.globalAlpha = 0.2;
    c.fillStyle = colour("accent");
    c.fillRect(Math.min(...brush), TOP, Math.abs(brush[1] - brush[0]), HEIGHT - BOTTOM - TOP);
    c.globalAlpha = 1;
  }
  for (const d of scale.dots) drawDot(c, d, colour, false);
  const shown = scale.dots[active];
  if (shown) drawDot(c, shown, colour, true);
}

type Colours = (name: string) => string;

/** colours reads the style sheet's; a canvas knows no light-dark(). */
function colours(el: HTMLElement): Colours {
  const known = new Map<string, string>();
  const probe = document.createElement("i");
  return (name) => {
    let value = known.get(name);
    if (!value) {
      el.parentElement!.append(probe);
      probe.style.color = `var(--${name})`;
      value = getComputedStyle(probe).color;
      probe.remove();
      known.set(name, value);
    }
    return value;
  };
}

function drawAxes(c: CanvasRenderingContext2D, width: number, scale: Scale, colour: Colours): void {
  c.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  c.strokeStyle = colour("grid");
  c.fillStyle = colour("dim");
  c.textAlign = "right";
  c.textBaseline = "middle";
  for (let ns = scale.low; ns <= scale.high * 1.01; ns *= 10) {
    const y = Math.round(scale.y(ns)) + 0.5;
    c.beginPath();
    c.moveTo(LEFT, y);
    c.lineTo(width - RIGHT, y);
    c.stroke();
    c.fillText(ns >= 60e9 ? `${ns / 1e9} s` : duration(ns), LEFT - 6, y);
  }
  c.textBaseline = "bottom";
  const brief = (ms: number) => localTime(new Date(ms).toISOString()).slice(11, 19);
  c.textAlign = "left";
  c.fillText(brief(scale.from), LEFT, HEIGHT - 3);
  c.textAlign = "right";
  c.fillText(brief(scale.to), width - RIGHT, HEIGHT - 3);
}

/** drawDot draws a disc; a trace with an error is a red diamond, told by its form too. */
function drawDot(c: CanvasRenderingContext2D, d: Dot, colour: Colours, active: boolean): void {
  const failed = d.trace.errors > 0;
  const r = active ? 6 : failed ? 4 : 3;
  c.beginPath();
  if (failed) {
    c.moveTo(d.x, d.y - r);
    c.lineTo(d.x + r, d.y);
    c.lineTo(d.x, d.y + r);
    c.lineTo(d.x - r, d.y);
    c.closePath();
  } else {
    c.arc(d.x, d.y, r, 0, 2 * Math.PI);
  }
  c.fillStyle = colour(failed ? "error" : "cpu");
  c.globalAlpha = active ? 1 : failed ? 0.9 : 0.55;
  c.fill();
  c.globalAlpha = 1;
  if (active) {
    c.strokeStyle = colour("text");
    c.lineWidth = 2;
    c.stroke();
    c.lineWidth = 1;
  }
}
