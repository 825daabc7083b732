// A trace's spans as typed arrays. A trace may have more spans than objects
// would be good for: only the rows that are looked at become objects.

import type { Evidence, Interval, Mark, Row, Stretch } from "./types";

/** Columns is what the handler answers; columns.go says what each is. */
export interface Columns {
  n: number;
  words: string[];
  ids: string;
  /** Numbers as varints, zigzag, in base64, by the name of the column. */
  data: Readonly<Record<string, string>>;
}

const AWAITED = 4;
const LOCAL_ROOT = 8;
const DECIDES_END = 16;
const FAILED = 32;
const OK = 64;
const PENDING = 128;

/** EVIDENCES are as the two lowest bits number them. */
export const EVIDENCES: readonly Evidence[] = ["none", "inferred", "sampled", "exact"];

/** Segments are stretches of time of all spans: those of span i are at[2*first[i]] to at[2*first[i+1]]. */
export interface Segments {
  first: Int32Array;
  at: Float64Array;
}

/** bytesOf decodes base64. */
function bytesOf(text: string): Uint8Array {
  const binary = atob(text);
  const out = new Uint8Array(binary.length);
  for (let i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i);
  return out;
}

/** read decodes the numbers of a column; one that is absent has zeros. */
function read<A extends Int32Array | Float64Array>(text: string | undefined, out: A): A {
  if (!text) return out;
  const bytes = bytesOf(text);
  for (let i = 0, k = 0; i < out.length; i++) {
    let byte = bytes[k++]!;
    let value = byte & 127;
    // Beyond 31 bits there is arithmetic, but no shifting.
    for (let unit = 128; byte >= 128; unit *= 128) value += ((byte = bytes[k++]!) & 127) * unit;
    out[i] = value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
  return out;
}

/** ROWS is how many rows stay as objects: some screens full. */
const ROWS = 400;

export class Spans {
  readonly n: number;
  readonly words: readonly string[];
  readonly name: Int32Array;
  readonly service: Int32Array;
  readonly detail: Int32Array;
  readonly statusText: Int32Array;
  readonly flags: Int32Array;
  readonly depth: Int32Array;
  readonly children: Int32Array;
  readonly start: Float64Array;
  readonly wall: Float64Array;
  readonly self: Float64Array;
  readonly cpu: Float64Array;
  readonly below: Float64Array;
  readonly above: Float64Array;
  readonly samples: Int32Array;
  readonly selfAt: Segments;
  readonly criticalAt: Segments;
  /** States of span i: from stateFirst[i] on; a word and its evidence, and its time. */
  readonly stateFirst: Int32Array;
  readonly stateWord: Int32Array;
  readonly stateTime: Float64Array;
  /** The stretches of an execution trace, as Segments, and what each was. */
  readonly line: Segments;
  readonly lineState: Int32Array;
  /** The row above in the tree, -1 for a top row; the row behind the last descendant. */
  readonly parent: Int32Array;
  readonly ends: Int32Array;

  private readonly ids: string;
  private readonly kind: Int32Array;
  private readonly reason: Int32Array;
  private readonly links: Int32Array;
  private readonly lineStolen: Float64Array;
  private readonly exactAt: Segments;
  private readonly eventFirst: Int32Array;
  private readonly eventName: Int32Array;
  private readonly eventAt: Float64Array;
  private main: Int32Array | undefined;
  private readonly rows = new Map<number, Row>();

  constructor(c: Columns) {
    const n = (this.n = c.n);
    const ints = (name: string, length = n) => read(c.data[name], new Int32Array(length));
    const floats = (name: string, length = n) => read(c.data[name], new Float64Array(length));
    this.words = c.words;
    this.ids = c.ids;
    this.name = ints("name");
    this.service = ints("service");
    this.detail = ints("detail");
    this.kind = ints("kind");
    this.statusText = ints("status_text");
    this.reason = ints("reason");
    this.flags = ints("flags");
    this.depth = ints("depth");
    this.children = ints("children");
    this.start = floats("start");
    for (let i = 1; i < n; i++) this.start[i]! += this.start[i - 1]!;
    this.wall = floats("wall");
    this.self = floats("self");
    this.cpu = floats("cpu");
    this.below = floats("below");
    this.above = floats("above");
    this.samples = ints("samples");
    this.links = ints("links");
    this.selfAt = this.segments(c, "self");
    this.criticalAt = this.segments(c, "critical");
    this.stateFirst = firsts(ints("state_count"));
    this.stateWord = ints("state", this.stateFirst[n]);
    this.stateTime = floats("state_time", this.stateFirst[n]);
    this.line = this.segments(c, "line");
    this.lineState = ints("line_state", this.line.first[n]);
    this.lineStolen = floats("line_stolen", this.line.first[n]);
    this.exactAt = this.segments(c, "exact");
    this.eventFirst = firsts(ints("event_count"));
    this.eventName = ints("event_name", this.eventFirst[n]);
    this.eventAt = floats("event_at", this.eventFirst[n]);
    [this.parent, this.ends] = treeOf(this.depth);
  }

  /** segments makes absolute times of counts and differences. */
  private segments(c: Columns, name: string): Segments {
    const counts = read(c.data[`${name}_count`], new Int32Array(this.n));
    let stored = 0;
    const first = new Int32Array(this.n + 1);
    for (let i = 0; i < this.n; i++) {
      first[i + 1] = first[i]! + Math.abs(counts[i]!);
      if (counts[i]! > 0) stored += 2 * counts[i]!;
    }
    const at = read(c.data[`${name}_at`], new Float64Array(stored));
    const out = new Float64Array(2 * first[this.n]!);
    for (let i = 0, k = 0, o = 0; i < this.n; i++) {
      if (counts[i]! < 0) {
        out[o++] = this.start[i]!;
        out[o++] = this.start[i]! + this.wall[i]!;
      }
      for (let s = 0, end = this.start[i]!; s < 2 * counts[i]!; s++) out[o++] = end += at[k++]!;
    }
    return { first, at: out };
  }

  get hasEvents(): boolean {
    return this.eventName.length > 0;
  }

  id(i: number): string {
    return this.ids.slice(16 * i, 16 * i + 16);
  }

  /** indexOf gives the first row of a span, -1 when the trace does not have it. */
  indexOf(id: string): number {
    if (id.length !== 16) return -1;
    let at = this.ids.indexOf(id);
    while (at >= 0 && at % 16 !== 0) at = this.ids.indexOf(id, at + 1);
    return at < 0 ? -1 : at / 16;
  }

  failed(i: number): boolean {
    return (this.flags[i]! & FAILED) !== 0;
  }

  decidesEnd(i: number): boolean {
    return (this.flags[i]! & DECIDES_END) !== 0;
  }

  critical(i: number): boolean {
    return this.criticalAt.first[i + 1]! > this.criticalAt.first[i]!;
  }

  evidence(i: number): Evidence {
    return EVIDENCES[this.flags[i]! & 3]!;
  }

  state(k: number): string {
    return this.words[this.stateWord[k]! >> 2]!;
  }

  stateEvidence(k: number): Evidence {
    return EVIDENCES[this.stateWord[k]! & 3]!;
  }

  /** mainWord gives the word of what the most of a row's self time was; 0 where it has none. */
  mainWord(i: number): number {
    this.main ??= this.mainWords();
    return this.main[i]!;
  }

  private mainWords(): Int32Array {
    const out = new Int32Array(this.n);
    const covered = this.words.indexOf("covered");
    for (let i = 0; i < this.n; i++) {
      let most = -1;
      for (let k = this.stateFirst[i]!; k < this.stateFirst[i + 1]!; k++) {
        const word = this.stateWord[k]! >> 2;
        if (word === covered || this.stateTime[k]! <= most) continue;
        most = this.stateTime[k]!;
        out[i] = word;
      }
    }
    return out;
  }

  /** stateWords gives the words that are states of any span. */
  stateWords(): Set<number> {
    const out = new Set<number>();
    for (const w of this.stateWord) out.add(w >> 2);
    return out;
  }

  serviceName(i: number): string {
    return this.words[this.service[i]!]!;
  }

  spanName(i: number): string {
    return this.words[this.name[i]!]!;
  }

  /** row makes an object of a row; the same one as long as it is in use. */
  row(i: number): Row {
    let row = this.rows.get(i);
    if (!row) {
      if (this.rows.size >= ROWS) this.rows.clear();
      this.rows.set(i, (row = this.newRow(i)));
    }
    return row;
  }

  private newRow(i: number): Row {
    const flags = this.flags[i]!;
    const cpu = this.cpu[i]!;
    const row: Row = {
      index: i,
      span_id: this.id(i),
      service: this.serviceName(i),
      name: this.spanName(i),
      detail: this.words[this.detail[i]!]!,
      kind: this.words[this.kind[i]!]!,
      status: flags & FAILED ? "error" : flags & OK ? "ok" : "unset",
      status_text: this.words[this.statusText[i]!]!,
      depth: this.depth[i]!,
      children: this.children[i]!,
      awaited: (flags & AWAITED) !== 0,
      local_root: (flags & LOCAL_ROOT) !== 0,
      decides_end: (flags & DECIDES_END) !== 0,
      start_ns: this.start[i]!,
      wall_ns: this.wall[i]!,
      self_ns: this.self[i]!,
      self: intervals(this.selfAt, i),
      critical: intervals(this.criticalAt, i),
      cpu_ns: cpu,
      cpu_low_ns: cpu - this.below[i]!,
      cpu_high_ns: cpu + this.above[i]!,
      samples: this.samples[i]!,
      evidence: EVIDENCES[flags & 3]!,
      cpu_reason: this.words[this.reason[i]!]!,
      cpu_pending: (flags & PENDING) !== 0,
      links: this.links[i]!,
      states: {},
      state_evidence: {},
      timeline: this.timeline(i),
      exact: intervals(this.exactAt, i)[0],
      marks: this.marks(i),
    };
    for (let k = this.stateFirst[i]!; k < this.stateFirst[i + 1]!; k++) {
      row.states![this.state(k)] = this.stateTime[k]!;
      row.state_evidence![this.state(k)] = this.stateEvidence(k);
    }
    return row;
  }

  private timeline(i: number): Stretch[] {
    const out: Stretch[] = [];
    for (let k = this.line.first[i]!; k < this.line.first[i + 1]!; k++) {
      out.push({ from: this.line.at[2 * k]!, to: this.line.at[2 * k + 1]!, state: this.words[this.lineState[k]!]!, stolen: this.lineStolen[k]! });
    }
    return out;
  }

  private marks(i: number): Mark[] {
    const out: Mark[] = [];
    let at = this.start[i]!;
    for (let k = this.eventFirst[i]!; k < this.eventFirst[i + 1]!; k++) {
      out.push({ at: (at += this.eventAt[k]!), name: this.words[this.eventName[k]!]! });
    }
    return out;
  }
}

function intervals(s: Segments, i: number): Interval[] {
  const out: Interval[] = [];
  for (let k = s.first[i]!; k < s.first[i + 1]!; k++) out.push([s.at[2 * k]!, s.at[2 * k + 1]!]);
  return out;
}

/** firsts gives where the items of each row begin, of how many it has. */
function firsts(counts: Int32Array): Int32Array {
  const first = new Int32Array(counts.length + 1);
  for (let i = 0; i < counts.length; i++) first[i + 1] = first[i]! + counts[i]!;
  return first;
}

/** treeOf reads the tree from the depths of rows in preorder. */
function treeOf(depth: Int32Array): [parent: Int32Array, ends: Int32Array] {
  const n = depth.length;
  const parent = new Int32Array(n);
  const ends = new Int32Array(n).fill(n);
  const open: number[] = [];
  for (let i = 0; i < n; i++) {
    while (open.length > 0 && depth[open[open.length - 1]!]! >= depth[i]!) ends[open.pop()!] = i;
    parent[i] = open.length > 0 ? open[open.length - 1]! : -1;
    open.push(i);
  }
  return [parent, ends];
}
