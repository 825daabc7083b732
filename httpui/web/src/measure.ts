// The width of text in pixels, by a canvas that is never shown: asking the
// document would force a layout for each label.

import type { Measure } from "./label";

let canvas: CanvasRenderingContext2D | null | undefined;

/** measureBar measures text in the font of the labels in bars. */
export const measureBar: Measure = measured("600 12px");

/** measureSmall measures text in the font of the labels beside bars. */
export const measureSmall: Measure = measured("400 12px");

/** measureMono measures text in the font of the stacks. */
export const measureMono: Measure = measured("400 12px", "monospace");

/**
 * measured gives the sum of the characters' widths, each of which is measured
 * once: text that is kerned is no wider, and a label costs next to nothing.
 */
function measured(weight: string, family?: string): Measure {
  const widths = new Map<string, number>();
  let font = "";
  const wide = (char: string): number => {
    font ||= `${weight} ${family ?? bodyFamily()}`;
    canvas ??= document.createElement("canvas").getContext("2d");
    if (!canvas) return 7;
    canvas.font = font;
    const width = canvas.measureText(char).width;
    // Names may hold any of a hundred thousand characters.
    if (widths.size > 2000) widths.clear();
    widths.set(char, width);
    return width;
  };
  return (text) => {
    let sum = 0;
    for (const char of text) sum += widths.get(char) ?? wide(char);
    return sum;
  };
}

let family: string | undefined;

function bodyFamily(): string {
  family ??= getComputedStyle(document.body).fontFamily || "sans-serif";
  return family;
}
