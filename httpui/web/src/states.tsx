import { byStateOrder, stateStyle } from "./encoding";
import { count, cpuText, duration, percent } from "./format";
import { Swatch } from "./swatch";
import type { Row } from "./types";

/** States lists where the span's wall time went, and how that is known. */
export function States({ row }: { row: Row }) {
  const states = Object.entries(row.states ?? {})
    .filter(([, ns]) => ns > 0)
    .sort(([a, x], [b, y]) => y - x || byStateOrder(a, b));
  return (
    <table class="figures states">
      <caption class="visually-hidden">Where the span's wall time went</caption>
      <tbody>
        {states.map(([state, ns]) => {
          const style = stateStyle(state);
          const evidence = row.state_evidence?.[state] ?? row.evidence;
          const inferred = evidence === "inferred";
          return (
            <tr key={state}>
              <th scope="row">
                <Swatch look={style.look} dashed={inferred} />
                {style.title}
              </th>
              <td class="num">
                {evidence === "sampled" || inferred ? "≈" : ""}
                {duration(ns)}
              </td>
              <td class="num">{percent(ns, row.wall_ns)}</td>
              <td class="dim">{why(row, state, evidence)}</td>
            </tr>
          );
        })}
        {row.evidence === "sampled" && row.samples === 0 && (
          <tr>
            <th scope="row">
              <Swatch look="cpu" pale />
              on CPU
            </th>
            <td class="num">{cpuText(row).figure}</td>
            <td class="num" />
            <td class="dim">{cpuText(row).title}</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

/** why words a state's evidence. */
function why(row: Row, state: string, evidence: string): string {
  if (state === "covered") return "exact, span times";
  if (state === "cpu") {
    if (evidence !== "sampled") return evidence === "exact" ? "exact, execution trace" : evidence;
    const cpu = cpuText(row);
    return `${count(row.samples, "sample")}${cpu.interval ? `, ${duration(row.cpu_low_ns)} to ${duration(row.cpu_high_ns)}` : ""}`;
  }
  if (state === "steal") return "inferred from the kernel's accounts of the thread";
  if (evidence === "inferred") return "inferred from span kind";
  if (evidence === "exact") return "exact, execution trace";
  if (state === "unknown") return row.cpu_reason || (row.exact ? "not in the execution trace" : "a CPU profile cannot tell what it was");
  return evidence;
}
