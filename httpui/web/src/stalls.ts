// Stalls: the waits on the critical path, which made the request slower.

import type { Spans } from "./columns";
import { stateStyle } from "./encoding";

/** Stall is a stretch of waiting of one row on the critical path. */
export interface Stall {
  row: number;
  from: number;
  to: number;
  state: string;
}

/** WORTH is the share of the critical path from which a wait is worth a stop, MOST how many are told apart. */
const WORTH = 0.01;
const MOST = 2000;

/** stallsOf gives the waits on the critical path in the order of time; the short ones only where there are no long ones. */
export function stallsOf(spans: Spans, critical: number): Stall[] {
  const all: Stall[] = [];
  eachWait(spans, (row, from, to, state) => all.push({ row, from, to, state }));
  const long = all.filter((s) => s.to - s.from >= WORTH * critical);
  const some = long.length > 0 ? long : all.sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, 20);
  return some.slice(0, MOST).sort((a, b) => a.from - b.from || a.row - b.row);
}

/** longestWait finds the longest known wait on the critical path. */
export function longestWait(spans: Spans): Stall | undefined {
  let best: Stall | undefined;
  eachWait(spans, (row, from, to, state) => {
    if (!best || to - from > best.to - best.from) best = { row, from, to, state };
  });
  return best;
}

type Take = (row: number, from: number, to: number, state: string) => void;

function eachWait(spans: Spans, take: Take): void {
  for (let i = 0; i < spans.n; i++) {
    if (!spans.critical(i)) continue;
    if (spans.line.first[i + 1]! > spans.line.first[i]!) exactWaits(spans, i, take);
    else vagueWaits(spans, i, take);
  }
}

/** exactWaits gives what an execution trace knows to have been waiting. */
function exactWaits(spans: Spans, i: number, take: Take): void {
  const { line, criticalAt } = spans;
  let c = criticalAt.first[i]!;
  const end = criticalAt.first[i + 1]!;
  for (let k = line.first[i]!; k < line.first[i + 1]!; k++) {
    const state = spans.words[spans.lineState[k]!]!;
    if (!stateStyle(state).wait) continue;
    const from = line.at[2 * k]!;
    const to = line.at[2 * k + 1]!;
    while (c < end && criticalAt.at[2 * c + 1]! <= from) c++;
    for (let x = c; x < end && criticalAt.at[2 * x]! < to; x++) {
      take(i, Math.max(from, criticalAt.at[2 * x]!), Math.min(to, criticalAt.at[2 * x + 1]!), state);
    }
  }
}

/** vagueWaits takes the whole self time for a wait when the most of it was one. */
function vagueWaits(spans: Spans, i: number, take: Take): void {
  const state = spans.words[spans.mainWord(i)]!;
  if (!stateStyle(state).wait) return;
  const { first, at } = spans.criticalAt;
  for (let k = first[i]!; k < first[i + 1]!; k++) take(i, at[2 * k]!, at[2 * k + 1]!, state);
}
