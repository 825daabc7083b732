import { barOf, pieceBar, pieceLabels } from "../../src/bar";
import { slices } from "../../src/budget";
import { fit, PAD, place } from "../../src/label";
import { measureBar } from "../../src/measure";
import { cut, gaps, piecesOf, shares, splitCritical, ticks, total } from "../../src/segments";
import type { Row } from "../../src/types";
import { ok, same, test } from "./check";

const ms = 1e6;
const tenPerLetter = (text: string) => text.length * 10;

function row(change: Partial<Row>): Row {
  return {
    index: 0,
    span_id: "1",
    service: "s",
    name: "n",
    status: "unset",
    depth: 0,
    children: 0,
    awaited: true,
    local_root: false,
    start_ns: 0,
    wall_ns: 100 * ms,
    self_ns: 100 * ms,
    self: [[0, 100 * ms]],
    cpu_ns: 0,
    cpu_low_ns: 0,
    cpu_high_ns: 10 * ms,
    samples: 0,
    evidence: "sampled",
    ...change,
  };
}

const sampledRow = (samples: number) =>
  row({
    samples,
    cpu_ns: 60 * ms,
    cpu_low_ns: 50 * ms,
    cpu_high_ns: 70 * ms,
    states: { cpu: 60 * ms, unknown: 40 * ms },
    state_evidence: { cpu: "sampled", unknown: "none" },
  });

test("a label falls back from full to code to beside the bar, and is never clipped", () => {
  const texts = ["NET 3.5 ms, whole story", "NET 3.5 ms", "NET"];
  same(place(texts, 230 + 2 * PAD, 0, 0, tenPerLetter), { text: texts[0], where: "inside" });
  same(place(texts, 229 + 2 * PAD, 0, 0, tenPerLetter), { text: texts[1], where: "inside" });
  same(place(texts, 30 + 2 * PAD, 0, 0, tenPerLetter), { text: texts[2], where: "inside" });
  same(place(texts, 20, 500, 500, tenPerLetter), { text: texts[1], where: "right" });
  same(place(texts, 20, 500, 100, tenPerLetter), { text: texts[1], where: "left" });
  same(place(texts, 20, 0, 42, tenPerLetter), { text: texts[2], where: "right" });
  same(place(texts, 20, 10, 10, tenPerLetter), undefined);
  same(fit(["long"], 40 + 2 * PAD - 1, tenPerLetter), undefined);
});

test("real measures grow with the text", () => {
  ok(measureBar("NET 44.4 ms") > measureBar("NET"), "the longer text is not wider");
  ok(measureBar("NET") > 10, "NET is not wider than 10 px");
});

test("sampled CPU fills a share of the height from five samples on", () => {
  const few = barOf(sampledRow(4));
  same([few.layers, few.look, few.dashed], [[], "unknown", true]);
  same(few.labels[0], "self time 100 ms: CPU ≈60 ms (50–70), the rest unknown");
  const enough = barOf(sampledRow(5));
  same(enough.layers, [{ state: "cpu", look: "cpu", from: 0, low: 0.5, high: 0.7 }]);
  same(enough.height, 18);
});

test("an inferred wait is dashed and has a question mark", () => {
  const bar = barOf(row({ states: { net: 100 * ms }, state_evidence: { net: "inferred" } }));
  same([bar.look, bar.dashed, bar.height, bar.state], ["net", true, 14, "net"]);
  same(bar.labels, ["NET? 100 ms · inferred from span kind", "NET? 100 ms", "NET?"]);
});

test("what is not known says so", () => {
  const bar = barOf(row({ states: { unknown: 100 * ms }, state_evidence: { unknown: "none" } }));
  same([bar.look, bar.state], ["unknown", "unknown"]);
  same(bar.labels, ["? 100 ms · CPU <10 ms", "? 100 ms", "?"]);
  same(barOf(row({ evidence: "none" })).labels[0], "? 100 ms · no evidence");
});

test("exact states share the height by their time", () => {
  const exact = { cpu: "exact", runnable: "exact" } as const;
  const bar = barOf(row({ evidence: "exact", states: { cpu: 40 * ms, runnable: 60 * ms }, state_evidence: exact }));
  same(bar.layers.map((l) => [l.state, l.from, l.high]), [
    ["cpu", 0, 0.4],
    ["runnable", 0.4, 1],
  ]);
  same([bar.state, bar.dashed], ["runnable", false]);
  const single = barOf(row({ evidence: "exact", states: { cpu: 100 * ms }, state_evidence: exact }));
  same([single.look, single.layers.length, single.labels[0]], ["cpu", 0, "on CPU 100 ms"]);
});

test("what an execution trace tells stands where it was, and the rest of self time is unknown", () => {
  const r = row({
    self: [[0, 50], [60, 100]],
    critical: [[20, 50]],
    timeline: [
      { from: 10, to: 30, state: "cpu", stolen: 5 },
      { from: 30, to: 50, state: "net", stolen: 0 },
    ],
  });
  same(piecesOf(r).map((p) => [p.from, p.to, p.state, p.critical]), [
    [0, 10, "unknown", false],
    [10, 20, "cpu", false],
    [20, 30, "cpu", true],
    [30, 50, "net", true],
    [60, 100, "unknown", false],
  ]);
});

test("a stretch on CPU shows how much of it was stolen, without a place", () => {
  const p = { from: 0, to: 100 * ms, critical: true, state: "cpu", stolen: 0.25 };
  same(pieceBar(p).layers.map((l) => [l.state, l.from, l.high]), [["cpu", 0, 0.75], ["steal", 0.75, 1]]);
  same(pieceLabels(p), ["CPU 100 ms, of that STEAL ≈25 ms", "CPU 100 ms", "CPU"]);
  same(pieceBar({ ...p, state: "net", stolen: 0 }).layers, []);
  same(pieceBar({ ...p, state: "unknown", stolen: 0 }).dashed, true);
});

test("pieces are cut to what is shown, and remember how long they are", () => {
  const p = { from: 0, to: 100, critical: true };
  same(cut([p, { ...p, from: 200, to: 300 }], { from: 50, to: 150 }), [{ from: 50, to: 100, critical: true, ns: 100 }]);
});

test("self time is cut where the critical path begins and ends", () => {
  same(splitCritical([[0, 10], [20, 30]], [[5, 25]]), [
    { from: 0, to: 5, critical: false },
    { from: 5, to: 10, critical: true },
    { from: 20, to: 25, critical: true },
    { from: 25, to: 30, critical: false },
  ]);
  same(splitCritical([[0, 10]], []), [{ from: 0, to: 10, critical: false }]);
  const many = splitCritical([[0, 100]], [[10, 20], [30, 40]]);
  same(total(many.map((p) => [p.from, p.to])), 100);
});

test("gaps are what the parts leave open", () => {
  same(gaps(0, 10, [[2, 3], [5, 7]]), [[0, 2], [3, 5], [7, 10]]);
  same(gaps(0, 10, []), [[0, 10]]);
  same(gaps(0, 10, [[0, 10]]), []);
});

test("pieces finer than a pixel share its column by their time", () => {
  const pieces = Array.from({ length: 1000 }, (_, i) => ({ from: i * 10, to: i * 10 + 5, critical: i % 2 === 0 }));
  const part = shares(pieces, (p) => (p.critical ? 0 : 1), 2, { from: 0, to: 10_000 }, 100);
  same([...part.slice(0, 4)].map((x) => Math.round(100 * x)), [25, 25, 25, 25]);
});

test("ticks are round and inside", () => {
  same(ticks({ from: 0, to: 52.4 * ms }, 600), [0, 10, 20, 30, 40, 50].map((t) => t * ms));
  same(ticks({ from: -5, to: 5 }, 200), [-5, 0, 5]);
  same(ticks({ from: 0, to: 0 }, 200), []);
});

test("the budget draws no interval of few samples, and no bound of none", () => {
  const net = { state: "net", ns: 90, evidence: "inferred" } as const;
  const few = slices([{ state: "cpu", ns: 10, low_ns: 0, high_ns: 24, evidence: "sampled" }, net], 1);
  same(few.map((s) => [s.part.state, s.solid, s.ns]), [["cpu", 0, 10], ["net", 90, 90]]);
  const none = slices([{ state: "cpu", ns: 0, low_ns: 0, high_ns: 10, evidence: "sampled" }, net], 0);
  same(none.map((s) => s.part.state), ["net"]);
});

test("the budget stays whole when sampled CPU takes up to its bound", () => {
  const all = slices([
    { state: "cpu", ns: 60, low_ns: 50, high_ns: 70, evidence: "sampled" },
    { state: "net", ns: 10, evidence: "inferred" },
    { state: "unknown", ns: 30, evidence: "none" },
  ], 6);
  same(all.map((s) => [s.part.state, s.solid, s.ns]), [
    ["cpu", 50, 70],
    ["net", 10, 10],
    ["unknown", 20, 20],
  ]);
  const full = slices([
    { state: "cpu", ns: 90, low_ns: 80, high_ns: 120, evidence: "sampled" },
    { state: "net", ns: 10, evidence: "inferred" },
  ], 9);
  same(full.reduce((sum, s) => sum + s.ns, 0), 100);
});
