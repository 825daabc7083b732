// What a span's bar shows: which look, which layers, which words. A bar stands
// where the span's self time was; *within* it, states are shares of its height,
// never positions, because a CPU profile has no times.

import { byStateOrder, FULL_BAR, barHeight, MIN_SAMPLES, stateStyle, type Look } from "./encoding";
import { count, cpuText, duration, exactPart } from "./format";
import type { Piece } from "./segments";
import type { Evidence, Row } from "./types";

/** Layer is a share of a bar's height. */
export interface Layer {
  state: string;
  look: Look;
  /** Shares of the bar's height from below; a sampled layer fades from low to high. */
  from: number;
  low: number;
  high: number;
}

export interface Bar {
  /** The look of the bar itself: its outline and, without layers, its fill. */
  look: Look;
  height: number;
  /** Whether the outline is dashed: inferred, or not known. */
  dashed: boolean;
  layers: Layer[];
  /** The state that took the most of the self time, and whether it was a wait. */
  state: string;
  wait: boolean;
  /** Labels from the longest to the shortest. */
  labels: string[];
}

interface Part {
  state: string;
  ns: number;
  evidence: Evidence;
}

/** SINGLE is the share of self time from which one state has the bar for itself. */
const SINGLE = 0.97;

/** barOf decides how a row's self time is drawn. */
export function barOf(row: Row): Bar {
  const parts = selfParts(row);
  const self = Math.max(1, row.self_ns);
  const cpu = parts.find((p) => p.state === "cpu");
  const rest = parts.filter((p) => p.state !== "cpu").sort((a, b) => b.ns - a.ns);

  if (!cpu || cpu.evidence === "exact") return exactBar(row, parts, self);

  // Sampled CPU: the bar has the look of what else is known about its time.
  const top = rest[0] ?? { state: "unknown", ns: 0, evidence: "none" as const };
  const style = stateStyle(top.state);
  const layers = cpuLayers(row, cpu.ns, self);
  return {
    look: style.look,
    height: layers.length > 0 ? FULL_BAR : barHeight(style.look),
    dashed: top.evidence !== "exact",
    layers,
    state: cpu.ns >= top.ns ? "cpu" : top.state,
    wait: cpu.ns < top.ns && style.wait,
    labels: sampledLabels(row, top, self - cpu.ns),
  };
}

/** selfParts lists the states of self time, largest first. */
function selfParts(row: Row): Part[] {
  const parts: Part[] = [];
  for (const [state, ns] of Object.entries(row.states ?? {})) {
    if (state === "covered" || ns <= 0) continue;
    parts.push({ state, ns, evidence: row.state_evidence?.[state] ?? row.evidence });
  }
  if (parts.length === 0) parts.push({ state: "unknown", ns: row.self_ns, evidence: "none" });
  return parts.sort((a, b) => b.ns - a.ns || byStateOrder(a.state, b.state));
}

/** exactBar draws states that are known, or inferred for the whole of self time. */
function exactBar(row: Row, parts: Part[], self: number): Bar {
  const top = parts[0]!;
  const style = stateStyle(top.state);
  const dashed = top.evidence === "inferred" || top.evidence === "none";
  const single = top.ns >= SINGLE * self || parts.length === 1;
  return {
    look: style.look,
    height: single ? barHeight(style.look) : FULL_BAR,
    dashed,
    layers: single ? [] : stacked(parts, self),
    state: top.state,
    wait: style.wait,
    labels: knownLabels(row, parts, single),
  };
}

/** STOLEN is the share of a stretch on CPU from which it is shown that the kernel ran something else. */
const STOLEN = 0.02;

/** pieceBar decides how a stretch is drawn of which it is known what it was, or that nobody knows. */
export function pieceBar(p: Piece): Bar {
  const state = p.state ?? "unknown";
  const style = stateStyle(state);
  const stolen = state === "cpu" ? (p.stolen ?? 0) : 0;
  const on = 1 - stolen;
  const layers: Layer[] =
    stolen < STOLEN
      ? []
      : [
          { state: "cpu", look: "cpu", from: 0, low: on, high: on },
          { state: "steal", look: "steal", from: on, low: 1, high: 1 },
        ];
  return { look: style.look, height: barHeight(style.look), dashed: state === "unknown", layers, state, wait: style.wait, labels: [] };
}

/** pieceLabels are the labels of such a stretch, longest first. */
export function pieceLabels(p: Piece): string[] {
  const style = stateStyle(p.state ?? "unknown");
  const time = duration(p.ns ?? p.to - p.from);
  const short = [`${style.code} ${time}`, style.code];
  const stolen = p.state === "cpu" ? (p.stolen ?? 0) : 0;
  if (stolen >= STOLEN) return [`${style.code} ${time}, of that STEAL ≈${duration(stolen * (p.to - p.from))}`, ...short];
  return p.state === "unknown" ? [`? ${time} · not in the execution trace`, ...short] : [`${style.title} ${time}`, ...short];
}

/** stacked lays the states on one another, in the order of the legend. */
function stacked(parts: Part[], self: number): Layer[] {
  let at = 0;
  return [...parts]
    .sort((a, b) => byStateOrder(a.state, b.state))
    .map((p) => {
      const from = at;
      at = Math.min(1, at + p.ns / self);
      return { state: p.state, look: stateStyle(p.state).look, from, low: at, high: at };
    });
}

/** cpuLayers fills the bar from below by the sampled share, fading over its interval. */
function cpuLayers(row: Row, ns: number, self: number): Layer[] {
  if (row.samples < MIN_SAMPLES) return [];
  const share = (x: number) => Math.min(1, Math.max(0, x / self));
  const low = share(Math.min(row.cpu_low_ns, ns));
  return [{ state: "cpu", look: "cpu", from: 0, low, high: Math.max(share(ns), share(row.cpu_high_ns)) }];
}

function sampledLabels(row: Row, rest: Part, restNs: number): string[] {
  const cpu = cpuText(row);
  const figure = `CPU ${cpu.figure}`;
  const bounded = cpu.interval ? `${figure} (${cpu.interval})` : figure;
  const style = stateStyle(rest.state);
  const long =
    restNs < 0.05 * row.self_ns
      ? `self time ${duration(row.self_ns)}: ${bounded}`
      : `self time ${duration(row.self_ns)}: ${bounded}, the rest ${rest.state === "unknown" ? "unknown" : code(rest)}`;
  if (row.samples > 0) return [long, bounded, figure, "CPU"];
  // No sample at all: what is known of the rest comes first.
  return [`${code(rest)} ${duration(row.self_ns)} · ${figure}`, `${code(rest)} ${duration(row.self_ns)}`, style.code];
}

function knownLabels(row: Row, parts: Part[], single: boolean): string[] {
  const top = parts[0]!;
  const style = stateStyle(top.state);
  const ns = single ? row.self_ns : top.ns;
  const short = [`${code(top)} ${duration(ns)}`, code(top)];
  if (top.evidence === "inferred") return [`${short[0]} · inferred from span kind`, ...short];
  if (top.state === "unknown") {
    const cpu = cpuText(row);
    const bound = row.evidence === "none" || cpu.figure === "?" ? "no evidence" : `CPU ${cpu.figure}`;
    return [`${short[0]} · ${bound}`, ...short];
  }
  if (single) return [`${style.title} ${duration(ns)}`, ...short];
  return [parts.map((p) => `${code(p)} ${duration(p.ns)}`).join(" · "), ...short];
}

/** code is a state's code with its mark: NET? is inferred. */
function code(p: Part): string {
  return stateStyle(p.state).code + (p.evidence === "inferred" ? "?" : "");
}

/** describe words a whole row for those who do not see the bar. */
export function describe(row: Row): string {
  const cpu = cpuText(row);
  const states = selfParts(row)
    .map((p) => `${stateStyle(p.state).title} ${duration(p.ns)}${p.evidence === "exact" ? "" : ` (${p.evidence})`}`)
    .join(", ");
  const critical = row.critical && row.critical.length > 0 ? "; on the critical path" : "";
  const decides = row.decides_end ? "; its end decides its parent's end" : "";
  const events = row.marks?.length ? `; ${count(row.marks.length, "event")}` : "";
  return (
    `starts at ${duration(row.start_ns)}, wall ${duration(row.wall_ns)}, self time ${duration(row.self_ns)}: ` +
    `${states}; ${cpu.title}${exactPart(row)}${critical}${decides}${events}`
  );
}
