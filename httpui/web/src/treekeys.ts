import type { Collapse } from "./collapse";
import type { Spans } from "./columns";
import { hasChildren } from "./rows";

interface Tree {
  spans: Spans;
  shown: readonly number[];
  /** The place of the selected row among the shown ones, -1 for none. */
  at: number;
  collapse: Collapse;
  height: number;
  onSelect: (index: number, how: "key") => void;
  onClose: () => void;
}

/** useTreeKeys gives the keys of the tree of spans, which it has while it has the focus; keys.ts lists them. */
export function useTreeKeys({ spans, shown, at, collapse, height, onSelect, onClose }: Tree): (e: KeyboardEvent) => void {
  const to = (i: number) => {
    const index = shown[Math.max(0, Math.min(shown.length - 1, i))];
    if (index !== undefined) onSelect(index, "key");
  };
  const close = () => {
    const index = shown[at]!;
    const parent = spans.parent[index]!;
    if (hasChildren(spans, index) && !collapse.rows.has(index)) collapse.toggle(index);
    else if (parent >= 0) onSelect(parent, "key");
  };
  const open = () => {
    const index = shown[at]!;
    if (!hasChildren(spans, index)) return;
    if (collapse.rows.has(index)) collapse.toggle(index);
    else to(at + 1);
  };

  return (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const page = Math.max(1, Math.floor((innerHeight * 0.6) / height));
    const acts: Record<string, () => void> = {
      ArrowDown: () => to(at + 1),
      ArrowUp: () => to(at < 0 ? 0 : at - 1),
      Home: () => to(0),
      End: () => to(shown.length - 1),
      PageDown: () => to(at + page),
      PageUp: () => to(at - page),
      Enter: () => (at < 0 ? to(0) : document.getElementById("detail")?.focus({ preventScroll: true })),
      ...(at >= 0 && { ArrowLeft: close, ArrowRight: open, Escape: onClose }),
    };
    const act = acts[e.key];
    if (!act) return;
    act();
    e.preventDefault();
  };
}
