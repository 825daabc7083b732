// A trace's spans with all ways of looking at them: the state of the view, and
// what its keys and buttons do.

import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import { useCollapse } from "./collapse";
import { Detail } from "./detail";
import { ANY, find, isAny } from "./find";
import { duration } from "./format";
import { useHistory } from "./history";
import { Minimap } from "./minimap";
import { Operations } from "./operations";
import { go, replace, traceHref } from "./route";
import { domainOf, visible } from "./rows";
import type { Domain } from "./segments";
import { stateStyle } from "./encoding";
import { stallsOf, type Stall } from "./stalls";
import { Toolbar } from "./toolbar";
import type { Trace } from "./types";
import { around, panned, useView, within, writeView, zoomed } from "./view";
import { useViewKeys, type Act } from "./viewkeys";
import { Waterfall } from "./waterfall";

interface Props {
  trace: Trace;
  /** The id of the selected span, empty for none. */
  span: string;
  colours: ReadonlyMap<string, number>;
}

export function Explorer({ trace, span, colours }: Props) {
  const { spans } = trace;
  const [view, change] = useView(span);
  const whole = useMemo(() => domainOf(spans, trace.wall_ns), [trace]);
  const domain = useMemo(() => (view.shown && within(view.shown, whole)) ?? whole, [view.shown, whole]);
  const found = useMemo(() => find(spans, view.criteria), [spans, view.criteria]);
  const collapse = useCollapse(spans, isAny(view.criteria) ? undefined : view.criteria);
  const shown = useMemo(() => visible(spans, collapse.rows, found?.keep), [spans, collapse.rows, found]);
  const selected = useMemo(() => spans.indexOf(span), [spans, span]);
  const history = useHistory(trace.trace_id, view.operations || selected >= 0);

  // Rows and details are not to be drawn anew because the address they lead to has changed.
  const latest = useRef(view);
  latest.current = view;
  const id = trace.trace_id;
  const select = useCallback(
    (i: number, how: "click" | "key") => (how === "click" ? go : replace)(traceHref(id) + writeView(spans.id(i), latest.current)),
    [spans, id],
  );
  const close = useCallback(() => {
    replace(traceHref(id) + writeView("", latest.current));
    document.getElementById("waterfall")?.focus({ preventScroll: true });
  }, [id]);
  const onShow = useCallback((d: Domain | undefined) => change({ shown: d }), [change]);

  const [stall, said] = useStalls(trace, selected, (s) => {
    if (found && !found.keep[s.row]) change({ criteria: ANY });
    if (domain !== whole && (s.to < domain.from || s.from > domain.to)) {
      onShow(within(panned(domain, (s.from + s.to) / 2 - (domain.from + domain.to) / 2), whole));
    }
    change({ operations: false });
    select(s.row, "key");
  });

  const act = (what: Act) => {
    const length = domain.to - domain.from;
    const middle = selected >= 0 ? spans.start[selected]! + spans.wall[selected]! / 2 : NaN;
    const still = middle >= domain.from && middle <= domain.to ? middle : (domain.from + domain.to) / 2;
    const acts: Record<Act, () => void> = {
      filter: () => document.getElementById("find")?.focus(),
      stallNext: () => stall(1),
      stallBefore: () => stall(-1),
      critical: () => change({ criteria: { ...view.criteria, critical: !view.criteria.critical } }),
      collapse: () => collapse.all(true),
      expand: () => collapse.all(false),
      zoomIn: () => onShow(within(zoomed(domain, 0.5, still), whole)),
      zoomOut: () => onShow(within(zoomed(domain, 2, still), whole)),
      zoomAll: () => onShow(undefined),
      zoomSpan: () => selected >= 0 && onShow(within(around(spans.start[selected]!, spans.start[selected]! + spans.wall[selected]!), whole)),
      earlier: () => onShow(within(panned(domain, -length / 4), whole)),
      later: () => onShow(within(panned(domain, length / 4), whole)),
      operations: () => change({ operations: !view.operations }),
      escape: () => (selected >= 0 ? close() : change({ criteria: ANY })),
    };
    acts[what]();
  };
  useViewKeys(act);

  return (
    <>
      <Toolbar
        criteria={view.criteria}
        found={found}
        spans={spans.n}
        operations={view.operations}
        zoomed={domain !== whole}
        said={said}
        onCriteria={(criteria) => change({ criteria })}
        act={act}
      />
      {view.operations ? (
        <Operations
          trace={trace}
          colours={colours}
          history={history}
          onPick={(text) => change({ criteria: { ...ANY, text }, operations: false })}
        />
      ) : (
        <>
          <Minimap spans={spans} shown={shown} whole={whole} domain={domain} onShow={onShow} />
          <Waterfall
            trace={trace}
            shown={shown}
            found={found}
            collapse={collapse}
            colours={colours}
            selected={selected}
            domain={domain}
            whole={whole}
            onShow={onShow}
            onSelect={select}
            onClose={close}
          />
          {found?.count === 0 && <p class="dim nothing">No span matches. Esc clears the filter.</p>}
          {selected >= 0 && (
            <Detail
              key={span}
              trace={trace}
              row={spans.row(selected)}
              colour={colours.get(spans.serviceName(selected)) ?? 0}
              history={history}
              onClose={close}
            />
          )}
        </>
      )}
    </>
  );
}

/** useStalls gives a step to the next stall or the one before, and what it said of it. */
function useStalls(trace: Trace, selected: number, show: (s: Stall) => void): [step: (by: 1 | -1) => void, said: string] {
  const { spans } = trace;
  const stalls = useMemo(() => ({ all: undefined as Stall[] | undefined }), [spans]);
  const [at, setAt] = useState<{ stall: Stall; said: string }>();
  const [none, setNone] = useState("");
  const step = (by: 1 | -1) => {
    const all = (stalls.all ??= stallsOf(spans, trace.critical_ns ?? trace.wall_ns));
    if (all.length === 0) {
      setNone("no known wait on the critical path");
      return;
    }
    const next = stepFrom(all, at && selected === at.stall.row ? at.stall : undefined, selected >= 0 ? spans.start[selected]! : undefined, by);
    const stall = all[next]!;
    const text = `stall ${next + 1} of ${all.length}: ${spans.spanName(stall.row)}, ${stateStyle(stall.state).title} ${duration(stall.to - stall.from)}`;
    setAt({ stall, said: text });
    show(stall);
  };
  return [step, at?.said ?? none];
}

/** stepFrom gives the place of the stall that follows the last one, or else the start of the selected span; round and round. */
export function stepFrom(all: readonly Stall[], last: Stall | undefined, start: number | undefined, by: 1 | -1): number {
  const n = all.length;
  const found = last ? all.findIndex((s) => s.row === last.row && s.from === last.from) : -1;
  if (found >= 0) return (found + by + n) % n;
  if (start === undefined) return by > 0 ? 0 : n - 1;
  const after = all.findIndex((s) => s.from >= start);
  const next = after < 0 ? n : after;
  return (by > 0 ? next : next - 1 + n) % n;
}
