// The budget: where the time of the critical path went, as one stacked bar.

import { useRef } from "preact/hooks";
import { byStateOrder, MIN_SAMPLES, stateStyle } from "./encoding";
import { duration, percent, range } from "./format";
import { fit, PAD } from "./label";
import { measureBar } from "./measure";
import { useWidth } from "./size";
import type { BudgetPart, Trace } from "./types";

/** Slice is one drawn part of the bar. */
export interface Slice {
  part: BudgetPart;
  /** Nanoseconds that the slice is wide; for sampled CPU up to its upper bound. */
  ns: number;
  /** What of ns is certain: the solid part of a sampled slice. */
  solid: number;
}

/**
 * slices gives the parts their widths. Sampled CPU reaches from a solid lower
 * bound to a fading upper one; what it may take comes from the unknown first,
 * then from the others alike, so that the whole stays the whole. Below
 * MIN_SAMPLES it is as wide as its figure, without a solid part; without any
 * sample it is left to the words, for its bound would push aside what is known.
 */
export function slices(parts: readonly BudgetPart[], samples: number): Slice[] {
  const shown = parts.filter((p) => p.ns > 0).sort((a, b) => byStateOrder(a.state, b.state));
  const whole = shown.reduce((sum, p) => sum + p.ns, 0);
  const out = shown.map((part): Slice => {
    if (part.evidence !== "sampled") return { part, ns: part.ns, solid: part.ns };
    if (samples < MIN_SAMPLES) return { part, ns: part.ns, solid: 0 };
    const ns = Math.max(part.ns, Math.min(part.high_ns ?? 0, whole));
    return { part, ns, solid: Math.min(part.low_ns ?? 0, ns) };
  });
  let excess = out.reduce((sum, s) => sum + s.ns, 0) - whole;
  const give = (from: Slice[]) => {
    const room = from.reduce((sum, s) => sum + s.ns, 0);
    const part = Math.min(excess, room);
    if (part <= 0) return;
    for (const s of from) s.solid = s.ns -= (part * s.ns) / room;
    excess -= part;
  };
  give(out.filter((s) => s.part.state === "unknown"));
  give(out.filter((s) => s.part.state !== "unknown" && s.part.evidence !== "sampled"));
  return out.filter((s) => s.ns > 0);
}

export function Budget({ trace }: { trace: Trace }) {
  const all = slices(trace.budget ?? [], trace.samples);
  return all.length > 0 ? <Slices all={all} /> : null;
}

function Slices({ all }: { all: Slice[] }) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const whole = all.reduce((sum, s) => sum + s.ns, 0);
  return (
    <div class="budget" ref={box} role="list" aria-label="Where the time of the critical path went">
      {all.map((s) => (
        <Part key={s.part.state} slice={s} whole={whole} width={width} />
      ))}
    </div>
  );
}

function Part({ slice, whole, width }: { slice: Slice; whole: number; width: number }) {
  const { part } = slice;
  const style = stateStyle(part.state);
  const px = (width * slice.ns) / whole;
  const inferred = part.evidence === "inferred";
  const dashed = inferred || part.state === "unknown";
  const title = partTitle(part, whole);
  const grow = { flexGrow: String(slice.ns / whole) };

  if (part.evidence === "sampled") {
    const text = fit(sampledTexts(part, whole), px - 6, measureBar);
    const solid = (px * slice.solid) / slice.ns;
    return (
      <div class={`slice sampled look-${style.look}${slice.solid > 0 ? "" : " few"}`} role="listitem" style={grow} title={title} aria-label={title}>
        {slice.solid > 0 && <span class="solid" style={{ width: `${(100 * slice.solid) / slice.ns}%` }} />}
        {text && <span class={measureBar(text) + 2 * PAD < solid ? "text" : "plate"}>{text}</span>}
      </div>
    );
  }
  const code = style.code + (inferred ? "?" : "");
  const text = fit([`${code} ${duration(part.ns)} · ${percent(part.ns, whole)}`, `${code} ${percent(part.ns, whole)}`, code], px - 6, measureBar);
  return (
    <div class={`slice bar look-${style.look}${dashed ? " dashed" : ""}`} role="listitem" style={grow} title={title} aria-label={title}>
      {text && <span class="text">{text}</span>}
    </div>
  );
}

/** sampledTexts are the labels of sampled CPU, longest first. */
function sampledTexts(part: BudgetPart, whole: number): string[] {
  const { code } = stateStyle(part.state);
  const high = part.high_ns ?? part.ns;
  const figure = `${code} ≈${duration(part.ns)}`;
  const bounded = `${figure} (${range(part.low_ns ?? 0, high, part.ns)})`;
  return [`${bounded} · ${percent(part.ns, whole)}`, bounded, figure, code];
}

function partTitle(part: BudgetPart, whole: number): string {
  const style = stateStyle(part.state);
  const figure = `${style.title}: ${duration(part.ns)}, ${percent(part.ns, whole)} of the critical path`;
  if (part.evidence === "sampled" && part.high_ns !== undefined) {
    return `${figure}; sampled, interval ${duration(part.low_ns ?? 0)} to ${duration(part.high_ns)}`;
  }
  if (part.evidence === "none") return `${figure}; no evidence what it was`;
  return `${figure}; ${part.evidence}`;
}
