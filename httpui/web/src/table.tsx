// The rows of the list of traces.

import { serviceColours } from "./encoding";
import { cpuText, duration, localTimeBrief, utcTitle, zone } from "./format";
import { go, traceHref } from "./route";
import { ServiceChip } from "./service";
import { useShares } from "./shares";
import { StateBar } from "./statebar";
import type { BudgetPart, TraceSummary } from "./types";

export function Table({ traces }: { traces: TraceSummary[] }) {
  const now = new Date();
  const colours = serviceColours(traces.map((t) => t.service).sort());
  const longest = Math.max(...traces.map((t) => t.wall_ns), 1);
  const shares = useShares(traces);
  return (
    <div class="table-box">
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Request</th>
            <th scope="col">Service</th>
            <th scope="col" class="num">
              Wall
            </th>
            <th scope="col" class="num">
              CPU
            </th>
            <th scope="col" class="evidence">
              Evidence
            </th>
            <th scope="col" class="against">
              Where the time went
            </th>
            <th scope="col" class="num">
              Spans
            </th>
            <th scope="col" class="num">
              Errors
            </th>
            <th scope="col" class="when">
              When ({zone()})
            </th>
          </tr>
        </thead>
        <tbody>
          {traces.map((t) => (
            <TraceRow key={t.trace_id} trace={t} colour={colours.get(t.service) ?? 0} longest={longest} parts={shares.get(t.trace_id)} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface TraceRowProps {
  trace: TraceSummary;
  colour: number;
  longest: number;
  /** The states of its critical path, when they have come. */
  parts: BudgetPart[] | undefined;
  now: Date;
}

function TraceRow({ trace: t, colour, longest, parts, now }: TraceRowProps) {
  const cpu = cpuText(t);
  const href = traceHref(t.trace_id);
  const open = (e: MouseEvent) => {
    // The link in the row does the rest; this makes the whole row its target.
    const onLink = (e.target as Element).closest("a");
    if (onLink || e.button !== 0 || getSelection()?.isCollapsed === false) return;
    if (e.metaKey || e.ctrlKey) window.open(href);
    else go(href);
  };
  const others = (t.services ?? []).filter((s) => s !== t.service);
  return (
    <tr class={t.in_flight ? "in-flight" : undefined} onClick={open}>
      <td class="request">
        <a href={href}>{t.in_flight?.name || t.root_name || "(no name)"}</a>
        {t.in_flight && (
          <span
            class="note"
            title={`${t.in_flight.service} began this request ${duration(t.in_flight.age_ns)} ago; it has not ended. The row shows what has ended so far: ${t.root_name}`}
          >
            in flight
          </span>
        )}
        {t.rootless && !t.in_flight && (
          <span class="note" title="The root span is not in this store, or has not ended">
            root missing
          </span>
        )}
        {t.kept && (
          <span class="note" title={KEPT[t.kept] ?? "Kept beyond the ring"}>
            kept: {t.kept}
          </span>
        )}
      </td>
      <td class="svc">
        <ServiceChip name={t.service} colour={colour} />
        {others.length > 0 && (
          <span class="dim" title={others.join(", ")}>
            {" "}
            +{others.length}
          </span>
        )}
      </td>
      <td class="num wall">{duration(t.wall_ns)}</td>
      <td class="num cpu" title={cpu.title}>
        {cpu.figure}
      </td>
      <td class="evidence" title={cpu.title}>
        {cpu.interval && `${cpu.interval} · `}
        {cpu.evidence}
      </td>
      <td class="against">{parts && <StateBar parts={parts} share={t.wall_ns / longest} />}</td>
      <td class="num spans">{t.spans.toLocaleString("en")}</td>
      <td class="num errors">
        {t.errors > 0 ? (
          <span class="error-text">
            <span class="error-mark" aria-hidden="true">
              !
            </span>{" "}
            {t.errors.toLocaleString("en")}
          </span>
        ) : (
          <span class="dim">0</span>
        )}
      </td>
      <td class="when">
        <time dateTime={t.start} title={utcTitle(t.start)}>
          {localTimeBrief(t.start, now)}
        </time>
      </td>
    </tr>
  );
}

/** KEPT says why a trace stays when what is around it goes. */
const KEPT: Readonly<Record<string, string>> = {
  pinned: "Pinned: it stays when what is around it is removed",
  error: "One of its spans failed: it stays when what is around it is removed",
  slow: "Slow for its route: it stays when what is around it is removed",
};
