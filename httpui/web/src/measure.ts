// The width of text in pixels, by a canvas that is never shown: asking the
// document would force a layout for each label.

import type { Measure } from "./label";

const widths = new Map<string, number>();
let canvas: CanvasRenderingContext2D | null | undefined;

/** measureBar measures text in the font of the labels in bars. */
export const measureBar: Measure = (text) => measured("600 12px", text);

/** measureSmall measures text in the font of the labels beside bars. */
export const measureSmall: Measure = (text) => measured("400 12px", text);

/** measureMono measures text in the font of the stacks. */
export const measureMono: Measure = (text) => measured("400 12px", text, "monospace");

function measured(weight: string, text: string, family?: string): number {
  const font = `${weight} ${family ?? bodyFamily()}`;
  const key = font + "\n" + text;
  let width = widths.get(key);
  if (width === undefined) {
    canvas ??= document.createElement("canvas").getContext("2d");
    if (canvas) canvas.font = font;
    width = canvas ? canvas.measureText(text).width : text.length * 7;
    // Labels of a trace of 50k spans must not stay here for ever.
    if (widths.size > 20_000) widths.clear();
    widths.set(key, width);
  }
  return width;
}

let family: string | undefined;

function bodyFamily(): string {
  family ??= getComputedStyle(document.body).fontFamily || "sans-serif";
  return family;
}
