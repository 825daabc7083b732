// Stacks as a tree of functions, and the tree as boxes. Everything here is pure.

import type { Frame } from "./types";

export type Kind = "cpu" | "wait";

/** FlameStack is where some time went; frames are positions in Flame.frames, leaf first. */
export interface FlameStack {
  group: number;
  kind: Kind;
  state: string;
  ns: number;
  count: number;
  frames: number[];
}

/** Node is a function as called along one path, or a state in which it waited. */
export interface Node {
  func: string;
  at: string;
  /** The state that the time was spent in, as that of most of it. */
  state: string;
  /** Whether the node stands for its state and is no function. */
  isState: boolean;
  ns: number;
  self: number;
  count: number;
  depth: number;
  parent: Node | undefined;
  children: Node[];
}

function node(func: string, at: string, state: string, parent: Node | undefined): Node {
  return { func, at, state, isState: false, ns: 0, self: 0, count: 0, depth: parent ? parent.depth + 1 : 0, parent, children: [] };
}

/**
 * flameTree joins stacks that begin alike, the largest children first. Waiting stacks
 * are apart by state: what waited for the network is not what waited for a lock.
 */
export function flameTree(stacks: readonly FlameStack[], frames: readonly Frame[]): Node {
  const root = node("all", "", "", undefined);
  const children = new Map<Node, Map<string, Node>>();
  const below = (of: Node, func: string, at: string, state: string) => {
    let known = children.get(of);
    if (!known) children.set(of, (known = new Map()));
    let child = known.get(func);
    if (!child) {
      child = node(func, at, state, of);
      known.set(func, child);
      of.children.push(child);
    }
    return child;
  };
  const add = (to: Node, s: FlameStack) => {
    to.ns += s.ns;
    to.count += s.count;
  };
  for (const s of stacks) {
    add(root, s);
    let at = root;
    if (s.kind === "wait") {
      at = below(at, "\0" + s.state, "", s.state);
      at.isState = true;
      add(at, s);
    }
    for (let i = s.frames.length - 1; i >= 0; i--) {
      const f = frames[s.frames[i]!];
      at = below(at, f?.func ?? "?", f?.file ? `${f.file}:${f.line ?? 0}` : "", s.state);
      add(at, s);
    }
    at.self += s.ns;
  }
  for (const of of children.keys()) of.children.sort((a, b) => b.ns - a.ns || (a.func < b.func ? -1 : 1));
  return root;
}

/** Box is a node's place: from left to left + width as shares of the whole, at a level from 0. */
export interface Box {
  node: Node;
  left: number;
  width: number;
  level: number;
}

/**
 * boxes places what hangs on a node: its callers over the whole width above it, and
 * what it called below, as far as it is at least as wide as least.
 */
export function boxes(focus: Node, least: number): Box[] {
  const out: Box[] = [];
  for (let up: Node | undefined = focus.parent; up; up = up.parent) out.push({ node: up, left: 0, width: 1, level: up.depth });
  out.reverse();
  const whole = Math.max(1, focus.ns);
  const stack: Box[] = [{ node: focus, left: 0, width: 1, level: focus.depth }];
  for (let box = stack.pop(); box; box = stack.pop()) {
    out.push(box);
    let left = box.left;
    for (const child of box.node.children) {
      const width = child.ns / whole;
      if (width < least) break; // the rest is narrower
      stack.push({ node: child, left, width, level: child.depth });
      left += width;
    }
  }
  return out;
}

/** FuncSum is a function's time over all stacks. */
export interface FuncSum {
  func: string;
  self: number;
  total: number;
  count: number;
}

/** byFunction lists functions by their own time; recursion counts once. */
export function byFunction(root: Node): FuncSum[] {
  const sums = new Map<string, FuncSum>();
  const open = new Map<string, number>();
  const visit = (n: Node) => {
    const counts = n.parent !== undefined && !n.isState;
    const depth = open.get(n.func) ?? 0;
    if (counts) {
      let sum = sums.get(n.func);
      if (!sum) sums.set(n.func, (sum = { func: n.func, self: 0, total: 0, count: 0 }));
      sum.self += n.self;
      if (depth === 0) {
        sum.total += n.ns;
        sum.count += n.count;
      }
      open.set(n.func, depth + 1);
    }
    n.children.forEach(visit);
    if (counts) open.set(n.func, depth);
  };
  visit(root);
  return [...sums.values()].sort((a, b) => b.self - a.self || b.total - a.total || (a.func < b.func ? -1 : 1));
}

/** matcher tells whether a function's name holds a text, or matches it as a regular expression between slashes. */
export function matcher(text: string): ((func: string) => boolean) | undefined {
  if (!text) return undefined;
  const expression = /^\/(.+)\/$/.exec(text);
  if (expression) {
    try {
      const re = new RegExp(expression[1]!, "i");
      return (func) => re.test(func);
    } catch {
      return () => false; // not finished yet
    }
  }
  const lower = text.toLowerCase();
  return (func) => func.toLowerCase().includes(lower);
}

/** matched adds up the time of the paths that a match stands on, each once. */
export function matched(root: Node, match: (func: string) => boolean): number {
  let sum = 0;
  const stack = [root];
  for (let n = stack.pop(); n; n = stack.pop()) {
    if (n.parent && !n.isState && match(n.func)) sum += n.ns;
    else stack.push(...n.children);
  }
  return sum;
}
