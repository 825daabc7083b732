// What the process went through while the trace ran: stretches of time in which
// the kernel or the runtime let everybody wait.

import type { Look } from "./encoding";
import { duration, percent } from "./format";
import type { Domain } from "./segments";
import type { Signals } from "./types";

/** Band is a stretch of time in which something of one kind happened. */
export interface Band {
  kind: string;
  look: Look;
  from: number;
  to: number;
  /** How much of the stretch it took; of several threads or CPUs it may be more than 1. */
  share: number;
  title: string;
}

interface Kind {
  name: string;
  look: Look;
  title: string;
  /** The share from which it is shown: below it is everyday. */
  worth: number;
}

/** KINDS are the signals that explain a stall, the most telling first. */
const KINDS: readonly Kind[] = [
  { name: "throttled_ns", look: "steal", title: "throttled by the CPU quota", worth: 0.01 },
  { name: "steal_ns", look: "steal", title: "CPUs taken by the hypervisor", worth: 0.02 },
  { name: "run_delay_ns", look: "steal", title: "threads waited for the kernel to run them", worth: 0.1 },
  { name: "sched_wait_ns", look: "runq", title: "goroutines waited in Go's run queue", worth: 0.1 },
  { name: "gc_pause_ns", look: "gc", title: "stopped for the garbage collector", worth: 0.002 },
];

/** bandsOf gives the bands, kind by kind, each in the order of time. */
export function bandsOf(signals: readonly Signals[]): Band[] {
  return KINDS.flatMap((k) =>
    signals.flatMap((s): Band[] => {
      const value = s.values[k.name] ?? 0;
      const length = s.end_ns - s.start_ns;
      const share = length > 0 ? value / length : 0;
      if (share < k.worth) return [];
      const title = `${k.title}: ${duration(value)} of ${duration(length)} (${percent(value, length)}) in this stretch; when in it is not known`;
      return [{ kind: k.name, look: k.look, from: s.start_ns, to: s.end_ns, share, title }];
    }),
  );
}

/** kindsOf gives the kinds that occur, in order: each has a line of its own. */
export function kindsOf(bands: readonly Band[]): string[] {
  return [...new Set(bands.map((b) => b.kind))];
}

/** summaries says of each kind that touches the stretch what it came to, in words. */
export function summaries(signals: readonly Signals[], d: Domain): string[] {
  const near = signals.filter((s) => s.end_ns > d.from && s.start_ns < d.to);
  const out: string[] = [];
  for (const k of KINDS) {
    let value = 0;
    let length = 0;
    for (const s of near) {
      value += s.values[k.name] ?? 0;
      length += s.end_ns - s.start_ns;
    }
    if (length > 0 && value / length >= k.worth) out.push(`${k.title} ${duration(value)} of ${duration(length)}`);
  }
  const runnable = Math.max(0, ...near.map((s) => s.values["runnable"] ?? 0));
  if (runnable > 1) out.push(`up to ${runnable} goroutines in the run queue`);
  return out;
}
