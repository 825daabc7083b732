// Which rows of the tree are shown, and how to walk them.

import type { Spans } from "./columns";
import type { Domain } from "./segments";

/** Rows are indices of rows. */
export type Rows = ReadonlySet<number>;

export const NO_ROWS: Rows = new Set();

/** visible gives the rows that no collapsed row hides; with keep only those that it names. */
export function visible(spans: Spans, collapsed: Rows, keep?: Uint8Array): number[] {
  const out: number[] = [];
  const some = collapsed.size > 0;
  for (let i = 0; i < spans.n; ) {
    if (!keep || keep[i]) out.push(i);
    i = some && collapsed.has(i) ? spans.ends[i]! : i + 1;
  }
  return out;
}

/** rowOf finds a row among the shown ones, which are in order; -1 when it is hidden. */
export function rowOf(shown: readonly number[], index: number): number {
  let low = 0;
  for (let high = shown.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (shown[middle]! < index) low = middle + 1;
    else high = middle;
  }
  return shown[low] === index ? low : -1;
}

export function hasChildren(spans: Spans, i: number): boolean {
  return spans.ends[i]! > i + 1;
}

/** reveal gives collapsed without the ancestors of row i. */
export function reveal(spans: Spans, collapsed: Rows, i: number): Rows {
  let next: Set<number> | undefined;
  for (let p = spans.parent[i]!; p >= 0; p = spans.parent[p]!) {
    if (collapsed.has(p)) (next ??= new Set(collapsed)).delete(p);
  }
  return next ?? collapsed;
}

/** toggled gives collapsed with row i the other way. */
export function toggled(collapsed: Rows, i: number): Rows {
  const next = new Set(collapsed);
  if (!next.delete(i)) next.add(i);
  return next;
}

/** everyParent collapses all rows but the top ones. */
export function everyParent(spans: Spans): Rows {
  const out = new Set<number>();
  for (let i = 0; i < spans.n; i++) if (spans.depth[i]! > 0 && hasChildren(spans, i)) out.add(i);
  return out;
}

/** moved translates rows of one answer for a trace to those of the next. */
export function moved(rows: Rows, from: Spans, to: Spans): Rows {
  if (rows.size === 0 || from === to) return rows;
  const index = new Map<string, number>();
  for (let i = to.n - 1; i >= 0; i--) index.set(to.id(i), i);
  const out = new Set<number>();
  for (const i of rows) {
    const at = index.get(from.id(i));
    if (at !== undefined) out.add(at);
  }
  return out;
}

/** domainOf spans the request and every span, also those that outlive it. */
export function domainOf(spans: Spans, wall: number): Domain {
  const d = { from: 0, to: Math.max(wall, 1) };
  for (let i = 0; i < spans.n; i++) {
    d.from = Math.min(d.from, spans.start[i]!);
    d.to = Math.max(d.to, spans.start[i]! + spans.wall[i]!);
  }
  return d;
}
