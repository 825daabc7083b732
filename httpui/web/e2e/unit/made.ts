// Spans made for a test, encoded as the handler does.

import { Spans, type Columns } from "../../src/columns";

/** Made is what a test says of a span. Segments are pairs of absolute times; a state is a name, its time, its evidence (0 to 3). */
export interface Made {
  id?: string;
  depth?: number;
  start?: number;
  wall?: number;
  name?: string;
  service?: string;
  flags?: number;
  self?: [number, number][];
  critical?: [number, number][];
  states?: [state: string, ns: number, evidence: number][];
  line?: [state: string, from: number, to: number, stolen?: number][];
  exact?: [number, number];
  events?: [name: string, at: number][];
}

export function spansOf(list: Made[]): Spans {
  const words = [""];
  const word = (w = "") => {
    if (!words.includes(w)) words.push(w);
    return words.indexOf(w);
  };
  const data: Record<string, number[]> = {};
  const put = (name: string, ...n: number[]) => (data[name] ??= []).push(...n);
  let before = 0;
  list.forEach((s) => {
    const start = s.start ?? 0;
    const pairs = (name: string, of: [number, number][]) => {
      put(`${name}_count`, of.length);
      let end = start;
      for (const [from, to] of of) {
        put(`${name}_at`, from - end, to - from);
        end = to;
      }
    };
    put("start", start - before);
    before = start;
    put("wall", s.wall ?? 0);
    put("depth", s.depth ?? 0);
    put("flags", s.flags ?? 0);
    put("name", word(s.name));
    put("service", word(s.service));
    if (s.self) pairs("self", s.self);
    else put("self_count", -1);
    pairs("critical", s.critical ?? []);
    pairs("exact", s.exact ? [s.exact] : []);
    pairs("line", (s.line ?? []).map(([, from, to]) => [from, to]));
    for (const [state, , , stolen] of s.line ?? []) {
      put("line_state", word(state));
      put("line_stolen", stolen ?? 0);
    }
    put("state_count", s.states?.length ?? 0);
    for (const [state, ns, evidence] of s.states ?? []) {
      put("state", word(state) * 4 + evidence);
      put("state_time", ns);
    }
    put("event_count", s.events?.length ?? 0);
    let at = start;
    for (const [name, when] of s.events ?? []) {
      put("event_name", word(name));
      put("event_at", when - at);
      at = when;
    }
  });
  const encoded = Object.fromEntries(Object.entries(data).map(([name, n]) => [name, varints(n)]));
  const c: Columns = { n: list.length, words, ids: list.map((s, i) => s.id ?? String(i).padStart(16, "0")).join(""), data: encoded };
  return new Spans(c);
}

/** varints encodes numbers as encoding/binary.AppendVarint does, in base64. */
export function varints(numbers: readonly number[]): string {
  let out = "";
  for (const n of numbers) {
    let v = n < 0 ? -2 * n - 1 : 2 * n;
    for (; v >= 128; v = Math.floor(v / 128)) out += String.fromCharCode((v % 128) + 128);
    out += String.fromCharCode(v);
  }
  return btoa(out);
}
