// Drawing on a canvas what has more parts than the document should have elements.
// The colours are those of the style sheet, asked of an element that is never
// seen: a canvas knows no light-dark().

import { useEffect, useState } from "preact/hooks";
import { STATE_ORDER, stateStyle, type Look } from "./encoding";

export type RGBA = readonly [number, number, number, number];

export interface Ink {
  fill: RGBA;
  pale: RGBA;
  edge: RGBA;
}

let inks: Map<Look, Ink> | undefined;

/** ink gives the colours of a look in the theme that is shown. */
export function ink(look: Look): Ink {
  inks ??= readInks();
  return inks.get(look)!;
}

export function css(c: RGBA): string {
  return `rgb(${c[0]} ${c[1]} ${c[2]} / ${c[3] / 255})`;
}

function readInks(): Map<Look, Ink> {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.setProperty("forced-color-adjust", "none"); // as that of the bars is
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const read = (value: string): RGBA => {
    probe.style.color = value;
    return parse(style.color);
  };
  const out = new Map<Look, Ink>();
  for (const look of new Set([...STATE_ORDER, ""].map((s) => stateStyle(s).look))) {
    probe.className = `look-${look}`;
    const edge = read("var(--edge-colour)");
    // What is drawn hollow in a bar would be nothing in a pixel.
    const hollow = look === "sleep" || look === "unknown";
    out.set(look, { edge, fill: hollow ? edge : read("var(--fill)"), pale: hollow ? edge : read("var(--pale-fill)") });
  }
  probe.remove();
  return out;
}

/** parse reads what browsers give for a computed colour. */
export function parse(text: string): RGBA {
  const n = (text.match(/[\d.]+/g) ?? []).map(Number);
  const unit = text.startsWith("color(") ? 255 : 1;
  return [(n[0] ?? 0) * unit, (n[1] ?? 0) * unit, (n[2] ?? 0) * unit, n[3] === undefined ? 255 : Math.round(n[3] * 255)];
}

/** useInks gives a number that changes with the theme, so that what is painted is painted anew. */
export function useInks(): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const again = () => {
      inks = undefined;
      setTurn((n) => n + 1);
    };
    const media = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((q) => matchMedia(q));
    media.forEach((m) => m.addEventListener("change", again));
    const observer = new MutationObserver(again);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      media.forEach((m) => m.removeEventListener("change", again));
      observer.disconnect();
    };
  }, []);
  return turn;
}
