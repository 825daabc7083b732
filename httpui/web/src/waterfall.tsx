// The waterfall: a tree grid of spans beside their bars.

import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { Axis, GridLines } from "./axis";
import { BAND, Bands } from "./bands";
import type { Collapse } from "./collapse";
import type { Found } from "./find";
import { useGestures } from "./gestures";
import { SpanRow } from "./row";
import { hasChildren, rowOf } from "./rows";
import { savedScroll } from "./route";
import type { Domain } from "./segments";
import { bandsOf, kindsOf } from "./signals";
import { useMedia, useWidth, useWindowRows } from "./size";
import { longestWait } from "./stalls";
import type { Trace } from "./types";
import { useTreeKeys } from "./treekeys";

/** Row heights in pixels; --row in waterfall.css follows them. */
const ROW = 34;
const ROW_PHONE = 58;
/** SLOTS is how many rows a window shows at most, unless it is very high. */
const SLOTS = 64;
/** HEAD is what the head of the grid and a little air above a row take. */
const HEAD = 40;

interface Props {
  trace: Trace;
  /** The rows that are neither collapsed nor filtered away. */
  shown: readonly number[];
  found: Found | undefined;
  collapse: Collapse;
  colours: ReadonlyMap<string, number>;
  /** The index of the selected row, -1 for none. */
  selected: number;
  domain: Domain;
  whole: Domain;
  onShow: (shown: Domain | undefined) => void;
  onSelect: (index: number, how: "click" | "key") => void;
  onClose: () => void;
}

export function Waterfall({ trace, shown, found, collapse, colours, selected, domain, whole, onShow, onSelect, onClose }: Props) {
  const { spans } = trace;
  const longest = useMemo(() => longestWait(spans), [spans]);
  const bands = useMemo(() => bandsOf(trace.signals ?? []), [trace]);

  const grid = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const lane = useRef<HTMLDivElement>(null);
  const height = useMedia("(max-width: 700px)") ? ROW_PHONE : ROW;
  const { first, last } = useWindowRows(body, shown.length, height);
  const width = useWidth(lane);
  const at = selected < 0 ? -1 : rowOf(shown, selected);

  useEffect(() => {
    if (selected >= 0) collapse.reveal(selected);
  }, [spans, selected]);
  useSelectedInView(body, at, height);
  useGestures(grid, lane, domain, whole, onShow);
  const onKey = useTreeKeys({ spans, shown, at, collapse, height, onSelect, onClose });

  // A row that comes in takes the elements of one that went out.
  const slots = Math.max(SLOTS, last - first);
  const rows = [];
  for (let i = first; i < last; i++) {
    const index = shown[i]!;
    const row = spans.row(index);
    const parent = spans.parent[index]!;
    rows.push(
      <SpanRow
        key={i % slots}
        row={row}
        trace={trace.trace_id}
        position={i}
        top={i * height}
        foreign={parent < 0 || spans.service[parent] !== spans.service[index]}
        colour={colours.get(row.service) ?? 0}
        open={hasChildren(spans, index) ? !collapse.rows.has(index) : undefined}
        selected={i === at}
        leads={found !== undefined && found.keep[index] === 1}
        longest={longest?.row === index ? longest.from : undefined}
        domain={domain}
        width={width}
        onSelect={onSelect}
        onToggle={collapse.toggle}
      />,
    );
  }

  return (
    <div
      id="waterfall"
      class={`waterfall${domain === whole ? "" : " zoomed"}`}
      ref={grid}
      role="treegrid"
      aria-label="Spans, with a time line"
      aria-rowcount={shown.length + 1}
      aria-colcount={6}
      aria-activedescendant={at >= first && at < last ? `row-${spans.id(shown[at]!)}` : undefined}
      tabIndex={0}
      onKeyDown={onKey}
    >
      <div class="head grid-row" role="row" aria-rowindex={1} style={{ "--bands": `${BAND * kindsOf(bands).length}px` }}>
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
          <Bands bands={bands} domain={domain} width={width} />
        </div>
      </div>
      <div class="body" role="rowgroup" ref={body} style={{ height: `${shown.length * height}px` }}>
        <GridLines domain={domain} width={width} end={trace.wall_ns} bands={bands} />
        {rows}
      </div>
    </div>
  );
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
