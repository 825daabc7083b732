// The CPU stacks of a span: callers above, callees below, width by samples.

import { useMemo, useRef, useState } from "preact/hooks";
import { bareFunc, count, percent, shortFunc } from "./format";
import { fit } from "./label";
import { measureMono } from "./measure";
import { useWidth } from "./size";
import { byFunc, frameTree, layers, trunk, type Cell } from "./stacks";
import type { Stack } from "./types";

/** KEEP is how many of the callers that all samples share stay shown. */
const KEEP = 5;
/** NARROWEST is the least share of the width that is drawn, DEEPEST the last level. */
const NARROWEST = 0.004;
const DEEPEST = 80;

export function Icicle({ stacks }: { stacks: Stack[] }) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const [whole, setWhole] = useState(false);
  const root = useMemo(() => frameTree(stacks), [stacks]);
  const levels = useMemo(() => layers(root, NARROWEST, DEEPEST), [root]);
  const common = useMemo(() => trunk(root), [root]);
  const folded = whole ? 0 : Math.max(0, Math.min(common.length, levels.length - 1) - KEEP);

  return (
    <>
      <div class="icicle" ref={box} role="img" aria-label={`Call stacks of ${count(root.samples, "CPU sample")}; the table below has the same figures`}>
        {levels.slice(folded).map((cells, depth) => (
          <div class="level" key={depth}>
            {cells.map((c) => (
              <Frame key={c.left} cell={c} samples={root.samples} px={width * c.width} depth={depth} />
            ))}
          </div>
        ))}
      </div>
      {common.length > KEEP + 1 && (
        <button type="button" class="small" onClick={() => setWhole(!whole)}>
          {whole ? "Hide common callers" : `Show ${count(folded, "common caller")}`}
        </button>
      )}
      <details class="by-func">
        <summary>Functions by own samples</summary>
        <FuncTable stacks={stacks} samples={root.samples} />
      </details>
    </>
  );
}

function Frame({ cell, samples, px, depth }: { cell: Cell; samples: number; px: number; depth: number }) {
  const { node } = cell;
  const short = shortFunc(node.func);
  const text = fit([`${node.func} ${node.samples}`, `${short} ${node.samples}`, short, bareFunc(node.func)], px, measureMono);
  return (
    <span
      class={`frame shade-${Math.min(depth, 5)}`}
      style={{ left: `${cell.left * 100}%`, width: `${cell.width * 100}%` }}
      title={`${node.func}\n${node.at}\n${count(node.samples, "sample")}, ${percent(node.samples, samples)}; ${node.self} in itself`}
    >
      {text ?? ""}
    </span>
  );
}

/** SHOWN is how many functions the table lists. */
const SHOWN = 40;

function FuncTable({ stacks, samples }: { stacks: Stack[]; samples: number }) {
  const all = byFunc(stacks);
  return (
    <table class="figures">
      <thead>
        <tr>
          <th scope="col">Function</th>
          <th scope="col" class="num">
            Own
          </th>
          <th scope="col" class="num">
            With callees
          </th>
          <th scope="col" class="num">
            Share
          </th>
        </tr>
      </thead>
      <tbody>
        {all.slice(0, SHOWN).map((f) => (
          <tr key={f.func}>
            <td class="mono">{f.func}</td>
            <td class="num">{f.self}</td>
            <td class="num">{f.total}</td>
            <td class="num">{percent(f.total, samples)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
