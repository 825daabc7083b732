// Labels of bars: from the longest text to the shortest, inside the bar where
// one fits, beside it otherwise, never clipped.

export type Measure = (text: string) => number;

export interface Placed {
  text: string;
  /** "inside" the bar, or beside it. */
  where: "inside" | "left" | "right";
}

/** PAD is the room that a label keeps to the edges of its bar, each side, in pixels. */
export const PAD = 6;

/** fit gives the first of texts, longest first, that is not wider than room. */
export function fit(texts: readonly string[], room: number, measure: Measure): string | undefined {
  return texts.find((t) => measure(t) + 2 * PAD <= room);
}

/**
 * place finds a label's place. The bar is `bar` wide; left and right are the
 * free pixels beside the span. A label beside the bar is the second-longest at
 * most: what does not fit the bar shall not fill the row.
 */
export function place(
  texts: readonly string[],
  bar: number,
  left: number,
  right: number,
  measure: Measure,
): Placed | undefined {
  const inside = fit(texts, bar, measure);
  if (inside !== undefined) return { text: inside, where: "inside" };
  const beside = texts.slice(Math.min(1, texts.length - 1));
  for (const text of beside) {
    const room = measure(text) + 2 * PAD;
    if (room <= right) return { text, where: "right" };
    if (room <= left) return { text, where: "left" };
  }
  return undefined;
}
