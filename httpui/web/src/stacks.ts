// CPU stacks as a tree of frames, from the caller to the callee.

import type { Stack } from "./types";

/** Node is a function as called along one path. */
export interface Node {
  func: string;
  /** Where the function was, file:line of its most frequent sample. */
  at: string;
  samples: number;
  /** Samples in the function itself, not in what it called. */
  self: number;
  children: Node[];
}

/** frameTree joins stacks that begin alike; the most sampled children come first. */
export function frameTree(stacks: readonly Stack[]): Node {
  const root: Node = { func: "", at: "", samples: 0, self: 0, children: [] };
  for (const stack of stacks) {
    root.samples += stack.samples;
    let node = root;
    for (let i = stack.frames.length - 1; i >= 0; i--) {
      const frame = stack.frames[i]!;
      let child = node.children.find((c) => c.func === frame.func);
      if (!child) {
        child = { func: frame.func, at: frame.file ? `${frame.file}:${frame.line ?? 0}` : "", samples: 0, self: 0, children: [] };
        node.children.push(child);
      }
      child.samples += stack.samples;
      node = child;
    }
    node.self += stack.samples;
  }
  sort(root);
  return root;
}

function sort(node: Node): void {
  node.children.sort((a, b) => b.samples - a.samples || (a.func < b.func ? -1 : 1));
  node.children.forEach(sort);
}

/** trunk gives the callers that all samples share: the tree's part without a fork. */
export function trunk(root: Node): Node[] {
  const out: Node[] = [];
  for (let n = root; n.children.length === 1 && n.children[0]!.samples === root.samples && n.self === 0; ) {
    n = n.children[0]!;
    out.push(n);
  }
  return out;
}

/** Cell is a node's place in the drawing, in shares of the whole width. */
export interface Cell {
  node: Node;
  left: number;
  width: number;
}

/** layers gives the cells of each depth below root; cells narrower than min are left out. */
export function layers(root: Node, min: number, deepest: number): Cell[][] {
  const out: Cell[][] = [];
  let level: Cell[] = [{ node: root, left: 0, width: 1 }];
  while (out.length < deepest) {
    const next: Cell[] = [];
    for (const cell of level) {
      let left = cell.left;
      for (const child of cell.node.children) {
        const width = root.samples > 0 ? child.samples / root.samples : 0;
        if (width >= min) next.push({ node: child, left, width });
        left += width;
      }
    }
    if (next.length === 0) break;
    out.push(next);
    level = next;
  }
  return out;
}

/** FuncTotal is a function's samples over all stacks. */
export interface FuncTotal {
  func: string;
  self: number;
  total: number;
}

/** byFunc lists the functions by their own samples; recursion counts once. */
export function byFunc(stacks: readonly Stack[]): FuncTotal[] {
  const sums = new Map<string, FuncTotal>();
  const sum = (func: string) => {
    let f = sums.get(func);
    if (!f) sums.set(func, (f = { func, self: 0, total: 0 }));
    return f;
  };
  for (const stack of stacks) {
    for (const func of new Set(stack.frames.map((f) => f.func))) sum(func).total += stack.samples;
    const leaf = stack.frames[0];
    if (leaf) sum(leaf.func).self += stack.samples;
  }
  return [...sums.values()].sort((a, b) => b.self - a.self || b.total - a.total || (a.func < b.func ? -1 : 1));
}
