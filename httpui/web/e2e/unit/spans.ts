import { operationsOf } from "../../src/operations";
import { ANY, find, parseDuration } from "../../src/find";
import { rank } from "../../src/history";
import { domainOf, everyParent, moved, reveal, rowOf, visible } from "../../src/rows";
import { bandsOf, summaries } from "../../src/signals";
import { longestWait, stallsOf } from "../../src/stalls";
import { stepFrom } from "../../src/explorer";
import { exactPart } from "../../src/format";
import { parse } from "../../src/paint";
import { around, panned, readView, within, writeView, zoomed } from "../../src/view";
import { same, test } from "./check";
import { spansOf, varints } from "./made";

test("columns become rows as they were", () => {
  const big = 4_000_000_000_123;
  const spans = spansOf([
    { start: 0, wall: big, name: "root", self: [[0, 10], [big - 5, big]], critical: [[0, 5]], flags: 3 + 4 + 8 },
    {
      depth: 1,
      start: 10,
      wall: 20,
      name: "child",
      service: "s",
      states: [["net", 20, 1]],
      line: [["cpu", 12, 14, 1], ["net", 20, 30]],
      exact: [12, 30],
      events: [["a", 11], ["b", 9]],
    },
    { depth: 1, start: 5, wall: 0 },
  ]);
  const [root, child] = [spans.row(0), spans.row(1)];
  same([root.wall_ns, root.self, root.critical, root.evidence, root.awaited, root.local_root], [big, [[0, 10], [big - 5, big]], [[0, 5]], "exact", true, true]);
  same([child.name, child.service, child.start_ns, child.self, child.states, child.state_evidence], ["child", "s", 10, [[10, 30]], { net: 20 }, { net: "inferred" }]);
  same(child.timeline, [{ from: 12, to: 14, state: "cpu", stolen: 1 }, { from: 20, to: 30, state: "net", stolen: 0 }]);
  same([child.exact, child.marks], [[12, 30], [{ at: 11, name: "a" }, { at: 9, name: "b" }]]);
  same([spans.start[2], spans.parent[1], spans.parent[2], spans.ends[0]], [5, 0, 0, 3]);
  same(varints([0, -1, 1, 64]), btoa("\x00\x01\x02\x80\x01"));
});

test("a span is found by its id, and not by what looks like one across two", () => {
  const spans = spansOf([{ id: "aaaaaaaaaaaaaaab" }, { id: "baaaaaaaaaaaaaaa" }, { id: "cccccccccccccccc" }]);
  same([spans.indexOf("baaaaaaaaaaaaaaa"), spans.indexOf("abbaaaaaaaaaaaaa"), spans.indexOf("cccccccccccccccc"), spans.indexOf("")], [1, -1, 2, -1]);
});

const tree = spansOf([0, 1, 2, 2, 1, 0].map((depth, i) => ({ depth, start: i, wall: 1 + i, name: "n" + i, service: i === 3 ? "db" : "app", flags: i === 3 ? 32 : 0 })));

test("the tree is read from depths", () => {
  same([...tree.ends], [5, 4, 3, 4, 5, 6]);
  same([...tree.parent], [-1, 0, 1, 1, 0, -1]);
});

test("a collapsed row hides its subtree until something in it is selected", () => {
  same(visible(tree, new Set([1])), [0, 1, 4, 5]);
  same(visible(tree, new Set([0])), [0, 5]);
  same([...reveal(tree, new Set([0, 1, 4]), 3)], [4]);
  same([...everyParent(tree)], [1]);
  same([rowOf([0, 1, 4, 5], 4), rowOf([0, 1, 4, 5], 2)], [2, -1]);
});

test("what is collapsed stays so when more spans come", () => {
  const more = spansOf([0, 1, 1, 2].map((depth, i) => ({ depth, id: ["0", "9", "1", "2"][i]!.padStart(16, "0") })));
  same([...moved(new Set([1]), tree, more)], [2]);
});

test("the axis spans what outlives the request, and what seems to start before it", () => {
  same(domainOf(spansOf([{ start: -5, wall: 1 }, { start: 90, wall: 30 }]), 100), { from: -5, to: 120 });
});

test("a filter keeps what matches and what leads to it", () => {
  const found = find(tree, { ...ANY, text: "DB n3" })!;
  same([[...found.keep], found.count], [[1, 1, 0, 2, 0, 0], 1]);
  same([...find(tree, { ...ANY, errors: true })!.keep], [1, 1, 0, 2, 0, 0]);
  same([...find(tree, { ...ANY, least: 6 })!.keep], [0, 0, 0, 0, 0, 2]);
  same([...find(tree, { ...ANY, critical: true })!.keep], [0, 0, 0, 0, 0, 0]);
  same(find(tree, { ...ANY, text: "  " }), undefined);
  same(["5ms", "1.5 s", "3", "", "5 parsecs", "-1ms"].map(parseDuration), [5e6, 1.5e9, 3e6, 0, undefined, undefined]);
});

const waits = spansOf([
  { wall: 1000, self: [[0, 100]], critical: [[0, 100]], states: [["cpu", 100, 3]] },
  { depth: 1, start: 100, wall: 300, name: "exact", critical: [[100, 350]], states: [["net", 250, 3]], line: [["net", 100, 200], ["cpu", 200, 250], ["lock", 250, 400]] },
  { depth: 1, start: 400, wall: 500, name: "inferred", critical: [[400, 900]], states: [["covered", 900, 3], ["net", 500, 1]] },
  { depth: 1, start: 400, wall: 500, name: "off the path", states: [["net", 500, 1]] },
  { depth: 1, start: 900, wall: 2, name: "unknown", critical: [[900, 902]], states: [["unknown", 2, 0]] },
]);

test("stalls are the waits on the critical path, in the order of time", () => {
  same(stallsOf(waits, 1000).map((s) => [s.row, s.from, s.to, s.state]), [
    [1, 100, 200, "net"],
    [1, 250, 350, "lock"],
    [2, 400, 900, "net"],
  ]);
  same(stallsOf(waits, 40_000).map((s) => s.row), [2]); // the others are too short to stop at
  same(stallsOf(waits, 1e9).length, 3);
  same(longestWait(waits)?.row, 2);
  same(longestWait(spansOf([])), undefined);
});

test("the next stall follows the last one, or the selected span, round and round", () => {
  const all = stallsOf(waits, 1000);
  same([stepFrom(all, undefined, undefined, 1), stepFrom(all, undefined, undefined, -1)], [0, 2]);
  same([stepFrom(all, all[0], 100, 1), stepFrom(all, all[2], 400, 1), stepFrom(all, all[0], 100, -1)], [1, 0, 2]);
  same([stepFrom(all, undefined, 300, 1), stepFrom(all, undefined, 300, -1), stepFrom(all, undefined, 950, 1)], [2, 1, 0]);
});

test("zoom keeps a moment in its place, and nothing leaves the trace", () => {
  const whole = { from: 0, to: 1000 };
  same(zoomed({ from: 0, to: 1000 }, 0.5, 200), { from: 100, to: 600 });
  same(within(panned({ from: 100, to: 600 }, 900), whole), { from: 500, to: 1000 });
  same(within({ from: -50, to: 5000 }, whole), undefined);
  same(within({ from: 10, to: 11 }, { from: 0, to: 1e6 }), { from: 10, to: 110 });
  same(around(1e6, 2e6), { from: 850_000, to: 2_150_000 });
});

test("a view is its address", () => {
  const view = { shown: { from: 5, to: 900 }, criteria: { text: "a b", least: 5e6, critical: true, errors: true }, operations: true };
  const hash = writeView("00f067aa0ba902b7", view);
  same(readView(hash), view);
  same(new URLSearchParams(hash.slice(1)).get("span"), "00f067aa0ba902b7");
  same(writeView("", readView("")), "");
  same(readView("#from=9&to=3&least=x").shown, undefined);
});

test("signals that say nothing are not shown", () => {
  const second = (values: Record<string, number>) => ({ start_ns: 0, end_ns: 1e9, values });
  same(bandsOf([second({ throttled_ns: 0, run_delay_ns: 5e6, gc_pause_ns: 1e6 })]), []);
  same(bandsOf([second({ throttled_ns: 3e8, sched_wait_ns: 2e8 })]).map((b) => [b.kind, b.share]), [["throttled_ns", 0.3], ["sched_wait_ns", 0.2]]);
  same(summaries([second({ throttled_ns: 3e8, runnable: 31 })], { from: 0, to: 5 }), ["throttled by the CPU quota 300 ms of 1 s", "up to 31 goroutines in the run queue"]);
  same(summaries([second({ throttled_ns: 3e8 })], { from: 2e9, to: 3e9 }), []);
});

test("operations add up their spans", () => {
  const ops = operationsOf(waits);
  same(ops.length, 5);
  same(ops.map((o) => [o.name, o.count, o.critical]), [["", 1, 100], ["exact", 1, 250], ["inferred", 1, 500], ["off the path", 1, 0], ["unknown", 1, 2]]);
  const past = { service: "", name: "", count: 100, errors: 0, max_ns: 100, percentiles_ns: Array.from({ length: 99 }, (_, i) => i + 1) };
  same([rank(past, 0), rank(past, 50), rank(past, 99.5), rank(past, 100)], [0, 50, 99, 100]);
});

test("a span longer than the execution trace says for which part it is exact", () => {
  const one = (exact: [number, number], evidence = 2) => exactPart(spansOf([{ wall: 12e9, exact, flags: evidence }]).row(0));
  same(one([9e9, 12e9]), "; exact for the last 3 s");
  same(one([0, 3e9]), "; exact for the first 3 s");
  same(one([4e9, 6e9]), "; exact from 4 s to 6 s");
  same([one([0, 12e9]), one([9e9, 12e9], 3)], ["", ""]);
});

test("colours are read however the browser writes them", () => {
  same(parse("rgb(1, 2, 3)"), [1, 2, 3, 255]);
  same(parse("rgba(1, 2, 3, 0.5)"), [1, 2, 3, 128]);
  same(parse("color(srgb 1 0.5 0 / 0.5)"), [255, 127.5, 0, 128]);
});
