// A page that stands alone: one trace in a file, with nobody to ask. Its data is
// compressed in elements of the page, the spans in chunks.

import { Failure } from "./failure";

/** offline is the id of the trace that this file holds, "" when the page is served. */
export const offline = document.documentElement.dataset["trace"] ?? "";

interface Pack {
  /** What the page of a trace reads. */
  trace: unknown;
  order: string[];
  chunk: number;
}

let pack: Promise<Pack> | undefined;

/** answer gives what the handler would answer, as far as the file has it. */
export async function answer(href: string): Promise<unknown> {
  const p = await (pack ??= unpacked<Pack>("pack"));
  const span = /\/span\/[0-9a-f]{32}\/([0-9a-f]{16})$/.exec(href)?.[1];
  if (span) {
    const at = p.order.indexOf(span);
    if (at >= 0) return (await unpacked<Record<string, unknown>>("chunk" + Math.floor(at / p.chunk)))[span];
  } else if (href === here()) {
    return p.trace;
  }
  throw new Failure(404, "This is not in the file", "It holds one trace, as it was when it was saved.");
}

/** here is the address of the file, which is that of its trace. */
export function here(): string {
  return location.pathname + location.search;
}

async function unpacked<T>(id: string): Promise<T> {
  const text = document.getElementById(id)?.textContent ?? "";
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text()) as T;
}
