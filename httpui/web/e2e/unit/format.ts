import {
  attributeValue,
  bareFunc,
  bytes,
  cpuPercent,
  cpuText,
  duration,
  localTime,
  localTimeBrief,
  percent,
  range,
  shortFunc,
  shortID,
  utcTitle,
} from "../../src/format";
import type { CPU, Evidence } from "../../src/types";
import { same, test } from "./check";

const ms = 1e6;

export function cpu(evidence: Evidence, value = 0, low = value, high = value, samples = 0, reason = ""): CPU {
  return {
    cpu_ns: value * ms,
    cpu_low_ns: low * ms,
    cpu_high_ns: high * ms,
    samples,
    evidence,
    cpu_reason: reason,
  };
}

test("durations have three figures and a unit", () => {
  const rows: [number, string][] = [
    [0, "0 ms"],
    [1, "1 ns"],
    [999, "999 ns"],
    [999.6, "1 µs"],
    [1_500, "1.5 µs"],
    [500_000, "500 µs"],
    [999_960, "1 ms"],
    [2_700_000, "2.7 ms"],
    [3_846_000, "3.85 ms"],
    [52_400_000, "52.4 ms"],
    [99_960_000, "100 ms"],
    [139_000_000, "139 ms"],
    [999_960_000, "1 s"],
    [1_240_000_000, "1.24 s"],
    [59_900_000_000, "59.9 s"],
    [125_000_000_000, "2 min 5 s"],
    [7_260_000_000_000, "2 h 1 min"],
    [-4_000_000, "-4 ms"],
  ];
  for (const [ns, want] of rows) same(duration(ns), want, String(ns));
});

test("an interval is in the unit of its figure", () => {
  same(range(50 * ms, 70 * ms, 60 * ms), "50–70");
  same(range(0.7 * ms, 2.4 * ms, 1.2 * ms), "0.7–2.4");
  same(range(55.9 * ms, 84.1 * ms, 70 * ms), "56–84");
  same(range(900 * ms, 1100 * ms, 1000 * ms), "0.9–1.1");
});

test("shares are rounded, but something is never nothing", () => {
  same(percent(46, 100), "46 %");
  same(percent(1, 1000), "<1 %");
  same(percent(0, 1000), "0 %");
  same(percent(1, 0), "");
});

test("no CPU figure goes without its evidence", () => {
  same(cpuText(cpu("exact", 63.6)).figure, "63.6 ms");
  const s = cpuText(cpu("sampled", 60, 50, 70, 6));
  same([s.figure, s.interval, s.evidence], ["≈60 ms", "50–70", "6 samples"]);
  same(s.title, "about 60 ms on CPU, interval 50 ms to 70 ms, from 6 samples");
  same(cpuText(cpu("sampled", 10, 3, 20, 1)).evidence, "1 sample");
  same(cpuText(cpu("inferred", 4)).figure, "≈4 ms");
});

test("zero samples are a bound, no data is a question mark with its reason", () => {
  const zero = cpuText(cpu("sampled", 0, 0, 10, 0));
  same([zero.figure, zero.interval, zero.evidence], ["<10 ms", "", "no sample"]);
  same(cpuText(cpu("sampled", 0, 0, 0, 0)).figure, "?");
  const none = cpuText(cpu("none", 0, 0, 0, 0, "another CPU profile was running"));
  same([none.figure, none.evidence], ["?", "no data"]);
  const soon = cpuText({ cpu_ns: 0, cpu_low_ns: 0, cpu_high_ns: 0, samples: 0, evidence: "none", cpu_pending: true });
  same([soon.figure, soon.evidence], ["…", "soon"]);
  same(none.title, "CPU time not known: another CPU profile was running");
});

test("a share of CPU is a bound where the figure is one", () => {
  same(cpuPercent(cpu("sampled", 60, 50, 70, 6), 139 * ms), "43 %");
  same(cpuPercent(cpu("sampled", 0, 0, 10, 0), 100 * ms), "<10 %");
  same(cpuPercent(cpu("sampled", 0, 0, 10, 0), 5 * ms), "");
  same(cpuPercent(cpu("none"), 5 * ms), "");
});

test("names of functions get shorter step by step", () => {
  const name = "golang.org/x/crypto/bcrypt.CompareHashAndPassword";
  same(shortFunc(name), "bcrypt.CompareHashAndPassword");
  same(bareFunc(name), "CompareHashAndPassword");
  same(shortFunc("example.org/a/b.(*T[go/c.D]).M"), "b.(*T[go/c.D]).M");
  same(shortFunc("main.main"), "main.main");
});

test("times are the reader's, with UTC at hand", () => {
  const iso = "2026-11-20T09:41:07.312004511Z";
  const t = new Date(iso);
  same(localTime(iso).slice(-3), "312");
  same(localTimeBrief(iso, t), localTime(iso).slice(11));
  same(localTimeBrief(iso, new Date(t.getTime() + 3 * 86400e3)), localTime(iso));
  same(utcTitle(iso), "2026-11-20 09:41:07.312004511 UTC");
  same(localTime("not a time"), "not a time");
});

test("ids and values", () => {
  same([bytes(0), bytes(286720), bytes(268435456), bytes(1048500)], ["0 B", "280 KiB", "256 MiB", "1 MiB"]);
  same(shortID("7f3a0c11d2b94e6f8a5077e1b3d9c21e"), "7f3a…c21e");
  same(attributeValue(["a", 1]), '["a",1]');
  same(attributeValue("<b>"), "<b>");
  same(attributeValue(false), "false");
});
