// The whole trace in a strip, above the waterfall: what is shown of it can be
// chosen by dragging, by its two ends, or by moving the window between them.

import { useEffect, useRef } from "preact/hooks";
import type { Segments, Spans } from "./columns";
import { stateStyle } from "./encoding";
import { duration } from "./format";
import { memo } from "./memo";
import { ink, useInks, type RGBA } from "./paint";
import type { Domain } from "./segments";
import { useWidth } from "./size";
import { within } from "./view";

const HEIGHT = 40;

/** NEAR is how near to an end of the window a pointer takes hold of it, pixels. */
const NEAR = 8;

interface Props {
  spans: Spans;
  /** The rows that are shown, from the top of the strip to its bottom. */
  shown: readonly number[];
  whole: Domain;
  domain: Domain;
  onShow: (shown: Domain | undefined) => void;
}

export const Minimap = memo(function Minimap({ spans, shown, whole, domain, onShow }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box);
  const inks = useInks();

  // The rows come first; the strip follows in a task of its own, behind their frame.
  useEffect(() => {
    if (width <= 0) return;
    let timer = 0;
    const frame = requestAnimationFrame(() => {
      timer = setTimeout(() => canvas.current && paint(canvas.current, spans, shown, whole, width));
    });
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [spans, shown, whole, width, inks]);

  const length = whole.to - whole.from;
  const x = (ns: number) => (width * (ns - whole.from)) / length;
  const show = (d: Domain) => onShow(within(d, whole));
  const onDown = useBrush(box, whole, domain, show, () => onShow(undefined));
  const left = x(domain.from);
  const right = x(domain.to);
  return (
    <div class={`minimap${domain === whole ? " all" : ""}`} ref={box} role="group" aria-label="The shown part of the trace" onPointerDown={onDown} onDblClick={() => onShow(undefined)} title="Drag to choose what is shown; double click shows all">
      {width > 0 && <canvas ref={canvas} width={Math.floor(width)} height={HEIGHT} aria-hidden="true" />}
      <span class="outside" style={{ left: "0", width: `${left}px` }} />
      <span class="outside" style={{ left: `${right}px`, width: `${Math.max(0, width - right)}px` }} />
      <End label="Start of what is shown" at={domain.from} left={left} whole={whole} step={(domain.to - domain.from) / 20} onMove={(from) => show({ from: Math.min(from, domain.to), to: domain.to })} />
      <End label="End of what is shown" at={domain.to} left={right} whole={whole} step={(domain.to - domain.from) / 20} onMove={(to) => show({ from: domain.from, to: Math.max(to, domain.from) })} />
    </div>
  );
});

interface EndProps {
  label: string;
  at: number;
  left: number;
  whole: Domain;
  step: number;
  onMove: (to: number) => void;
}

/** End is one end of the window, as a slider for the keyboard and for those who do not see it. */
function End({ label, at, left, whole, step, onMove }: EndProps) {
  const onKey = (e: KeyboardEvent) => {
    const to: Record<string, number> = {
      ArrowLeft: at - step,
      ArrowDown: at - step,
      ArrowRight: at + step,
      ArrowUp: at + step,
      PageDown: at - 4 * step,
      PageUp: at + 4 * step,
      Home: whole.from,
      End: whole.to,
    };
    if (to[e.key] === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    onMove(Math.min(whole.to, Math.max(whole.from, to[e.key]!)));
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <span
      class="handle"
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-valuemin={Math.round(whole.from / 1000)}
      aria-valuemax={Math.round(whole.to / 1000)}
      aria-valuenow={Math.round(at / 1000)}
      aria-valuetext={duration(at)}
      style={{ left: `${left}px` }}
      onKeyDown={onKey}
    />
  );
}

/** useBrush follows a pointer from where it was pressed: at an end of the window, in it, or elsewhere for a new one. */
function useBrush(
  box: { current: HTMLDivElement | null },
  whole: Domain,
  domain: Domain,
  show: (d: Domain) => void,
  all: () => void,
): (e: PointerEvent) => void {
  return (e) => {
    const el = box.current;
    if (!el || e.button !== 0) return;
    const { left, width } = el.getBoundingClientRect();
    const length = whole.to - whole.from;
    const at = (x: number) => Math.min(whole.to, Math.max(whole.from, whole.from + ((x - left) / width) * length));
    const near = (ns: number) => Math.abs(e.clientX - left - ((ns - whole.from) / length) * width) < NEAR;
    const start = at(e.clientX);
    const zoomed = domain !== whole;
    const between = (a: number, b: number): Domain => ({ from: Math.min(a, b), to: Math.max(a, b) });

    let next: (ns: number) => Domain;
    if (zoomed && near(domain.from)) next = (ns) => between(ns, domain.to);
    else if (zoomed && near(domain.to)) next = (ns) => between(domain.from, ns);
    else if (zoomed && start > domain.from && start < domain.to) next = (ns) => ({ from: domain.from + ns - start, to: domain.to + ns - start });
    else next = (ns) => between(start, ns);

    let moved = false;
    const onMove = (m: PointerEvent) => {
      moved ||= Math.abs(m.clientX - e.clientX) > 2;
      if (moved) show(next(at(m.clientX)));
    };
    const done = () => {
      el.removeEventListener("pointermove", onMove);
      el.removeEventListener("pointerup", done);
      el.removeEventListener("pointercancel", done);
      if (!moved && zoomed && (start < domain.from || start > domain.to)) all();
    };
    el.setPointerCapture(e.pointerId);
    el.addEventListener("pointermove", onMove);
    el.addEventListener("pointerup", done);
    el.addEventListener("pointercancel", done);
    e.preventDefault();
  };
}

/** paint draws the self time of the shown rows; what is on the critical path is drawn over what is not. */
function paint(canvas: HTMLCanvasElement, spans: Spans, shown: readonly number[], whole: Domain, width: number): void {
  const to = canvas.getContext("2d");
  const w = Math.floor(width);
  if (!to || w <= 0 || shown.length === 0) return;
  const image = to.createImageData(w, HEIGHT);
  const pixels = new Uint32Array(image.data.buffer);
  const high = Math.max(1, Math.min(6, Math.floor(HEIGHT / shown.length) - 1));
  const colours = palette(spans);
  const perNS = w / (whole.to - whole.from);
  const perRow = HEIGHT / Math.max(shown.length, HEIGHT / 7);
  const draw = (at: Segments, i: number, n: number, colour: number) => {
    const top = Math.floor(n * perRow);
    for (let k = at.first[i]!; k < at.first[i + 1]!; k++) {
      const x0 = Math.min(w - 1, Math.max(0, Math.floor((at.at[2 * k]! - whole.from) * perNS)));
      const x1 = Math.min(w, Math.max(x0 + 1, Math.ceil((at.at[2 * k + 1]! - whole.from) * perNS)));
      for (let y = top; y < Math.min(HEIGHT, top + high); y++) pixels.fill(colour, y * w + x0, y * w + x1);
    }
  };
  for (let n = 0; n < shown.length; n++) draw(spans.selfAt, shown[n]!, n, colours.pale[spans.mainWord(shown[n]!)]!);
  for (let n = 0; n < shown.length; n++) draw(spans.criticalAt, shown[n]!, n, colours.edge[spans.mainWord(shown[n]!)]!);
  to.putImageData(image, 0, 0);
}

/** palette gives the colours of the words that are states, as pixels. */
function palette(spans: Spans): { pale: Uint32Array; edge: Uint32Array } {
  const pale = new Uint32Array(spans.words.length);
  const edge = new Uint32Array(spans.words.length);
  for (const w of spans.stateWords()) {
    const colours = ink(stateStyle(spans.words[w]!).look);
    pale[w] = pack(colours.pale);
    edge[w] = pack(colours.edge);
  }
  return { pale, edge };
}

/** pack gives a colour as the four bytes of a pixel; every machine with a browser has the least first. */
function pack([r, g, b, a]: RGBA): number {
  return ((a << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
}
