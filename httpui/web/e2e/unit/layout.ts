import { barOf, isWait } from "../../src/bar";
import { slices } from "../../src/budget";
import { fit, PAD, place } from "../../src/label";
import { measureBar } from "../../src/measure";
import { domainOf, makeTree, parentOf, reveal, visible } from "../../src/rows";
import { columns, gaps, splitCritical, ticks, total } from "../../src/segments";
import type { Row } from "../../src/types";
import { longestWait } from "../../src/waterfall";
import { ok, same, test } from "./check";

const ms = 1e6;
const tenPerLetter = (text: string) => text.length * 10;

function row(change: Partial<Row>): Row {
  return {
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

test("a wait is what took the most of the self time, when it is known", () => {
  same(isWait(row({ states: { covered: 90 * ms, net: 6 * ms, cpu: 4 * ms } })), true);
  same(isWait(row({ states: { net: 4 * ms, cpu: 6 * ms } })), false);
  same(isWait(row({ states: { unknown: 6 * ms, net: 4 * ms } })), false);
  same(isWait(row({})), false);
});

test("the longest wait is the longest known one on the critical path", () => {
  const net = { states: { net: 100 * ms }, state_evidence: { net: "exact" } } as const;
  const rows = [
    row({ span_id: "off", ...net, critical: [] }),
    row({ span_id: "on", ...net, critical: [[20 * ms, 80 * ms]] }),
    row({ span_id: "unknown", states: { unknown: 100 * ms }, critical: [[0, 100 * ms]] }),
  ];
  same(longestWait(rows), { id: "on", from: 20 * ms });
  same(longestWait([]), undefined);
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

test("pieces finer than a pixel are drawn by their share", () => {
  const pieces = Array.from({ length: 1000 }, (_, i) => ({ from: i * 10, to: i * 10 + 5, critical: true }));
  same(columns(pieces, { from: 0, to: 10_000 }, 100), [{ left: 0, width: 100, share: 0.5, critical: true }]);
});

test("ticks are round and inside", () => {
  same(ticks({ from: 0, to: 52.4 * ms }, 600), [0, 10, 20, 30, 40, 50].map((t) => t * ms));
  same(ticks({ from: -5, to: 5 }, 200), [-5, 0, 5]);
  same(ticks({ from: 0, to: 0 }, 200), []);
});

const tree = makeTree(
  [0, 1, 2, 2, 1, 0].map((depth, i) => row({ span_id: String(i), depth, start_ns: i * ms, wall_ns: ms })),
);

test("the tree is read from depths", () => {
  same([...tree.ends], [5, 4, 3, 4, 5, 6]);
  same([0, 1, 2, 3, 4, 5].map((i) => parentOf(tree, i)), [-1, 0, 1, 1, 0, -1]);
});

test("a collapsed row hides its subtree until something in it is selected", () => {
  same(visible(tree, new Set(["1"])), [0, 1, 4, 5]);
  same(visible(tree, new Set(["0"])), [0, 5]);
  same([...reveal(tree, new Set(["0", "1", "4"]), 3)], ["4"]);
});

test("the axis spans what outlives the request, and what seems to start before it", () => {
  same(domainOf([row({ start_ns: -5, wall_ns: 1 }), row({ start_ns: 90, wall_ns: 30 })], 100), { from: -5, to: 120 });
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
