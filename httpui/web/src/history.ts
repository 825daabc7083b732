// How long the operations of a trace take in general, as the store has it.

import { useEffect, useState } from "preact/hooks";
import { get } from "./api";
import { traceHref } from "./route";

/** Past is what is known of an operation: how many spans it has, and how long they took. */
export interface Past {
  service: string;
  name: string;
  count: number;
  errors: number;
  max_ns: number;
  /** What 1, 2, ... 99 % of them do not exceed. */
  percentiles_ns: number[];
}

export type History = ReadonlyMap<string, Past>;

export function pastKey(service: string, name: string): string {
  return `${service}\n${name}`;
}

/** useHistory asks for it when it is wanted; undefined until it is known, and where it cannot be had. */
export function useHistory(trace: string, wanted: boolean): History | undefined {
  const [known, setKnown] = useState<{ trace: string; history: History }>();
  const has = known?.trace === trace;
  useEffect(() => {
    if (!wanted || has) return;
    const abort = new AbortController();
    get<{ operations: Past[] }>(`${traceHref(trace)}/operations`, abort.signal).then(
      (a) => setKnown({ trace, history: new Map(a.operations.map((o) => [pastKey(o.service, o.name), o])) }),
      () => undefined, // the rest of the page says what it has to say
    );
    return () => abort.abort();
  }, [trace, wanted, has]);
  return has ? known.history : undefined;
}

/** rank gives the percentage of an operation's spans that took no longer, 0 to 100. */
export function rank(past: Past, ns: number): number {
  let below = 0;
  while (below < past.percentiles_ns.length && past.percentiles_ns[below]! <= ns) below++;
  return ns >= past.max_ns ? 100 : below;
}

/** ENOUGH is how many spans an operation must have for a percentile to say anything. */
export const ENOUGH = 20;

/** quantile gives what p % of an operation's spans do not exceed. */
export function quantile(past: Past, p: number): number {
  return past.percentiles_ns[p - 1] ?? past.max_ns;
}
