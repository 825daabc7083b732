// A list that follows what happens, and does not move under the reader's hand.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";
import type { TraceList } from "./types";

/** EVERY is the pace of the tail, milliseconds. */
const EVERY = 2000;

export interface Tail {
  /** The list to show: the latest one, or the one that the reader is at. */
  list: TraceList | undefined;
  /** How many traces of the latest list are not in it. */
  fresh: number;
  /** Shows the latest. */
  show: () => void;
}

/**
 * useTail asks for the list again and again while on. What comes while the pointer
 * or the focus is in the box, text is selected or the page is scrolled, waits.
 */
export function useTail(latest: TraceList | undefined, on: boolean, reload: () => void, box: RefObject<HTMLElement | null>): Tail {
  const [held, setHeld] = useState<TraceList>();
  const shown = useRef<TraceList | undefined>(undefined);

  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => {
      if (!document.hidden) reload(); // nobody looks at a hidden page
    }, EVERY);
    return () => clearInterval(timer);
  }, [on, reload]);

  // Before it is painted: what was shown stays when the reader is at it.
  useLayoutEffect(() => {
    const before = shown.current;
    if (on && before && latest && before !== latest && !held && busy(box.current)) setHeld(before);
    else if (!held) shown.current = latest;
    if (!on && held) setHeld(undefined);
  }, [latest, on]);

  const show = useCallback(() => {
    shown.current = latest;
    setHeld(undefined);
  }, [latest]);
  const list = held ?? (on && shown.current && latest && shown.current !== latest && busy(box.current) ? shown.current : latest);
  return { list, fresh: held && latest ? missing(latest, held) : 0, show };
}

function busy(box: HTMLElement | null): boolean {
  if (!box) return false;
  const top = box.getBoundingClientRect().top;
  return box.matches(":hover") || box.contains(document.activeElement) || getSelection()?.isCollapsed === false || top < 0;
}

function missing(latest: TraceList, than: TraceList): number {
  const known = new Set((than.traces ?? []).map((t) => t.trace_id));
  return (latest.traces ?? []).filter((t) => !known.has(t.trace_id)).length;
}
