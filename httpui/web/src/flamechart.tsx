// A tree of functions as boxes: callers above, callees below, width by time.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { stateStyle } from "./encoding";
import { count, duration, percent, shortFunc, bareFunc } from "./format";
import { boxes, type Box, type Kind, type Node } from "./flametree";
import { fit } from "./label";
import { measureMono } from "./measure";
import { useWidth } from "./size";

const LEVEL = 20;
/** NARROWEST is the least width of a box that is drawn, in pixels; LABELLED of one with words. */
const NARROWEST = 1.5;
const LABELLED = 24;

interface Props {
  root: Node;
  kind: Kind;
  match: ((func: string) => boolean) | undefined;
  /** Clears the search; tells whether there was one. */
  onClear: () => boolean;
}

export function FlameChart({ root, kind, match, onClear }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box);
  const [focus, setFocus] = useState(root);
  const [active, setActive] = useState<Node>();
  const shownFocus = rootOf(focus) === root ? focus : root;
  const shown = active && rootOf(active) === root ? active : undefined;
  const all = useMemo(() => (width > 0 ? boxes(shownFocus, NARROWEST / width) : []), [shownFocus, width]);
  const height = LEVEL * (1 + all.reduce((most, b) => Math.max(most, b.level), 0));
  useEffect(() => setFocus(root), [root]);

  useLayoutEffect(() => {
    const draw = () => canvas.current && drawBoxes(canvas.current, width, height, all, shown, match);
    draw();
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      theme.disconnect();
      dark.removeEventListener("change", draw);
    };
  }, [all, width, height, shown, match]);

  const at = (e: MouseEvent) => {
    const r = box.current!.getBoundingClientRect();
    const level = Math.floor((e.clientY - r.top) / LEVEL);
    const x = (e.clientX - r.left) / Math.max(1, width);
    return all.find((b) => b.level === level && x >= b.left && x < b.left + b.width)?.node;
  };
  const zoom = (to: Node) => {
    setFocus(to);
    setActive(to);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const from = shown ?? shownFocus;
    const next = { ArrowUp: from.parent, ArrowDown: from.children[0], ArrowLeft: sibling(from, -1), ArrowRight: sibling(from, 1) }[e.key];
    if (e.key === "Enter") zoom(from);
    else if (e.key === "Escape") {
      if (shownFocus !== root) zoom(shownFocus.parent ?? root);
      else if (!onClear()) box.current?.blur();
    } else if (e.key.startsWith("Arrow")) {
      if (next) setActive(next);
      if (next && e.key === "ArrowUp" && next.depth < shownFocus.depth) setFocus(next);
    } else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <>
      <div
        ref={box}
        class="flame"
        style={{ height: `${height}px` }}
        tabIndex={0}
        role="application"
        aria-roledescription="flame graph"
        aria-label={`${kind === "cpu" ? "CPU time" : "Waiting"} by call path, ${duration(root.ns)}; arrows move, Enter zooms, Escape zooms out; the table has the same functions`}
        onMouseMove={(e) => setActive(at(e))}
        onMouseLeave={() => setActive(undefined)}
        onClick={(e) => {
          const n = at(e);
          if (n) zoom(n);
        }}
        onKeyDown={onKeyDown}
      >
        <canvas ref={canvas} aria-hidden="true" />
      </div>
      <p class="plot-line flame-line" role="status">
        <Words node={shown ?? shownFocus} root={root} kind={kind} />
        {shownFocus !== root && (
          <button type="button" class="small" onClick={() => zoom(root)}>
            Show all
          </button>
        )}
      </p>
    </>
  );
}

function Words({ node: n, root, kind }: { node: Node; root: Node; kind: Kind }) {
  const name = nameOf(n);
  return (
    <>
      <strong class="mono">{name}</strong> {duration(n.ns)} ({percent(n.ns, root.ns)}), {duration(n.self)} in itself, {count(n.count, kind === "cpu" ? "sample" : "wait")}{" "}
      <span class="dim mono">{n.at}</span>
    </>
  );
}

/** nameOf is what a node is called: a function, a state, or all. */
export function nameOf(n: Node): string {
  return n.isState ? stateStyle(n.state).title : n.func;
}

function rootOf(n: Node): Node {
  while (n.parent) n = n.parent;
  return n;
}

function sibling(n: Node, by: number): Node | undefined {
  const all = n.parent?.children ?? [];
  return all[all.indexOf(n) + by];
}

type Colours = (name: string) => string;

function colours(el: HTMLElement): Colours {
  const known = new Map<string, string>();
  const probe = el.parentElement!.appendChild(document.createElement("i"));
  return (name) => {
    let value = known.get(name);
    if (!value) {
      probe.style.color = `var(--${name})`;
      known.set(name, (value = getComputedStyle(probe).color));
    }
    return value;
  };
}

function drawBoxes(canvas: HTMLCanvasElement, width: number, height: number, all: readonly Box[], active: Node | undefined, match: Props["match"]): void {
  const c = canvas.getContext("2d");
  if (!c || width <= 0) return;
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  c.scale(ratio, ratio);
  const colour = colours(canvas);
  c.font = "400 12px monospace";
  c.textBaseline = "middle";
  for (const b of all) drawBox(c, b, width, colour, match);
  const at = all.find((b) => b.node === active);
  if (at) {
    c.strokeStyle = colour("text");
    c.lineWidth = 2;
    c.strokeRect(at.left * width + 1, at.level * LEVEL + 1, Math.max(1, at.width * width - 2), LEVEL - 3);
  }
  canvas.parentElement!.querySelectorAll(":scope > i").forEach((probe) => probe.remove());
}

function drawBox(c: CanvasRenderingContext2D, b: Box, width: number, colour: Colours, match: Props["match"]): void {
  const { node: n } = b;
  const [x, y, w] = [b.left * width, b.level * LEVEL, b.width * width];
  const hit = match && !n.isState && n.parent && match(n.func);
  c.globalAlpha = match && !hit ? 0.35 : 1;
  c.fillStyle = colour(fill(n, Boolean(hit)));
  c.fillRect(x, y, Math.max(0.5, w - 1), LEVEL - 1);
  c.globalAlpha = 1;
  if (w < LABELLED) return;
  const words = nameOf(n);
  const text = fit([`${words} ${duration(n.ns)}`, `${shortFunc(words)} ${duration(n.ns)}`, shortFunc(words), bareFunc(words)], w - 8, measureMono);
  if (!text) return;
  c.fillStyle = colour(hit ? "canvas" : "text");
  c.fillText(text, x + 4, y + LEVEL / 2);
}

/** fill names a box's colour: found ones stand out; waits have their state's; depths differ in shade. */
function fill(n: Node, hit: boolean): string {
  if (hit) return "accent";
  if (!n.parent) return "raised";
  const look = n.state ? stateStyle(n.state).look : "cpu";
  const wait = { lock: "lock-pale", net: "net-pale", runq: "runq-pale", steal: "runq-pale", gc: "gc-pale", sleep: "raised", unknown: "raised", covered: "raised", cpu: "" }[look];
  return wait || `shade-${Math.min(n.depth - 1, 5)}`;
}
