// Which service called which, as a table.

import { duration, percent } from "./format";
import { Problems } from "./notes";

export interface Graph {
  from: string;
  to: string;
  edges: { caller: string; callee: string; calls: number; errors: number; mean_ns: number; max_ns: number }[];
  problems: string[];
}

export function GraphTable({ graph }: { graph: Graph }) {
  const most = Math.max(1, ...graph.edges.map((e) => e.calls));
  if (graph.edges.length === 0) {
    return <p class="dim">No service called another in this time, as far as the store has the spans of both.</p>;
  }
  return (
    <>
      <Problems problems={graph.problems} />
      <div class="table-box" role="region" aria-label="Calls" tabIndex={0}>
        <table class="figures calls">
          <thead>
            <tr>
              <th scope="col">Caller</th>
              <th scope="col">Callee</th>
              <th scope="col" class="num">Calls</th>
              <th scope="col" class="num">Errors</th>
              <th scope="col" class="num">Mean</th>
              <th scope="col" class="num">Slowest</th>
            </tr>
          </thead>
          <tbody>
            {graph.edges.map((e) => (
              <tr key={e.caller + "\0" + e.callee}>
                <td>{e.caller || "(no service name)"}</td>
                <td>
                  → <bdi>{e.callee || "(no service name)"}</bdi>
                </td>
                <td class="num">
                  <span class="call-bar" style={{ width: `${(60 * e.calls) / most}px` }} aria-hidden="true" /> {e.calls.toLocaleString("en")}
                </td>
                <td class="num">{e.errors > 0 ? <span class="error-text">{`${e.errors.toLocaleString("en")} (${percent(e.errors, e.calls)})`}</span> : <span class="dim">0</span>}</td>
                <td class="num">{duration(e.mean_ns)}</td>
                <td class="num">{duration(e.max_ns)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
