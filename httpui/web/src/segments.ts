// Arithmetic on stretches of the trace's time. Every input list is sorted and
// free of overlaps, and so is every result.

import type { Interval } from "./types";

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

/** Column is a run of pixel columns that are filled to the same share. */
export interface Column {
  left: number;
  width: number;
  /** The part of the column's time that the pieces cover, 0 < share <= 1. */
  share: number;
  critical: boolean;
}

/**
 * columns draws pieces that are finer than the screen: each pixel column is
 * filled by the share of its time that the pieces cover, so that no piece wins
 * over its neighbours. Cost and result grow with the width, not with the pieces'
 * square.
 */
export function columns(pieces: readonly Piece[], d: Domain, width: number): Column[] {
  const n = Math.max(1, Math.floor(width));
  const filled = new Float64Array(n);
  const critical = new Float64Array(n);
  const perPixel = (d.to - d.from) / n;
  for (const p of pieces) {
    const first = Math.max(0, Math.floor((p.from - d.from) / perPixel));
    const last = Math.min(n - 1, Math.floor((p.to - d.from) / perPixel));
    for (let x = first; x <= last; x++) {
      const left = d.from + x * perPixel;
      const part = (Math.min(p.to, left + perPixel) - Math.max(p.from, left)) / perPixel;
      if (part <= 0) continue;
      filled[x]! += part;
      if (p.critical) critical[x]! += part;
    }
  }

  // Equal neighbours join: eight levels are as many as 18 px can show.
  const runs: Column[] = [];
  for (let x = 0; x < n; x++) {
    if (filled[x]! <= 0) continue;
    const share = Math.max(1, Math.min(8, Math.round(filled[x]! * 8))) / 8;
    const crit = critical[x]! * 2 >= filled[x]!;
    const last = runs[runs.length - 1];
    if (last && last.left + last.width === x && last.share === share && last.critical === crit) last.width++;
    else runs.push({ left: x, width: 1, share, critical: crit });
  }
  return runs;
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
