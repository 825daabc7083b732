// Figures and times as text. Every function is pure; durations are nanoseconds.

import type { CPU, Row } from "./types";

/** Space that keeps a figure and its unit on one line. */
const NBSP = "\u00a0";

interface Unit {
  readonly name: string;
  readonly ns: number;
}

const UNITS: readonly Unit[] = [
  { name: "s", ns: 1e9 },
  { name: "ms", ns: 1e6 },
  { name: "µs", ns: 1e3 },
  { name: "ns", ns: 1 },
];

function unitOf(ns: number): Unit {
  // The rounding of digits() must not make 1000 µs of 999.96 µs.
  return UNITS.find((u) => Math.abs(ns) >= u.ns * 0.9995) ?? { name: "ns", ns: 1 };
}

/** digits gives three figures at most and no trailing zero: 1.24, 63.6, 139. */
function digits(x: number): string {
  const places = Math.abs(x) >= 99.95 ? 0 : Math.abs(x) >= 9.995 ? 1 : 2;
  const text = x.toFixed(places);
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

/** duration gives 52.4 ms, 500 µs, 1.24 s, 2 min 5 s. */
export function duration(ns: number): string {
  if (ns === 0) return `0${NBSP}ms`;
  if (Math.abs(ns) >= 60e9) {
    const total = Math.round(ns / 1e9);
    const h = Math.trunc(total / 3600);
    const min = Math.trunc((total % 3600) / 60);
    return h !== 0 ? `${h}${NBSP}h ${Math.abs(min)}${NBSP}min` : `${min}${NBSP}min ${Math.abs(total % 60)}${NBSP}s`;
  }
  const unit = unitOf(ns);
  return `${digits(ns / unit.ns)}${NBSP}${unit.name}`;
}

/** range gives 50–70, both ends in the unit that duration(of) has. */
export function range(low: number, high: number, of: number): string {
  if (Math.max(of, high) >= 60e9) return `${duration(low)}–${duration(high)}`;
  const unit = unitOf(of === 0 ? high : of);
  // Two figures: an interval of a handful of samples has no more.
  const rough = (ns: number) => digits(Math.abs(ns / unit.ns) >= 9.95 ? Math.round(ns / unit.ns) : Math.round((10 * ns) / unit.ns) / 10);
  return `${rough(low)}–${rough(high)}`;
}

/** percent gives 46 %, <1 % for what is more than nothing, nothing without a whole. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return "";
  const p = (100 * part) / whole;
  if (part > 0 && p < 0.5) return `<1${NBSP}%`;
  return `${Math.round(p)}${NBSP}%`;
}

/** grouped gives 12,345: toLocaleString takes a hundred times as long. */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** count gives 1 span, 2 spans, 12,345 spans. */
export function count(n: number, one: string, many = one + "s"): string {
  return `${grouped(n)}${NBSP}${n === 1 ? one : many}`;
}

/** rate gives 12.5/s, or 3/min for what is rare. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return "0";
  return perSecond < 0.995 ? `${digits(perSecond * 60)}/min` : `${digits(perSecond)}/s`;
}

/** bytes gives 280 KiB, 256 MiB. */
export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1023.5 && i < units.length - 1; i++) n /= 1024;
  return `${digits(n)}${NBSP}${units[i]}`;
}

/** CPUText is a CPU figure as the page shows it: never a figure without its evidence. */
export interface CPUText {
  /** The figure with its visible mark: "≈60 ms", "<10 ms", "63.6 ms", "…", "?". */
  figure: string;
  /** The interval, "50–70", empty when there is none. */
  interval: string;
  /** Two words at most: "exact", "6 samples", "no sample", "inferred", "no data", "soon". */
  evidence: string;
  /** The whole of it as a sentence. */
  title: string;
}

/** cpuText words a CPU figure according to its evidence. */
export function cpuText(c: CPU): CPUText {
  const because = c.cpu_reason ? `: ${c.cpu_reason}` : "";
  switch (c.evidence) {
    case "exact": {
      const figure = duration(c.cpu_ns);
      return { figure, interval: "", evidence: "exact", title: `${figure} on CPU, exact${because}` };
    }
    case "sampled":
      return c.samples > 0 ? sampled(c, because) : unsampled(c, because);
    case "inferred": {
      const figure = `≈${duration(c.cpu_ns)}`;
      return { figure, interval: "", evidence: "inferred", title: `about ${duration(c.cpu_ns)} on CPU, inferred${because}` };
    }
    default:
      if (c.cpu_pending) {
        return { figure: "…", interval: "", evidence: "soon", title: `CPU time not known yet${because}. Refresh in a moment.` };
      }
      return { figure: "?", interval: "", evidence: "no data", title: `CPU time not known${because}` };
  }
}

function sampled(c: CPU, because: string): CPUText {
  const interval = range(c.cpu_low_ns, c.cpu_high_ns, c.cpu_ns);
  const samples = count(c.samples, "sample");
  return {
    figure: `≈${duration(c.cpu_ns)}`,
    interval,
    evidence: samples,
    title:
      `about ${duration(c.cpu_ns)} on CPU, interval ${duration(c.cpu_low_ns)} to ` +
      `${duration(c.cpu_high_ns)}, from ${samples}${because}`,
  };
}

function unsampled(c: CPU, because: string): CPUText {
  const bounded = c.cpu_high_ns > 0;
  return {
    figure: bounded ? `<${duration(c.cpu_high_ns)}` : "?",
    interval: "",
    evidence: `no${NBSP}sample`,
    title:
      (bounded ? `less than ${duration(c.cpu_high_ns)} on CPU` : "CPU time not known") +
      `: no CPU sample fell on it${because}`,
  };
}

/** exactPart says for which part of a span an execution trace tells more, when that is not the whole. */
export function exactPart(row: Row): string {
  if (!row.exact || row.evidence === "exact") return "";
  const [from, to] = row.exact;
  const end = row.start_ns + row.wall_ns;
  if (to <= from) return "";
  const slack = 0.01 * row.wall_ns;
  if (from - row.start_ns <= slack && end - to <= slack) return "";
  const length = duration(to - from);
  if (end - to <= slack) return `; exact for the last ${length}`;
  if (from - row.start_ns <= slack) return `; exact for the first ${length}`;
  return `; exact from ${duration(from)} to ${duration(to)}`;
}

/** cpuPercent is the CPU figure as a share of wall, with the same mark. */
export function cpuPercent(c: CPU, wall: number): string {
  if (wall <= 0 || c.evidence === "none") return "";
  if (c.evidence === "sampled" && c.samples === 0) {
    return c.cpu_high_ns > 0 && c.cpu_high_ns < wall ? `<${Math.ceil((100 * c.cpu_high_ns) / wall)}${NBSP}%` : "";
  }
  // One sample of 10 ms on a span of 3 ms is no 300 %.
  if (c.cpu_ns > wall && c.cpu_low_ns <= wall) return `≤100${NBSP}%`;
  return percent(c.cpu_ns, wall);
}

/** shortID gives 7f3a…c21e. */
export function shortID(id: string): string {
  return id.length > 12 ? `${id.slice(0, 4)}…${id.slice(-4)}` : id;
}

let utc = false;

/** showUTC has all clock times shown in UTC, or in the reader's zone. */
export function showUTC(on: boolean): void {
  utc = on;
}

/** zone names the zone that times are shown in: UTC, GMT+2, CET. */
export function zone(): string {
  if (utc) return "UTC";
  return new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(new Date()).find((p) => p.type === "timeZoneName")?.value ?? "local";
}

const pad = (n: number, width = 2) => String(n).padStart(width, "0");

/** localTime gives 2026-11-20 09:41:07.312 in the reader's zone, or in UTC; see showUTC. */
export function localTime(iso: string): string {
  const t = new Date(iso);
  if (Number.isNaN(t.getTime())) return iso;
  return `${localDay(t)} ${clock(t)}`;
}

/** localTimeBrief leaves out the day when it is the day of now. */
export function localTimeBrief(iso: string, now: Date): string {
  const t = new Date(iso);
  if (Number.isNaN(t.getTime())) return iso;
  return localDay(t) === localDay(now) ? clock(t) : `${localDay(t)} ${clock(t)}`;
}

function localDay(t: Date): string {
  if (utc) return t.toISOString().slice(0, 10);
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())}`;
}

function clock(t: Date): string {
  if (utc) return t.toISOString().slice(11, 23);
  return `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}.${pad(t.getMilliseconds(), 3)}`;
}

/** utcTitle is the time as it came, for the tooltip. */
export function utcTitle(iso: string): string {
  return iso.endsWith("Z") ? `${iso.slice(0, -1).replace("T", " ")} UTC` : iso;
}

/** shortFunc drops a Go function's import path: bcrypt.CompareHashAndPassword. */
export function shortFunc(name: string): string {
  // A slash inside type parameters is no separator of the import path.
  const end = name.indexOf("[");
  const slash = (end < 0 ? name : name.slice(0, end)).lastIndexOf("/");
  return name.slice(slash + 1);
}

/** bareFunc drops the package too: (*Client).Process. */
export function bareFunc(name: string): string {
  const short = shortFunc(name);
  const dot = short.indexOf(".");
  return dot < 0 ? short : short.slice(dot + 1);
}

/** attributeValue shows any attribute's value as one text. */
export function attributeValue(value: unknown): string {
  if (typeof value === "string") return value;
  return JSON.stringify(value) ?? "";
}
