// The waterfall: a tree grid of spans beside their bars.

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { isWait } from "./bar";
import { Axis, GridLines } from "./axis";
import { SpanRow } from "./row";
import { domainOf, parentOf, reveal, visible, type Tree } from "./rows";
import { savedScroll } from "./route";
import { splitCritical } from "./segments";
import { useMedia, useWidth, useWindowRows } from "./size";
import type { Row, Trace } from "./types";

/** Row heights in pixels; --row in waterfall.css follows them. */
const ROW = 34;
const ROW_PHONE = 58;
/** HEAD is what the head of the grid and a little air above a row take. */
const HEAD = 40;

interface Props {
  trace: Trace;
  tree: Tree;
  colours: ReadonlyMap<string, number>;
  /** The index of the selected row. */
  selected: number | undefined;
  onSelect: (id: string, how: "click" | "key") => void;
  onClose: () => void;
}

export function Waterfall({ trace, tree, colours, selected, onSelect, onClose }: Props) {
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const shown = useMemo(() => visible(tree, collapsed), [tree, collapsed]);
  const domain = useMemo(() => domainOf(tree.rows, trace.wall_ns), [tree]);
  const longest = useMemo(() => longestWait(tree.rows), [tree]);

  const body = useRef<HTMLDivElement>(null);
  const lane = useRef<HTMLDivElement>(null);
  const phone = useMedia("(max-width: 700px)");
  const height = phone ? ROW_PHONE : ROW;
  const { first, last } = useWindowRows(body, shown.length, height);
  const width = useWidth(lane);

  const at = selected === undefined ? -1 : shown.indexOf(selected);
  useEffect(() => {
    if (selected !== undefined) setCollapsed((c) => reveal(tree, c, selected));
  }, [tree, selected]);
  useSelectedInView(body, at, height);

  const toggle = useCallback((id: string) => {
    setCollapsed((c) => {
      const next = new Set(c);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }, []);

  const onKey = (e: KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const page = Math.max(1, Math.floor((innerHeight * 0.6) / height));
    const to = (i: number) => {
      const row = tree.rows[shown[Math.max(0, Math.min(shown.length - 1, i))]!];
      if (row) onSelect(row.span_id, "key");
    };
    const row = at < 0 ? undefined : tree.rows[shown[at]!];
    switch (e.key) {
      case "ArrowDown":
        to(at + 1);
        break;
      case "ArrowUp":
        to(at < 0 ? 0 : at - 1);
        break;
      case "Home":
        to(0);
        break;
      case "End":
        to(shown.length - 1);
        break;
      case "PageDown":
        to(at + page);
        break;
      case "PageUp":
        to(at - page);
        break;
      case "ArrowLeft": {
        if (!row) return;
        const parent = parentOf(tree, shown[at]!);
        if (hasChildren(tree, shown[at]!) && !collapsed.has(row.span_id)) toggle(row.span_id);
        else if (parent >= 0) onSelect(tree.rows[parent]!.span_id, "key");
        break;
      }
      case "ArrowRight":
        if (!row || !hasChildren(tree, shown[at]!)) return;
        if (collapsed.has(row.span_id)) toggle(row.span_id);
        else to(at + 1);
        break;
      case "Enter":
        if (row) document.getElementById("detail")?.focus({ preventScroll: true });
        else to(0);
        break;
      case "Escape":
        if (!row) return;
        onClose();
        break;
      default:
        return;
    }
    e.preventDefault();
  };

  const rows = [];
  for (let i = first; i < last; i++) {
    const index = shown[i]!;
    const row = tree.rows[index]!;
    rows.push(
      <SpanRow
        key={row.span_id}
        row={row}
        trace={trace.trace_id}
        position={i}
        top={i * height}
        foreign={isForeign(tree, index)}
        colour={colours.get(row.service) ?? 0}
        open={hasChildren(tree, index) ? !collapsed.has(row.span_id) : undefined}
        selected={i === at}
        longest={longest?.id === row.span_id ? longest.from : undefined}
        domain={domain}
        width={width}
        onSelect={onSelect}
        onToggle={toggle}
      />,
    );
  }

  return (
    <div
      id="waterfall"
      class="waterfall"
      role="treegrid"
      aria-label="Spans, with a time line"
      aria-rowcount={shown.length + 1}
      aria-colcount={6}
      aria-activedescendant={at >= first && at < last ? `row-${tree.rows[shown[at]!]!.span_id}` : undefined}
      tabIndex={0}
      onKeyDown={onKey}
    >
      <div class="head grid-row" role="row" aria-rowindex={1}>
        <div role="columnheader" class="name">
          Span
        </div>
        <div role="columnheader" class="num wall">
          Wall
        </div>
        <div role="columnheader" class="num cpu" title="CPU time of the span itself, without its child spans">
          Self CPU
        </div>
        <div role="columnheader" class="evidence" title="interval, and what the figure rests on">
          Evidence
        </div>
        <div role="columnheader" class="num share" title="Self CPU as a share of the span's wall time">
          CPU %
        </div>
        <div role="columnheader" class="lane" ref={lane} aria-label="Time line">
          <Axis domain={domain} width={width} windows={trace.windows ?? []} />
        </div>
      </div>
      <div class="body" role="rowgroup" ref={body} style={{ height: `${shown.length * height}px` }}>
        <GridLines domain={domain} width={width} end={trace.wall_ns} />
        {rows}
      </div>
    </div>
  );
}

function hasChildren(tree: Tree, i: number): boolean {
  return tree.ends[i]! > i + 1;
}

/** isForeign tells whether a row's service is another than that of the row above it in the tree. */
function isForeign(tree: Tree, i: number): boolean {
  const parent = parentOf(tree, i);
  return parent < 0 || tree.rows[parent]!.service !== tree.rows[i]!.service;
}

/** longestWait finds the longest known wait on the critical path. */
export function longestWait(rows: readonly Row[]): { id: string; from: number } | undefined {
  let best: { id: string; from: number } | undefined;
  let length = 0;
  for (const row of rows) {
    if (!row.critical?.length || !isWait(row)) continue;
    for (const p of splitCritical(row.self ?? [], row.critical)) {
      if (p.critical && p.to - p.from > length) {
        length = p.to - p.from;
        best = { id: row.span_id, from: p.from };
      }
    }
  }
  return best;
}

/**
 * useSelectedInView scrolls so that the selected row stands between the head
 * of the grid and the details, which lie over the end of long lists. The first
 * time it also goes back to where the page was when it was left.
 */
function useSelectedInView(body: { current: HTMLDivElement | null }, at: number, height: number): void {
  const fresh = useRef(true);
  useLayoutEffect(() => {
    if (fresh.current) {
      fresh.current = false;
      if (savedScroll() > 0 || at < 0) {
        scrollTo(0, savedScroll());
        return;
      }
    }
    const el = body.current;
    if (at < 0 || !el) return;
    const top = () => el.getBoundingClientRect().top + at * height;
    const dock = document.querySelector(".detail.docked");
    const lowest = () => Math.min(innerHeight, dock?.getBoundingClientRect().top ?? innerHeight) - height;
    if (top() < HEAD) scrollBy(0, top() - HEAD);
    else if (top() > lowest()) scrollBy(0, top() - lowest());
    if (!dock) return;

    // The details grow when they have been fetched. A row that they come to
    // cover is moved up; one that the reader has scrolled away is left alone.
    const observer = new ResizeObserver(() => {
      if (top() > lowest() && top() < innerHeight) scrollBy(0, top() - lowest());
    });
    observer.observe(dock);
    return () => observer.disconnect();
  }, [at, height]);
}
