// The bars of one row.

import { barOf, describe, pieceBar, pieceLabels, type Bar, type Layer } from "./bar";
import { fit, PAD, place, type Measure, type Placed } from "./label";
import { LaneCanvas } from "./lanecanvas";
import { Marks } from "./marks";
import { measureBar, measureSmall } from "./measure";
import { perObject } from "./memo";
import { cut, gaps, piecesOf, type Domain, type Piece } from "./segments";
import type { Interval, Row } from "./types";

interface Props {
  row: Row;
  domain: Domain;
  width: number;
  longest: number | undefined;
}

// Rows are drawn again and again while the time line moves: what does not hang on
// it is worked out once.
const words = perObject(describe);
const parts = perObject(piecesOf);
const look = perObject(barOf);

/** FINE is the number of pieces from which a row is painted by pixel columns. */
const FINE = 40;

export function Lane({ row, domain, width, longest }: Props) {
  // The bars are for the eyes; the title says the same, and is the cell's name.
  return (
    <div role="gridcell" class="lane" title={words(row)}>
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
  const end = row.start_ns + row.wall_ns;
  if (end < domain.from) return <span class="beyond before">◂</span>;
  if (row.start_ns > domain.to) return <span class="beyond after">▸</span>;

  const pieces = cut(parts(row), domain);
  const bar = look(row);
  const covered = gaps(row.start_ns, end, row.self ?? []);
  const fine = pieces.length > FINE;
  const label = fine ? undefined : labelOf(row, bar, pieces, x, width);
  return (
    <>
      {merged(covered, x, width).map(([l, r]) => (
        <span key={"c" + l} class="covered" style={box(l, r - l, width)} />
      ))}
      {fine && <LaneCanvas pieces={pieces} state={bar.state} domain={domain} width={width} />}
      {!fine &&
        pieces.map((p) => {
          const drawn = p.state === undefined ? bar : pieceBar(p);
          const wide = x(p.to) - x(p.from);
          const text = label?.piece === p && label.placed.where === "inside" ? label.placed.text : p.state && fit(pieceLabels(p), wide, measureBar);
          return (
            <span
              key={p.from}
              class={barClass(drawn, p.critical, longest !== undefined && p.critical && p.from <= longest && longest < p.to && drawn.wait)}
              style={{ ...box(x(p.from), wide, width), height: `${drawn.height}px` }}
            >
              <Layers layers={drawn.layers} />
              {text && <span class="text">{text}</span>}
            </span>
          );
        })}
      {label && label.placed.where !== "inside" && (
        <span class="beside" style={{ left: `${label.left}px` }}>
          {label.placed.text}
        </span>
      )}
      {merged(row.critical ?? [], x, width).map(([l, r]) => (
        <span key={"p" + l} class="critical-line" style={box(l, r - l, width)} />
      ))}
      {row.decides_end && end <= domain.to && <span class="diamond" style={{ left: `${Math.min(x(end), width - 4)}px` }} />}
      <Marks row={row} x={x} width={width} />
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
function Layers({ layers }: { layers: readonly Layer[] }) {
  return (
    <>
      {layers.map((l) => (
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

/** box places something that shall be seen however short it was. */
function box(left: number, wide: number, width: number): { left: string; width: string } {
  const w = Math.max(2, wide);
  return { left: `${Math.max(0, Math.min(left, width - w)).toFixed(2)}px`, width: `${w.toFixed(2)}px` };
}

/** merged gives what is shown of stretches, and joins those that the screen cannot tell apart. */
function merged(parts: readonly Interval[], x: (ns: number) => number, width: number): [number, number][] {
  const out: [number, number][] = [];
  for (const [from, to] of parts) {
    const l = Math.max(0, x(from));
    const r = Math.min(width, x(to));
    if (r < 0 || l > width) continue;
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

/** labelOf puts the row's label into its widest piece, or beside the span when no piece has room for one. */
function labelOf(row: Row, bar: Bar, pieces: Piece[], x: (ns: number) => number, width: number): Label | undefined {
  let piece: Piece | undefined;
  for (const p of pieces) if (!piece || p.to - p.from > piece.to - piece.from) piece = p;
  if (!piece) return undefined;
  const wide = x(piece.to) - x(piece.from);
  const whole = pieces.length === 1 && piece.ns === piece.to - piece.from;
  // What a piece is called is its own; only one that is all of the row speaks for the row.
  if (piece.state !== undefined && !whole && fit(pieceLabels(piece), wide, measureBar) !== undefined) return undefined;

  const start = Math.max(0, x(row.start_ns));
  const end = Math.min(width, Math.max(x(row.start_ns + row.wall_ns), start + 2)) + (row.decides_end || row.status === "error" ? 8 : 0);
  // A span with children says beside its bar only what its columns say already.
  const beside = row.children === 0 && bar.state !== "cpu";
  const left = beside ? start : 0;
  const right = beside ? width - end : 0;
  const measure: Measure = (text) => measureBar(text) + (bar.layers.length > 0 ? 4 : 0);
  const inside = piece.state === undefined || whole ? wide : 0;
  const placed = place(bar.labels, inside, left, right, measure);
  if (!placed) return undefined;
  const at = placed.where === "left" ? start - measureSmall(placed.text) - PAD : end + PAD;
  return { piece, placed, left: at };
}
