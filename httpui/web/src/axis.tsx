import { Shades } from "./bands";
import { duration } from "./format";
import { measureSmall } from "./measure";
import { ticks, type Domain } from "./segments";
import type { Band } from "./signals";
import type { ProfileWindow } from "./types";

interface TickLabel {
  at: number;
  text: string;
  /** The label stands before its tick, for there is no room behind it. */
  before: boolean;
}

/** tickLabels leaves out what would run into its neighbour or over the end. */
function tickLabels(times: number[], x: (ns: number) => number, width: number): TickLabel[] {
  const out: TickLabel[] = [];
  let taken = 0;
  for (const t of times) {
    const text = t === 0 ? "0" : duration(t);
    const at = x(t);
    // Axis labels are set larger than those beside bars, by which they are measured.
    const wide = measureSmall(text) * 1.2 + 8;
    const before = at + wide > width;
    if (before && at - wide < taken) continue;
    taken = before ? at : at + wide;
    out.push({ at, text, before });
  }
  return out;
}

interface Props {
  domain: Domain;
  width: number;
  windows: readonly ProfileWindow[];
}

/** Axis labels round times, and marks what the CPU profile missed. */
export function Axis({ domain, width, windows }: Props) {
  const x = (ns: number) => (width * (ns - domain.from)) / (domain.to - domain.from);
  return (
    <>
      {tickLabels(ticks(domain, width), x, width).map((l) => (
        <span key={l.at} class={`tick${l.before ? " last" : ""}`} style={{ left: `${l.at}px` }}>
          {l.text}
        </span>
      ))}
      {windows
        .filter((w) => w.hole && w.end_ns > domain.from && w.start_ns < domain.to)
        .map((w) => {
          const left = Math.max(0, x(w.start_ns));
          const right = Math.min(width, x(w.end_ns));
          return (
            <span
              key={w.start_ns}
              class="hole"
              style={{ left: `${left}px`, width: `${Math.max(2, right - left)}px` }}
              title={`No CPU samples: ${w.hole}`}
            />
          );
        })}
    </>
  );
}

/** GridLines carry the axis down through all rows, and mark where the request ended when spans outlive it. */
export function GridLines({ domain, width, end, bands }: { domain: Domain; width: number; end: number; bands: readonly Band[] }) {
  const x = (ns: number) => `${(width * (ns - domain.from)) / (domain.to - domain.from)}px`;
  return (
    <div class="grid-lines grid-row" aria-hidden="true">
      <div class="lane">
        <Shades bands={bands} domain={domain} width={width} />
        {ticks(domain, width).map((t) => t > domain.from && <span key={t} class="grid-line" style={{ left: x(t) }} />)}
        {domain.to > end * 1.002 && domain.from < end && <span class="grid-line request-end" style={{ left: x(end) }} />}
      </div>
    </div>
  );
}
