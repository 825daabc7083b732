// What the looks mean: those that this trace has, and the marks.

import { useMemo, useState } from "preact/hooks";
import { byStateOrder, stateStyle } from "./encoding";
import { recall, remember } from "./memory";
import { Swatch } from "./swatch";
import type { Row } from "./types";

export function Legend({ rows }: { rows: readonly Row[] }) {
  const [open, setOpen] = useState(openAtFirst);
  const seen = useMemo(() => seenIn(rows), [rows]);
  const toggle = (e: Event) => {
    const now = (e.currentTarget as HTMLDetailsElement).open;
    if (now === open) return; // the browser also reports how it was drawn
    setOpen(now);
    remember("legend", now ? "open" : "closed");
  };
  return (
    <details class="legend" open={open} onToggle={toggle}>
      <summary>Legend</summary>
      <ul>
        {seen.states.map((state) => {
          const style = stateStyle(state);
          const inferred = seen.inferred.has(state);
          return (
            <li key={state}>
              <Swatch look={style.look} dashed={inferred} />
              {style.title}
              {inferred && ", inferred"}
            </li>
          );
        })}
        {seen.sampled && (
          <li>
            <span class="swatch bar look-unknown layered" aria-hidden="true">
              <span class="layer look-cpu" />
            </span>
            sampled CPU: a share of the bar's height, not a position
          </li>
        )}
        <li>
          <span class="swatch critical-line" aria-hidden="true" />
          critical path
        </li>
        {seen.decides && (
          <li>
            <span class="swatch diamond-box" aria-hidden="true">
              <span class="diamond" />
            </span>
            its end decides its parent's end
          </li>
        )}
        {seen.pale && (
          <li>
            <span class="swatch-pair" aria-hidden="true">
              <Swatch look={seen.pale} dashed={seen.inferred.size > 0 && seen.pale === "net"} />
              <Swatch look={seen.pale} dashed={seen.inferred.size > 0 && seen.pale === "net"} pale />
            </span>
            saturated: on the critical path; pale: off it
          </li>
        )}
      </ul>
    </details>
  );
}

/** openAtFirst is what the reader chose last; a phone has no room for a legend unasked. */
function openAtFirst(): boolean {
  const chosen = recall("legend");
  return chosen ? chosen === "open" : innerWidth > 700;
}

interface Seen {
  states: string[];
  inferred: Set<string>;
  sampled: boolean;
  decides: boolean;
  /** A look that occurs both on the critical path and off it. */
  pale: "net" | "cpu" | undefined;
}

function seenIn(rows: readonly Row[]): Seen {
  const states = new Set<string>();
  const inferred = new Set<string>();
  let sampled = false;
  let decides = false;
  let off = false;
  for (const row of rows) {
    for (const [state, ns] of Object.entries(row.states ?? {})) {
      if (ns <= 0) continue;
      states.add(state);
      if (row.state_evidence?.[state] === "inferred") inferred.add(state);
    }
    sampled ||= row.evidence === "sampled" && row.samples > 0;
    decides ||= row.decides_end === true;
    off ||= row.self_ns > 0 && !row.critical?.length;
  }
  return {
    states: [...states].sort(byStateOrder),
    inferred,
    sampled,
    decides,
    pale: off ? (states.has("net") ? "net" : "cpu") : undefined,
  };
}
