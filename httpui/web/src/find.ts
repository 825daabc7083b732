// The filter of a trace: which spans it is about, and what leads to them.

import type { Spans } from "./columns";

export interface Criteria {
  /** Text in the name, the detail, the service or the error. */
  text: string;
  /** The least wall time in nanoseconds. */
  least: number;
  /** Only what the end of the request hung on. */
  critical: boolean;
  errors: boolean;
}

export const ANY: Criteria = { text: "", least: 0, critical: false, errors: false };

export function isAny(c: Criteria): boolean {
  return c.text.trim() === "" && c.least <= 0 && !c.critical && !c.errors;
}

export interface Found {
  /** 1 for rows that are shown: 2 for those that match, 1 for what leads to them. */
  keep: Uint8Array;
  count: number;
}

/** find marks the rows that meet all criteria, and their ancestors. */
export function find(spans: Spans, c: Criteria): Found | undefined {
  if (isAny(c)) return undefined;
  const parts = c.text.toLowerCase().split(/\s+/).filter(Boolean);
  const words = parts.map((p) => wordsWith(spans.words, p));
  const has = (w: Uint8Array, i: number) =>
    w[spans.name[i]!] || w[spans.service[i]!] || w[spans.detail[i]!] || w[spans.statusText[i]!];
  const keep = new Uint8Array(spans.n);
  let count = 0;
  // From the end: descendants stand behind their ancestors.
  for (let i = spans.n - 1; i >= 0; i--) {
    const match =
      spans.wall[i]! >= c.least &&
      (!c.critical || spans.critical(i)) &&
      (!c.errors || spans.failed(i)) &&
      words.every((w) => has(w, i));
    if (match) {
      keep[i] = 2;
      count++;
    }
    if (keep[i] && spans.parent[i]! >= 0) keep[spans.parent[i]!] ||= 1;
  }
  return { keep, count };
}

/** wordsWith marks the words that contain a text: each is looked at once, however many spans have it. */
function wordsWith(words: readonly string[], text: string): Uint8Array {
  const out = new Uint8Array(words.length);
  for (let w = 1; w < words.length; w++) out[w] = words[w]!.toLowerCase().includes(text) ? 1 : 0;
  return out;
}

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, "": 1e6 };

/** parseDuration reads 5ms, 1.5 s or a number of milliseconds; undefined is none of these. */
export function parseDuration(text: string): number | undefined {
  const t = text.trim();
  if (t === "") return 0;
  const m = /^(\d*[.,]?\d+)\s*(ns|us|µs|μs|ms|s|)$/.exec(t);
  return m ? Number(m[1]!.replace(",", ".")) * UNITS[m[2]!]! : undefined;
}
