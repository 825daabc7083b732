// One row of the waterfall.

import { memo } from "./memo";
import { count, cpuPercent, cpuText, duration, exactPart } from "./format";
import { Lane } from "./lane";
import { traceHref } from "./route";
import { ServiceChip } from "./service";
import type { Domain } from "./segments";
import type { Row } from "./types";

interface Props {
  row: Row;
  trace: string;
  /** The row's place among the shown rows. */
  position: number;
  top: number;
  /** Whether the service differs from the parent's: then its name is shown. */
  foreign: boolean;
  colour: number;
  /** Whether its children are shown; undefined without children. */
  open: boolean | undefined;
  selected: boolean;
  /** Whether it stands here only for the spans below it that a filter asks for. */
  leads: boolean;
  /** The start of the piece that is the longest wait, when it is in this row. */
  longest: number | undefined;
  domain: Domain;
  width: number;
  onSelect: (index: number, how: "click" | "key") => void;
  onToggle: (index: number) => void;
}

/** INDENT is the step per level in pixels; deeper than DEEPEST the names stay in line. */
const INDENT = 16;
const DEEPEST = 12;

export const SpanRow = memo(function SpanRow(p: Props) {
  const { row } = p;
  const cpu = cpuText(row);
  const click = (e: MouseEvent) => {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey) return;
    if (getSelection()?.isCollapsed === false) return;
    e.preventDefault();
    if ((e.target as Element).closest(".toggle")) p.onToggle(row.index);
    else if (!p.selected) p.onSelect(row.index, "click");
  };
  return (
    <div
      id={`row-${row.span_id}`}
      class={`grid-row row${p.selected ? " selected" : ""}${row.status === "error" ? " failed" : ""}${p.leads ? " leads" : ""}`}
      role="row"
      aria-rowindex={p.position + 2}
      aria-level={row.depth + 1}
      aria-expanded={p.open}
      aria-selected={p.selected}
      style={{ top: `${p.top}px` }}
      onClick={click}
    >
      <div role="gridcell" class="name" style={{ paddingLeft: `${Math.min(row.depth, DEEPEST) * INDENT}px` }}>
        <Name {...p} />
      </div>
      <div role="gridcell" class="num wall">
        {duration(row.wall_ns)}
      </div>
      <div role="gridcell" class="num cpu" title={cpu.title}>
        {cpu.figure}
      </div>
      <div role="gridcell" class="evidence" title={cpu.title + exactPart(row)}>
        {evidence(row)}
      </div>
      <div role="gridcell" class="num share" title={cpu.title}>
        {cpuPercent(row, row.wall_ns)}
      </div>
      <Lane row={row} domain={p.domain} width={p.width} longest={p.longest} />
    </div>
  );
});

function Name({ row, trace, open, foreign, colour }: Props) {
  const failure = row.status === "error" ? row.status_text || "error" : "";
  return (
    <>
      <span class={`toggle${open === undefined ? " leaf" : ""}`} aria-hidden="true">
        {open === undefined ? "" : open ? "▾" : "▸"}
      </span>
      {row.status === "error" && (
        <span class="error-mark" role="img" aria-label="error" title={failure}>
          !
        </span>
      )}
      <span class={`service-mark svc-${colour}`} title={`service ${row.service}`} />
      <a href={traceHref(trace, row.span_id)} tabIndex={-1} title={title(row)}>
        {row.name || "(no name)"}
      </a>
      {foreign && <ServiceChip name={row.service} colour={colour} />}
      <span class="note">
        {failure && <span class="error-text">{failure} </span>}
        {row.detail && <span>{row.detail}</span>}
        {row.detail && !row.awaited && " · "}
        {row.links ? (
          <span title={count(row.links, "link") + " to other spans, in the details"}>
            {row.detail && " · "}↗{row.links > 1 ? row.links : ""}
          </span>
        ) : null}
        {!row.awaited && <span title="It ended after its parent, or its parent did not wait for it">not awaited</span>}
      </span>
    </>
  );
}

/** evidence words what the CPU figure rests on, in the room of a column. */
function evidence(row: Row): string {
  const part = exactPart(row).replace("; exact for the ", "");
  if (part) return part.startsWith(";") ? part.slice(2) : `exact: ${part}`;
  const cpu = cpuText(row);
  return cpu.interval ? `${cpu.interval} · ${cpu.evidence}` : cpu.evidence;
}

function title(row: Row): string {
  const parts = [row.name, row.detail, `service ${row.service}`, row.kind && row.kind !== "internal" ? row.kind : ""];
  return parts.filter(Boolean).join(" · ");
}
