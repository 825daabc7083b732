import { complete, quoted, type Suggestions } from "../../src/complete";
import { boxes, byFunction, flameTree, matched, matcher, type FlameStack } from "../../src/flametree";
import { rate } from "../../src/format";
import { parse } from "../../src/route";
import { partsOf } from "../../src/statebar";
import { ok, same, test } from "./check";

const known: Suggestions = {
  services: ["gateway", "orders"],
  operations: [{ service: "gateway", name: "GET /api/product", count: 7 }],
  attributes: [
    { key: "db.system", of: "span", count: 3, values: ["redis", "mysql"] },
    { key: "host.name", of: "resource", count: 3, values: null },
  ],
  fields: [
    { field: "service", takes: "= != a name" },
    { field: "status", takes: "= ok error unset" },
    { field: "duration", takes: "> >= 100ms" },
    { field: "root", takes: "spans without a parent" },
  ],
};

test("a query is completed where the caret is", () => {
  const inserts = (text: string, caret = text.length) => complete(text, caret, known).choices.map((c) => c.insert);
  same(inserts("serv"), ["service="]);
  same(inserts("status=error dur"), ["duration>"]);
  same(inserts("roo"), ["root"]);
  same(inserts("service=g"), ["gateway "]);
  same(inserts('name="GET /'), ['"GET /api/product" ']);
  same(inserts("status!="), ["ok ", "error ", "unset "]);
  same(inserts("span.db.system=re"), ["redis "]);
  same(inserts("has:host"), ["has:resource.host.name "]);
  const inside = complete("serv duration>1ms", 4, known);
  same([inside.from, inside.to, inside.choices[0]?.insert], [0, 4, "service="]);
  same(complete('name="a b" stat', 15, known).from, 11);
  same(inserts("no.such.key="), []);
});

test("values are quoted where they must be", () => {
  same([quoted("orders"), quoted("GET /x"), quoted('a"b'), quoted("")], ["orders", '"GET /x"', '"a\\"b"', '""']);
});

const frames = ["leaf", "mid", "main"].map((func) => ({ func, file: "f.go", line: 1 }));
const stacks: FlameStack[] = [
  { group: 0, kind: "cpu", state: "cpu", ns: 30, count: 3, frames: [0, 1, 2] },
  { group: 0, kind: "cpu", state: "cpu", ns: 10, count: 1, frames: [1, 1, 2] },
];

test("a flame graph joins stacks and counts recursion once", () => {
  const root = flameTree(stacks, frames);
  same([root.ns, root.count, root.children.map((c) => c.func)], [40, 4, ["main"]]);
  same(byFunction(root), [
    { func: "leaf", self: 30, total: 30, count: 3 },
    { func: "mid", self: 10, total: 40, count: 4 },
    { func: "main", self: 0, total: 40, count: 4 },
  ]);
  const mid = root.children[0]!.children[0]!;
  same(
    boxes(mid, 0.3).map((b) => [b.node.func, b.level, b.left, b.width]),
    [["all", 0, 0, 1], ["main", 1, 0, 1], ["mid", 2, 0, 1], ["leaf", 3, 0, 0.75]],
  );
});

test("waits are apart by state", () => {
  const wait = (state: string, ns: number): FlameStack => ({ group: 0, kind: "wait", state, ns, count: 1, frames: [0] });
  const root = flameTree([wait("net", 5), wait("lock", 7)], frames);
  same(root.children.map((c) => [c.state, c.isState, c.ns]), [["lock", true, 7], ["net", true, 5]]);
  same(byFunction(root), [{ func: "leaf", self: 12, total: 12, count: 2 }]);
});

test("a search finds text and expressions, each path once", () => {
  const root = flameTree(stacks, frames);
  same([matched(root, matcher("MID")!), matched(root, matcher("/^leaf$/")!), matched(root, matcher("/[/")!)], [40, 30, 0]);
  ok(matcher("") === undefined, "an empty search is none");
});

test("twenty thousand frames become boxes that can be seen", () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({ func: "f" + i }));
  const deep = Array.from({ length: 400 }, (_, i): FlameStack => ({ group: 0, kind: "cpu", state: "cpu", ns: 1 + i, count: 1, frames: Array.from({ length: 50 }, (_, k) => i * 50 + k) }));
  const root = flameTree(deep, many);
  const shown = boxes(root, 1.5 / 1200);
  ok(shown.length > 1000 && shown.length < 20_000, `got ${shown.length} boxes`);
});

test("views that are one page keep their parameters", () => {
  const root = new URL("http://h/x/");
  same(parse(new URL("http://h/x/overview?last=15m"), root), { view: "overview", search: "?last=15m" });
  same(parse(new URL("http://h/x/live/"), root), { view: "live", search: "" });
  same(parse(new URL("http://h/x/other"), root), { view: "elsewhere", path: "/x/other" });
});

test("rates and parts of sums are worded", () => {
  same([rate(0), rate(12.34), rate(0.05)], ["0", "12.3/s", "3/min"]);
  same(partsOf({ cpu: 3, unknown: 1 }).map((p) => p.evidence), ["sampled", "none"]);
});
