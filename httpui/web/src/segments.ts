// Arithmetic on stretches of the trace's time. Every input list is sorted and
// free of overlaps, and so is every result.

import type { Interval, Row } from "./types";

/** Domain is the stretch of time that the time axis shows. */
export interface Domain {
  from: number;
  to: number;
}

/** Piece is a part of a span's self time, on the critical path or off it. */
export interface Piece {
  from: number;
  to: number;
  critical: boolean;
  /** What an execution trace tells that it was; undefined where none tells. */
  state?: string;
  /** The share of it in which the kernel ran something else. */
  stolen?: number;
  /** How long it is as a whole, also where it is cut to what is shown. */
  ns?: number;
}

/** splitCritical cuts self time where the critical path enters and leaves it. */
export function splitCritical(self: readonly Interval[], critical: readonly Interval[]): Piece[] {
  const pieces: Piece[] = [];
  let i = 0;
  for (const [from, to] of self) {
    let at = from;
    while (i < critical.length && critical[i]![1] <= from) i++;
    for (let j = i; j < critical.length && critical[j]![0] < to; j++) {
      const [cf, ct] = critical[j]!;
      if (cf > at) pieces.push({ from: at, to: cf, critical: false });
      pieces.push({ from: Math.max(at, cf), to: Math.min(to, ct), critical: true });
      at = Math.min(to, ct);
    }
    if (at < to) pieces.push({ from: at, to, critical: false });
  }
  return pieces;
}

/** gaps gives what of [from, to) the parts leave open. */
export function gaps(from: number, to: number, parts: readonly Interval[]): Interval[] {
  const open: Interval[] = [];
  let at = from;
  for (const [f, t] of parts) {
    if (f > at) open.push([at, Math.min(f, to)]);
    at = Math.max(at, t);
    if (at >= to) break;
  }
  if (at < to) open.push([at, to]);
  return open;
}

/** total adds up the lengths. */
export function total(parts: readonly Interval[]): number {
  return parts.reduce((sum, [f, t]) => sum + (t - f), 0);
}

/** piecesOf gives a row's self time, what is known of it stretch by stretch, and the rest. */
export function piecesOf(row: Row): Piece[] {
  const self = row.self ?? [];
  const critical = row.critical ?? [];
  const line = row.timeline ?? [];
  if (line.length === 0) return splitCritical(self, critical);
  const out: Piece[] = [];
  const known: Interval[] = [];
  for (const s of line) {
    known.push([s.from, s.to]);
    const stolen = s.to > s.from ? Math.min(1, s.stolen / (s.to - s.from)) : 0;
    for (const p of splitCritical([[s.from, s.to]], touching(critical, s.from, s.to))) out.push({ ...p, state: s.state, stolen });
  }
  for (const [from, to] of self) {
    const open = gaps(from, to, touching(known, from, to));
    for (const p of splitCritical(open, touching(critical, from, to))) out.push({ ...p, state: "unknown" });
  }
  return out.sort((a, b) => a.from - b.from);
}

/** touching gives those of sorted parts that touch a stretch. */
function touching(parts: readonly Interval[], from: number, to: number): readonly Interval[] {
  let low = 0;
  for (let high = parts.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (parts[middle]![1] <= from) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < parts.length && parts[end]![0] < to) end++;
  return parts.slice(low, end);
}

/** cut gives the pieces that a stretch of time shows, cut to it. */
export function cut(pieces: readonly Piece[], d: Domain): Piece[] {
  const out: Piece[] = [];
  for (const p of pieces) {
    if (p.to < d.from || p.from > d.to) continue;
    out.push({ ...p, ns: p.to - p.from, from: Math.max(p.from, d.from), to: Math.min(p.to, d.to) });
  }
  return out;
}

/**
 * shares tells of each pixel column how much of its time is of each kind, so that
 * no piece wins over its neighbours: the value of kind k in column x is at
 * x*kinds+k, at most 1 in sum.
 */
export function shares(pieces: readonly Piece[], kindOf: (p: Piece) => number, kinds: number, d: Domain, width: number): Float32Array {
  const n = Math.max(1, Math.floor(width));
  const out = new Float32Array(n * kinds);
  const perPixel = (d.to - d.from) / n;
  for (const p of pieces) {
    const kind = kindOf(p);
    const first = Math.max(0, Math.floor((p.from - d.from) / perPixel));
    const last = Math.min(n - 1, Math.floor((p.to - d.from) / perPixel));
    for (let x = first; x <= last; x++) {
      const left = d.from + x * perPixel;
      const part = (Math.min(p.to, left + perPixel) - Math.max(p.from, left)) / perPixel;
      if (part > 0) out[x * kinds + kind]! += part;
    }
  }
  return out;
}

/** ticks gives round times for an axis of that width, the first at or after d.from. */
export function ticks(d: Domain, width: number, minGap = 90): number[] {
  const span = d.to - d.from;
  if (span <= 0 || width <= 0) return [];
  const rough = span / Math.max(1, Math.floor(width / minGap));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? 10 * power;
  const out: number[] = [];
  for (let i = Math.ceil(d.from / step); i * step <= d.to; i++) out.push(i * step);
  return out;
}
