// Zoom and pan with the mouse, a touch pad and fingers. The wheel alone scrolls
// the page, as everywhere; with Ctrl (which is also what pinching a touch pad
// sends) it zooms.

import { useEffect, useRef } from "preact/hooks";
import type { RefObject } from "preact";
import type { Domain } from "./segments";
import { panned, within, zoomed } from "./view";

/** SLACK is how far a pointer may move and still have clicked, pixels. */
const SLACK = 4;

interface Held {
  id: number;
  x: number;
}

/** useGestures zooms and pans what box shows; lane tells where the time line lies in it. */
export function useGestures(
  box: RefObject<HTMLElement | null>,
  lane: RefObject<HTMLElement | null>,
  domain: Domain,
  whole: Domain,
  onShow: (shown: Domain | undefined) => void,
): void {
  const now = useRef({ domain, whole, onShow });
  now.current = { domain, whole, onShow };

  useEffect(() => {
    const el = box.current;
    if (!el) return;
    let held: Held[] = [];
    let dragged = false;
    let frame = 0;

    const geometry = () => lane.current?.getBoundingClientRect() ?? { left: 0, width: 1 };
    const at = (x: number) => {
      const { left, width } = geometry();
      const d = now.current.domain;
      return d.from + ((x - left) / Math.max(1, width)) * (d.to - d.from);
    };
    const perPixel = () => (now.current.domain.to - now.current.domain.from) / Math.max(1, geometry().width);
    // Events come faster than frames: each counts, the last is drawn.
    const show = (d: Domain) => {
      const shown = within(d, now.current.whole);
      now.current.domain = shown ?? now.current.whole;
      if (!frame) {
        frame = requestAnimationFrame(() => {
          frame = 0;
          const d = now.current.domain;
          now.current.onShow(d === now.current.whole ? undefined : d);
        });
      }
    };

    const onWheel = (e: WheelEvent) => {
      if (!(e.target as Element).closest(".lane")) return;
      if (e.ctrlKey || e.metaKey) {
        e.preventDefault();
        show(zoomed(now.current.domain, Math.exp(Math.max(-60, Math.min(60, e.deltaY)) / 100), at(e.clientX)));
        return;
      }
      const sideways = e.shiftKey && e.deltaX === 0 ? e.deltaY : e.deltaX;
      if (Math.abs(sideways) <= (e.shiftKey ? 0 : Math.abs(e.deltaY)) || now.current.domain === now.current.whole) return;
      e.preventDefault();
      show(panned(now.current.domain, sideways * perPixel()));
    };

    const onDown = (e: PointerEvent) => {
      if (e.button !== 0 || !(e.target as Element).closest(".lane")) return;
      held = [...held.filter((h) => h.id !== e.pointerId), { id: e.pointerId, x: e.clientX }].slice(-2);
      dragged = false;
    };
    const onMove = (e: PointerEvent) => {
      const one = held.find((h) => h.id === e.pointerId);
      if (!one) return;
      const other = held.find((h) => h.id !== e.pointerId);
      const by = e.clientX - one.x;
      if (other) {
        const was = Math.abs(one.x - other.x);
        const is = Math.abs(e.clientX - other.x);
        dragged = true;
        if (was > 8 && is > 8) show(zoomed(now.current.domain, was / is, at((one.x + other.x) / 2)));
      } else {
        if (now.current.domain.to - now.current.domain.from >= now.current.whole.to - now.current.whole.from) return;
        if (!dragged && Math.abs(by) < SLACK) return;
        if (!dragged) el.setPointerCapture(e.pointerId);
        dragged = true;
        show(panned(now.current.domain, -by * perPixel()));
      }
      one.x = e.clientX;
    };
    const onUp = (e: PointerEvent) => {
      held = held.filter((h) => h.id !== e.pointerId);
    };
    const onClick = (e: MouseEvent) => {
      if (!dragged) return;
      dragged = false; // the end of a drag selects nothing
      e.preventDefault();
      e.stopPropagation();
    };

    el.addEventListener("wheel", onWheel, { passive: false });
    el.addEventListener("pointerdown", onDown);
    el.addEventListener("pointermove", onMove);
    el.addEventListener("pointerup", onUp);
    el.addEventListener("pointercancel", onUp);
    el.addEventListener("click", onClick, { capture: true });
    return () => {
      cancelAnimationFrame(frame);
      el.removeEventListener("wheel", onWheel);
      el.removeEventListener("pointerdown", onDown);
      el.removeEventListener("pointermove", onMove);
      el.removeEventListener("pointerup", onUp);
      el.removeEventListener("pointercancel", onUp);
      el.removeEventListener("click", onClick, { capture: true });
    };
  }, []);
}
