// The states of each trace of a list, which come after the list itself.

import { useEffect, useReducer } from "preact/hooks";
import { get } from "./api";
import { mount } from "./route";
import type { BudgetPart, TraceSummary } from "./types";

interface Answer {
  traces: Record<string, { critical_ns: number; budget: BudgetPart[] }>;
}

/** MOST is how many the handler answers at once, LARGEST a trace that it would not analyse. */
const MOST = 100;
const LARGEST = 5000;

const known = new Map<string, BudgetPart[]>();

/** useShares gives the states of traces, by id, as far as they have come. */
export function useShares(traces: readonly TraceSummary[]): ReadonlyMap<string, BudgetPart[]> {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  // What may still change is asked for again with each list.
  const wanted = traces
    .filter((t) => t.spans <= LARGEST && (t.cpu_pending || !known.has(t.trace_id)))
    .map((t) => t.trace_id)
    .slice(0, MOST)
    .join(",");
  useEffect(() => {
    if (!wanted) return;
    const abort = new AbortController();
    get<Answer>(`${mount.pathname}shares?trace=${wanted}`, abort.signal).then(
      (answer) => {
        if (known.size > 3000) known.clear();
        for (const [id, t] of Object.entries(answer.traces)) known.set(id, t.budget);
        redraw(0);
      },
      () => {}, // the rows stand without
    );
    return () => abort.abort();
  }, [wanted, traces]);
  return known;
}
