import { grouped } from "../../src/attributes";
import { evictionText } from "../../src/error";
import { parse } from "../../src/route";
import { byFunc, frameTree, layers, trunk } from "../../src/stacks";
import type { Stack } from "../../src/types";
import { same, test } from "./check";

const root = new URL("http://h/any/prefix/");
const route = (path: string) => parse(new URL("http://h" + path), root);

test("every view has its URL below any mount", () => {
  const id = "7f3a0c11d2b94e6f8a5077e1b3d9c21e";
  same(route("/any/prefix/?service=a"), { view: "list", search: "?service=a" });
  same(route(`/any/prefix/trace/${id}`), { view: "trace", id, span: "" });
  same(route(`/any/prefix/trace/${id.toUpperCase()}/#span=00F067AA0BA902B7`), { view: "trace", id, span: "00f067aa0ba902b7" });
  same(route(`/any/prefix/span/${id}/00f067aa0ba902b7`), { view: "trace", id, span: "00f067aa0ba902b7" });
  same(route("/any/prefix/trace/xyz"), { view: "elsewhere", path: "/any/prefix/trace/xyz" });
});

const stacks: Stack[] = [
  { frames: [{ func: "leaf" }, { func: "mid" }, { func: "main" }], samples: 4 },
  { frames: [{ func: "other" }, { func: "mid" }, { func: "main" }], samples: 2 },
];

test("stacks join from the caller down", () => {
  const tree = frameTree(stacks);
  same(tree.samples, 6);
  same(trunk(tree).map((n) => n.func), ["main", "mid"]);
  const cells = layers(tree, 0, 10).map((level) => level.map((c) => [c.node.func, c.node.samples, Math.round(c.left * 6)]));
  same(cells, [[["main", 6, 0]], [["mid", 6, 0]], [["leaf", 4, 0], ["other", 2, 4]]]);
});

test("recursion counts once in a function's total", () => {
  same(byFunc([{ frames: [{ func: "f" }, { func: "f" }, { func: "main" }], samples: 3 }]), [
    { func: "f", self: 3, total: 3 },
    { func: "main", self: 0, total: 3 },
  ]);
});

test("attributes are grouped by the first part of their keys", () => {
  const groups = grouped([{ key: "http.route" }, { key: "url.path" }, { key: "http.method" }, { key: "plain" }]);
  same(groups.map(([g, list]) => [g, list.map((a) => a.key)]), [
    ["", ["plain"]],
    ["http", ["http.method", "http.route"]],
    ["url", ["url.path"]],
  ]);
});

test("an eviction is worded as far as it is known", () => {
  same(evictionText(undefined), "");
  same(evictionText(null), "");
  same(evictionText({ when: "soon", why: "the ring was full" }), "The store removed it at soon: the ring was full.");
});
