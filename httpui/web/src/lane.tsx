// The bars of one row.

import { barOf, describe, type Bar } from "./bar";
import { FULL_BAR } from "./encoding";
import { PAD, place, type Measure, type Placed } from "./label";
import { measureBar, measureSmall } from "./measure";
import { columns, gaps, splitCritical, type Domain, type Piece } from "./segments";
import type { Interval, Row } from "./types";

interface Props {
  row: Row;
  domain: Domain;
  width: number;
  longest: number | undefined;
}

/** FINE is the number of pieces from which a row is drawn by pixel columns. */
const FINE = 60;

export function Lane({ row, domain, width, longest }: Props) {
  const words = describe(row);
  return (
    <div role="gridcell" class="lane" title={words}>
      <span class="visually-hidden">{words}</span>
      {width > 0 && (
        <div class="bars" aria-hidden="true">
          <Bars row={row} domain={domain} width={width} longest={longest} />
        </div>
      )}
    </div>
  );
}

function Bars({ row, domain, width, longest }: Props) {
  const x = (ns: number) => (width * (ns - domain.from)) / (domain.to - domain.from);
  const self = row.self ?? [];
  const critical = row.critical ?? [];
  const pieces = splitCritical(self, critical);
  const bar = barOf(row);
  const covered = gaps(row.start_ns, row.start_ns + row.wall_ns, self);
  const fine = pieces.length > FINE;
  const label = fine ? undefined : labelOf(row, bar, pieces, x, width);

  return (
    <>
      {merged(covered, x).map(([l, r]) => (
        <span key={"c" + l} class="covered" style={box(l, r - l, width)} />
      ))}
      {fine ? <Columns pieces={pieces} bar={bar} domain={domain} width={width} /> : null}
      {!fine &&
        pieces.map((p) => {
          const labelled = label?.piece === p && label.placed.where === "inside";
          return (
            <span
              key={p.from}
              class={barClass(bar, p.critical, p.from === longest)}
              style={{ ...box(x(p.from), x(p.to) - x(p.from), width), height: `${bar.height}px` }}
            >
              <Layers bar={bar} />
              {labelled && <span class="text">{label.placed.text}</span>}
            </span>
          );
        })}
      {label && label.placed.where !== "inside" && (
        <span class="beside" style={{ left: `${label.left}px` }}>
          {label.placed.text}
        </span>
      )}
      {merged(critical, x).map(([l, r]) => (
        <span key={"p" + l} class="critical-line" style={box(l, r - l, width)} />
      ))}
      {row.decides_end && <span class="diamond" style={{ left: `${Math.min(x(row.start_ns + row.wall_ns), width - 4)}px` }} />}
    </>
  );
}

function barClass(bar: Bar, critical: boolean, longest: boolean): string {
  return (
    `bar look-${bar.look}` +
    (bar.dashed ? " dashed" : "") +
    (bar.layers.length > 0 ? " layered" : "") +
    (critical ? "" : " pale") +
    (longest ? " longest" : "")
  );
}

/** Layers fill a bar from below by the states' shares. */
function Layers({ bar }: { bar: Bar }) {
  return (
    <>
      {bar.layers.map((l) => (
        <span
          key={l.state}
          class={`layer look-${l.look}${l.high > l.low ? " fading" : ""}`}
          style={{
            bottom: `${l.from * 100}%`,
            height: `${(l.high - l.from) * 100}%`,
            "--solid": `${l.high > l.from ? (100 * (l.low - l.from)) / (l.high - l.from) : 100}%`,
          }}
        />
      ))}
    </>
  );
}

function Columns({ pieces, bar, domain, width }: { pieces: Piece[]; bar: Bar; domain: Domain; width: number }) {
  return (
    <>
      {columns(pieces, domain, width).map((c) => (
        <span
          key={"f" + c.left}
          class={`column look-${bar.look}${c.critical ? "" : " pale"}`}
          style={{ left: `${c.left}px`, width: `${c.width}px`, height: `${Math.max(2, FULL_BAR * c.share)}px` }}
        />
      ))}
    </>
  );
}

/** box places something that shall be seen however short it was. */
function box(left: number, wide: number, width: number): { left: string; width: string } {
  const w = Math.max(2, wide);
  return { left: `${Math.max(0, Math.min(left, width - w)).toFixed(2)}px`, width: `${w.toFixed(2)}px` };
}

/** merged joins stretches that the screen cannot tell apart. */
function merged(parts: readonly Interval[], x: (ns: number) => number): [number, number][] {
  const out: [number, number][] = [];
  for (const [from, to] of parts) {
    const l = x(from);
    const r = x(to);
    const last = out[out.length - 1];
    if (last && l - last[1] < 1) last[1] = Math.max(last[1], r);
    else out.push([l, r]);
  }
  return out;
}

interface Label {
  piece: Piece;
  placed: Placed;
  left: number;
}

/** labelOf puts the row's label into its widest piece, or beside the span. */
function labelOf(row: Row, bar: Bar, pieces: Piece[], x: (ns: number) => number, width: number): Label | undefined {
  let piece: Piece | undefined;
  for (const p of pieces) if (!piece || p.to - p.from > piece.to - piece.from) piece = p;
  if (!piece) return undefined;
  const start = x(row.start_ns);
  const end = Math.max(x(row.start_ns + row.wall_ns), start + 2) + (row.decides_end ? 6 : 0);
  // A span with children says beside its bar only what its columns say already.
  const beside = row.children === 0 && bar.state !== "cpu";
  const left = beside ? start : 0;
  const right = beside ? width - end : 0;
  const wide = x(piece.to) - x(piece.from);
  const measure: Measure = (text) => measureBar(text) + (bar.layers.length > 0 ? 4 : 0);
  const placed = place(bar.labels, wide, left, right, measure);
  if (!placed) return undefined;
  const at = placed.where === "left" ? start - measureSmall(placed.text) - PAD : end + PAD;
  return { piece, placed, left: at };
}
