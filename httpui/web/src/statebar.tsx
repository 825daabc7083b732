// Where the time of a request's critical path went, as one small stacked bar.

import { byStateOrder, stateStyle } from "./encoding";
import { duration, percent } from "./format";
import type { BudgetPart } from "./types";

interface Props {
  parts: readonly BudgetPart[];
  /** How wide the bar is, as a share of its place. */
  share?: number;
}

/** StateBar shows states by look and width; its words have the figures and their evidence. */
export function StateBar({ parts, share = 1 }: Props) {
  const shown = parts.filter((p) => p.ns > 0).sort((a, b) => byStateOrder(a.state, b.state));
  const whole = shown.reduce((sum, p) => sum + p.ns, 0);
  const words = shown.map((p) => partWords(p, whole)).join("; ");
  if (shown.length === 0) return null;
  return (
    <span class="state-bar" role="img" aria-label={words} title={words.replaceAll("; ", "\n")} style={{ width: `${100 * Math.min(1, Math.max(0.02, share))}%` }}>
      {shown.map((p) => (
        <span key={p.state} class={`bar look-${stateStyle(p.state).look}${p.evidence === "inferred" ? " dashed" : ""}`} style={{ flexGrow: String(p.ns / whole) }} />
      ))}
    </span>
  );
}

function partWords(p: BudgetPart, whole: number): string {
  const mark = p.evidence === "exact" ? "" : "≈";
  const how = p.state === "unknown" || p.state === "covered" ? "" : `, ${p.evidence}`;
  return `${stateStyle(p.state).title} ${mark}${duration(p.ns)} (${percent(p.ns, whole)}${how})`;
}

/** partsOf makes parts of sums over requests, which are never exact. */
export function partsOf(states: Readonly<Record<string, number>>): BudgetPart[] {
  return Object.entries(states).map(([state, ns]) => ({ state, ns, evidence: state === "unknown" ? "none" : "sampled" }));
}
