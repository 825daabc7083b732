// Sizes that the layout depends on, watched.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import type { RefObject } from "preact";

/** useWidth gives an element's content width in pixels, 0 until it is known. */
export function useWidth(ref: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const el = ref.current;
    if (!el) return;
    const read = () => setWidth(Math.floor(el.clientWidth));
    read();
    const observer = new ResizeObserver(read);
    observer.observe(el);
    return () => observer.disconnect();
  }, []);
  return width;
}

/** useMedia tells whether a media query matches. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const update = () => setMatches(list.matches);
    update();
    list.addEventListener("change", update);
    return () => list.removeEventListener("change", update);
  }, [query]);
  return matches;
}

export interface Span {
  first: number;
  last: number;
}

/** OVERSCAN is how many rows are kept ready beyond each edge of the window. */
const OVERSCAN = 4;

/**
 * useWindowRows gives the rows [first, last) of a list of equally high rows that
 * the window shows while the document scrolls: 50k spans cost as much as 50.
 */
export function useWindowRows(ref: RefObject<HTMLElement | null>, count: number, rowHeight: number): Span {
  const [span, setSpan] = useState<Span>({ first: 0, last: Math.min(count, 40) });
  useLayoutEffect(() => {
    let frame = 0;
    const read = () => {
      frame = 0;
      const el = ref.current;
      if (!el) return;
      const top = -el.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
      const last = Math.min(count, Math.ceil((top + innerHeight) / rowHeight) + OVERSCAN);
      setSpan((s) => (s.first === first && s.last === last ? s : { first, last }));
    };
    const later = () => {
      frame ||= requestAnimationFrame(read);
    };
    read();
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    // What stands above the rows may change its height.
    const observer = new ResizeObserver(later);
    observer.observe(document.body);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", later);
      removeEventListener("resize", later);
      observer.disconnect();
    };
  }, [count, rowHeight]);
  return { first: Math.min(span.first, count), last: Math.min(span.last, count) };
}
