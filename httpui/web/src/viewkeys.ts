import { useLayoutEffect, useRef } from "preact/hooks";

/** Act is what a key or a button of the trace page does. */
export type Act =
  | "filter"
  | "stallNext"
  | "stallBefore"
  | "critical"
  | "collapse"
  | "expand"
  | "zoomIn"
  | "zoomOut"
  | "zoomAll"
  | "zoomSpan"
  | "earlier"
  | "later"
  | "operations"
  | "escape";

/** ACTS are the keys that work wherever the focus is, but in a field; keys.ts lists them. */
const ACTS: Readonly<Record<string, Act>> = {
  "/": "filter",
  n: "stallNext",
  N: "stallBefore",
  c: "critical",
  E: "collapse",
  e: "expand",
  "+": "zoomIn",
  "=": "zoomIn",
  "-": "zoomOut",
  "0": "zoomAll",
  z: "zoomSpan",
  "[": "earlier",
  "]": "later",
  o: "operations",
  Escape: "escape",
};

/** useViewKeys calls act for the keys of the page. */
export function useViewKeys(act: (what: Act) => void): void {
  const latest = useRef(act);
  latest.current = act;
  // In the layout, so that there is no moment in which a row is seen and a key is lost.
  useLayoutEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const what = ACTS[e.key];
      if (!what || e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) return;
      const target = e.target as Element | null;
      if (target?.closest("input, select, textarea, dialog") || document.querySelector("dialog[open]")) return;
      e.preventDefault();
      latest.current(what);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}
