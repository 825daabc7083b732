// Statistics by operation: what this trace did how often, beside what the store
// knows of the same operations.

import { useMemo, useState } from "preact/hooks";
import type { Spans } from "./columns";
import { count, duration, grouped, percent } from "./format";
import { ENOUGH, pastKey, quantile, rank, type History, type Past } from "./history";
import { ServiceChip } from "./service";
import type { Trace } from "./types";

/** Operation is what the spans of one name and service come to. */
export interface Operation {
  service: string;
  name: string;
  count: number;
  errors: number;
  total: number;
  self: number;
  critical: number;
  max: number;
  /** The sum of the CPU figures, and whether it has samples or gaps in it. */
  cpu: number;
  sampled: boolean;
  unknown: number;
}

/** operationsOf adds up a trace's spans. */
export function operationsOf(spans: Spans): Operation[] {
  const byKey = new Map<number, Operation>();
  for (let i = 0; i < spans.n; i++) {
    const key = spans.service[i]! * spans.words.length + spans.name[i]!;
    let o = byKey.get(key);
    if (!o) {
      o = { service: spans.serviceName(i), name: spans.spanName(i), count: 0, errors: 0, total: 0, self: 0, critical: 0, max: 0, cpu: 0, sampled: false, unknown: 0 };
      byKey.set(key, o);
    }
    add(o, spans, i);
  }
  return [...byKey.values()];
}

function add(o: Operation, spans: Spans, i: number): void {
  o.count++;
  if (spans.failed(i)) o.errors++;
  o.total += spans.wall[i]!;
  o.self += spans.self[i]!;
  o.max = Math.max(o.max, spans.wall[i]!);
  const { first, at } = spans.criticalAt;
  for (let k = first[i]!; k < first[i + 1]!; k++) o.critical += at[2 * k + 1]! - at[2 * k]!;
  const evidence = spans.evidence(i);
  o.cpu += spans.cpu[i]!;
  if (evidence === "sampled" || evidence === "inferred") o.sampled = true;
  if (evidence === "none") o.unknown++;
}

interface Column {
  title: string;
  hint: string;
  value: (o: Operation, h: History | undefined) => number;
  text: (o: Operation, h: History | undefined) => string;
}

function past(o: Operation, h: History | undefined): Past | undefined {
  const p = h?.get(pastKey(o.service, o.name));
  return p && p.count >= ENOUGH ? p : undefined;
}

const COLUMNS: readonly Column[] = [
  { title: "Count", hint: "spans in this trace", value: (o) => o.count, text: (o) => grouped(o.count) },
  { title: "Errors", hint: "of them with an error", value: (o) => o.errors, text: (o) => (o.errors ? grouped(o.errors) : "") },
  { title: "Total", hint: "their wall time together; what runs side by side counts twice", value: (o) => o.total, text: (o) => duration(o.total) },
  { title: "Self", hint: "without awaited children", value: (o) => o.self, text: (o) => duration(o.self) },
  { title: "Critical", hint: "how long the end of the request hung on them", value: (o) => o.critical, text: (o) => (o.critical > 0 ? duration(o.critical) : "") },
  { title: "Self CPU", hint: "≈ from samples; ? no evidence for any of them", value: (o) => o.cpu, text: cpuSum },
  { title: "Longest", hint: "the longest in this trace", value: (o) => o.max, text: (o) => duration(o.max) },
  {
    title: "Rank",
    hint: "how many per cent of this operation's spans in the store the longest here exceeds",
    value: (o, h) => rankOf(o, h),
    text: (o, h) => (rankOf(o, h) < 0 ? "" : `${rankOf(o, h)}\u00a0%`),
  },
  { title: "p50", hint: "half of this operation's spans in the store take no longer", value: (o, h) => at(o, h, 50), text: (o, h) => timeAt(o, h, 50) },
  { title: "p95", hint: "95 % of this operation's spans in the store take no longer", value: (o, h) => at(o, h, 95), text: (o, h) => timeAt(o, h, 95) },
];

function cpuSum(o: Operation): string {
  if (o.unknown === o.count) return "?";
  return `${o.sampled || o.unknown > 0 ? "≈" : ""}${duration(o.cpu)}`;
}

function rankOf(o: Operation, h: History | undefined): number {
  const p = past(o, h);
  return p ? rank(p, o.max) : -1;
}

function at(o: Operation, h: History | undefined, q: number): number {
  const p = past(o, h);
  return p ? quantile(p, q) : -1;
}

function timeAt(o: Operation, h: History | undefined, q: number): string {
  const ns = at(o, h, q);
  return ns < 0 ? "" : duration(ns);
}

/** SHOWN is how many operations are listed; names that hold ids make thousands. */
const SHOWN = 300;

interface Props {
  trace: Trace;
  colours: ReadonlyMap<string, number>;
  history: History | undefined;
  /** Filters the waterfall by an operation's name. */
  onPick: (name: string) => void;
}

export function Operations({ trace, colours, history, onPick }: Props) {
  const all = useMemo(() => operationsOf(trace.spans), [trace]);
  const [by, setBy] = useState(4); // the critical path: what would make the request faster
  const sorted = useMemo(() => {
    const { value } = COLUMNS[by]!;
    return [...all].sort((a, b) => value(b, history) - value(a, history) || b.total - a.total);
  }, [all, by, history]);
  return (
    <div class="by-operation">
      <table class="figures">
        <caption>
          {count(all.length, "operation")} in this trace. Percentiles are of all spans of the same name and service in the store, where there are {ENOUGH} or more
          {history ? "" : "; they are being asked for"}.
        </caption>
        <thead>
          <tr>
            <th scope="col">Operation</th>
            {COLUMNS.map((c, i) => (
              <th scope="col" class="num" key={c.title} aria-sort={i === by ? "descending" : undefined}>
                <button type="button" onClick={() => setBy(i)} title={c.hint}>
                  {c.title}
                  {i === by && <span aria-hidden="true"> ▾</span>}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, SHOWN).map((o) => (
            <tr key={pastKey(o.service, o.name)}>
              <th scope="row">
                <button type="button" class="link" onClick={() => onPick(o.name)} title="Show these spans in the waterfall">
                  {o.name || "(no name)"}
                </button>{" "}
                <ServiceChip name={o.service} colour={colours.get(o.service) ?? 0} />
              </th>
              {COLUMNS.map((c) => (
                <td class="num" key={c.title} title={c.title === "Critical" ? percent(o.critical, trace.critical_ns ?? 0) : undefined}>
                  {c.text(o, history)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length > SHOWN && <p class="dim">and {count(sorted.length - SHOWN, "more", "more")}</p>}
    </div>
  );
}
