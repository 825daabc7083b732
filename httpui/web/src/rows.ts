// Which rows of the tree are shown, and how to walk them.

import type { Row } from "./types";
import type { Domain } from "./segments";

/** Tree is a trace's rows with what walking them needs. */
export interface Tree {
  rows: readonly Row[];
  /** The index behind each row's last descendant. */
  ends: Int32Array;
  index: Map<string, number>;
}

/** makeTree reads the tree from the preorder rows and their depths. */
export function makeTree(rows: readonly Row[]): Tree {
  const ends = new Int32Array(rows.length);
  const open: number[] = [];
  const index = new Map<string, number>();
  rows.forEach((row, i) => {
    while (open.length > 0 && rows[open[open.length - 1]!]!.depth >= row.depth) ends[open.pop()!] = i;
    open.push(i);
    index.set(row.span_id, i);
  });
  for (const i of open) ends[i] = rows.length;
  return { rows, ends, index };
}

/** visible gives the indices of the rows that no collapsed row hides. */
export function visible(tree: Tree, collapsed: ReadonlySet<string>): number[] {
  const out: number[] = [];
  for (let i = 0; i < tree.rows.length; ) {
    out.push(i);
    i = collapsed.has(tree.rows[i]!.span_id) ? tree.ends[i]! : i + 1;
  }
  return out;
}

/** parentOf gives the index of a row's parent as displayed, -1 for a top row. */
export function parentOf(tree: Tree, i: number): number {
  const depth = tree.rows[i]!.depth;
  for (let p = i - 1; p >= 0; p--) if (tree.rows[p]!.depth < depth) return p;
  return -1;
}

/** reveal gives collapsed without the ancestors of row i. */
export function reveal(tree: Tree, collapsed: ReadonlySet<string>, i: number): ReadonlySet<string> {
  const ancestors: string[] = [];
  for (let p = parentOf(tree, i); p >= 0; p = parentOf(tree, p)) ancestors.push(tree.rows[p]!.span_id);
  if (!ancestors.some((id) => collapsed.has(id))) return collapsed;
  const next = new Set(collapsed);
  for (const id of ancestors) next.delete(id);
  return next;
}

/** domainOf spans the request and every span, also those that outlive it. */
export function domainOf(rows: readonly Row[], wall: number): Domain {
  const d = { from: 0, to: Math.max(wall, 1) };
  for (const r of rows) {
    d.from = Math.min(d.from, r.start_ns);
    d.to = Math.max(d.to, r.start_ns + r.wall_ns);
  }
  return d;
}
