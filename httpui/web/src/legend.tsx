// What the looks mean: those that this trace has, and the marks.

import { useMemo, useState } from "preact/hooks";
import { byStateOrder, stateStyle } from "./encoding";
import { recall, remember } from "./memory";
import { Swatch } from "./swatch";
import { EVIDENCES, type Spans } from "./columns";

export function Legend({ spans }: { spans: Spans }) {
  const [open, setOpen] = useState(openAtFirst);
  const seen = useMemo(() => seenIn(spans), [spans]);
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
        {seen.exact && (
          <li>
            <span class="swatch-pair" aria-hidden="true">
              <Swatch look="cpu" />
              <Swatch look="net" />
            </span>
            side by side: exact, where in time is known
          </li>
        )}
        {seen.events && (
          <li>
            <span class="swatch mark-box" aria-hidden="true">
              <span class="mark" />
            </span>
            event
          </li>
        )}
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
  events: boolean;
  /** An execution trace tells of some spans what they did when. */
  exact: boolean;
  /** A look that occurs both on the critical path and off it. */
  pale: "net" | "cpu" | undefined;
}

function seenIn(spans: Spans): Seen {
  const seen = new Set<number>(); // words with their evidence
  for (let k = 0; k < spans.stateWord.length; k++) if (spans.stateTime[k]! > 0) seen.add(spans.stateWord[k]!);
  const states = new Set<string>();
  const inferred = new Set<string>();
  for (const w of seen) {
    const state = spans.words[w >> 2]!;
    states.add(state);
    if (EVIDENCES[w & 3] === "inferred") inferred.add(state);
  }
  let sampled = false;
  let decides = false;
  let off = false;
  for (let i = 0; i < spans.n && !(sampled && decides && off); i++) {
    sampled ||= spans.evidence(i) === "sampled" && spans.samples[i]! > 0;
    decides ||= spans.decidesEnd(i);
    off ||= spans.self[i]! > 0 && !spans.critical(i);
  }
  return {
    states: [...states].sort(byStateOrder),
    inferred,
    sampled,
    decides,
    events: spans.hasEvents,
    exact: spans.lineState.length > 0,
    pale: off ? (states.has("net") ? "net" : "cpu") : undefined,
  };
}
