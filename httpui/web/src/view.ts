// What of a trace is looked at: the stretch of time, the filter, which way of
// looking. It stands in the address, behind the selected span, so that it can be
// pasted.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Criteria } from "./find";
import type { Domain } from "./segments";

export interface View {
  /** The shown stretch of time; undefined is the whole trace. */
  shown: Domain | undefined;
  criteria: Criteria;
  operations: boolean;
}


/** LEAST is the shortest stretch of time that can be shown, nanoseconds. */
const LEAST = 100;

/** within moves and cuts a stretch so that it lies in the whole; undefined when it is the whole. */
export function within(d: Domain, whole: Domain): Domain | undefined {
  const length = Math.max(LEAST, d.to - d.from);
  if (length >= whole.to - whole.from) return undefined;
  const from = Math.min(Math.max(d.from, whole.from), whole.to - length);
  return { from, to: from + length };
}

/** zoomed gives a stretch factor times as long, in which the moment at stays where it is. */
export function zoomed(d: Domain, factor: number, at: number): Domain {
  const still = Math.min(Math.max(at, d.from), d.to);
  return { from: still - (still - d.from) * factor, to: still + (d.to - still) * factor };
}

export function panned(d: Domain, by: number): Domain {
  return { from: d.from + by, to: d.to + by };
}

/** around gives a stretch that shows another with air on both sides. */
export function around(from: number, to: number): Domain {
  const air = Math.max((to - from) * 0.15, LEAST);
  return { from: from - air, to: to + air };
}

/** readView reads what the address says. */
export function readView(hash: string): View {
  const p = new URLSearchParams(hash.slice(1));
  const time = (name: string) => (/^-?\d+$/.test(p.get(name) ?? "") ? Number(p.get(name)) : NaN);
  const from = time("from");
  const to = time("to");
  return {
    shown: to > from ? { from, to } : undefined,
    criteria: {
      text: p.get("find") ?? "",
      least: Math.max(0, time("least") || 0),
      critical: p.has("critical"),
      errors: p.has("errors"),
    },
    operations: p.has("operations"),
  };
}

/** writeView gives the fragment of the address for a selected span and a view. */
export function writeView(span: string, v: View): string {
  const p = new URLSearchParams();
  if (span) p.set("span", span);
  if (v.shown) {
    p.set("from", String(Math.round(v.shown.from)));
    p.set("to", String(Math.round(v.shown.to)));
  }
  const c = v.criteria;
  if (c.text) p.set("find", c.text);
  if (c.least > 0) p.set("least", String(c.least));
  if (c.critical) p.set("critical", "1");
  if (c.errors) p.set("errors", "1");
  if (v.operations) p.set("operations", "1");
  const text = p.toString();
  return text ? "#" + text : "";
}

/** SETTLE is how long the view stays the same before the address follows, milliseconds: browsers limit how often it may. */
const SETTLE = 250;

/** useView keeps the view, and the address in step with it. */
export function useView(span: string): [View, (change: Partial<View>) => void] {
  const [view, setView] = useState<View>(() => readView(location.hash));
  const latest = useRef({ view, span });
  latest.current = { view, span };

  useEffect(() => {
    const timer = setTimeout(() => {
      const hash = writeView(latest.current.span, latest.current.view);
      if (hash !== location.hash) history.replaceState(history.state, "", location.pathname + location.search + hash);
    }, SETTLE);
    return () => clearTimeout(timer);
  }, [view, span]);
  useEffect(() => {
    const back = () => setView(readView(location.hash));
    addEventListener("popstate", back);
    return () => removeEventListener("popstate", back);
  }, []);

  const change = useCallback((part: Partial<View>) => setView((v) => ({ ...v, ...part })), []);
  return [view, change];
}

