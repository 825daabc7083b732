import type { Domain } from "./segments";
import { kindsOf, type Band } from "./signals";

interface Props {
  bands: readonly Band[];
  domain: Domain;
  width: number;
}

/** extent places a band in the time line, in pixels; undefined when it lies outside. */
function extent(b: Band, d: Domain, width: number): { left: string; width: string } | undefined {
  const x = (ns: number) => Math.min(width, Math.max(0, (width * (ns - d.from)) / (d.to - d.from)));
  const left = x(b.from);
  const wide = x(b.to) - left;
  return wide > 0 ? { left: `${left.toFixed(1)}px`, width: `${wide.toFixed(1)}px` } : undefined;
}

/** BAND is the height of a line with the gap below it, pixels; waterfall.css has the line's own. */
export const BAND = 5;

/** Bands are lines below the axis, one for each kind of signal. */
export function Bands({ bands, domain, width }: Props) {
  const kinds = kindsOf(bands);
  return (
    <>
      {bands.map((b) => {
        const at = extent(b, domain, width);
        return at && <span key={b.kind + b.from} class={`band bar look-${b.look}`} style={{ ...at, bottom: `${BAND * (kinds.length - 1 - kinds.indexOf(b.kind))}px` }} title={b.title} />;
      })}
    </>
  );
}

/** Shades tint the rows where something let everybody wait, the more the longer; the worst kind speaks for all. */
export function Shades({ bands, domain, width }: Props) {
  return (
    <>
      {worst(bands).map((b) => {
        const at = extent(b, domain, width);
        return at && <span key={b.from} class={`shade look-${b.look}`} style={{ ...at, opacity: String(0.03 + 0.07 * Math.min(1, b.share)) }} />;
      })}
    </>
  );
}

/** worst keeps of the bands of each stretch the one with the greatest share. */
function worst(bands: readonly Band[]): Band[] {
  const at = new Map<number, Band>();
  for (const b of bands) if ((at.get(b.from)?.share ?? -1) < b.share) at.set(b.from, b);
  return [...at.values()];
}
