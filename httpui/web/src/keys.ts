// The keys that each view understands, for its handlers' readers and for the
// help. A key that is not listed here does nothing.

/** Key is one line of the help: what a key does, and in which view. */
export interface Key {
  /** The view's name as in the address; "" is everywhere. */
  view: string;
  /** The keys, separated by spaces. Those of one line do the same or the opposite. */
  key: string;
  what: string;
}

export const KEYS: readonly Key[] = [
  { view: "", key: "?", what: "these keys" },
  { view: "", key: "g t", what: "to the traces" },
  { view: "", key: "g l", what: "to what is in flight" },
  { view: "", key: "g o", what: "to the overview" },
  { view: "", key: "g f", what: "to the flame graph" },
  { view: "", key: "g h", what: "to the health" },
  { view: "list", key: "/", what: "to the filter of the list" },
  { view: "trace", key: "↑ ↓", what: "previous, next span" },
  { view: "trace", key: "← →", what: "collapse, expand; then to the parent, to the first child" },
  { view: "trace", key: "Home End", what: "first, last span" },
  { view: "trace", key: "PageUp PageDown", what: "a page of spans up, down" },
  { view: "trace", key: "Enter", what: "into the details of the selected span" },
  { view: "trace", key: "Esc", what: "close the details, or clear the filter" },
  { view: "trace", key: "/", what: "filter the spans" },
  { view: "trace", key: "n N", what: "next, previous stall on the critical path" },
  { view: "trace", key: "c", what: "only the critical path, or all spans" },
  { view: "trace", key: "E e", what: "collapse all spans, expand all" },
  { view: "trace", key: "+ −", what: "zoom in, out, around the selected span" },
  { view: "trace", key: "0", what: "the whole trace" },
  { view: "trace", key: "z", what: "zoom to the selected span" },
  { view: "trace", key: "[ ]", what: "earlier, later" },
  { view: "trace", key: "o", what: "operations, or the waterfall" },
  { view: "list", key: "j k", what: "next, previous trace" },
  { view: "list", key: "Enter", what: "open the trace" },
  { view: "list", key: "r", what: "refresh, or show what is new" },
  { view: "list", key: "s", what: "into the scatter plot; there ← → move, Enter opens, Esc leaves" },
  { view: "live", key: "p", what: "pause, or go on" },
  { view: "overview", key: "r", what: "refresh" },
  { view: "flame", key: "/", what: "search functions" },
  { view: "flame", key: "↑ ↓ ← →", what: "to the caller, the callee, the neighbours" },
  { view: "flame", key: "Enter", what: "zoom into the selected function" },
  { view: "flame", key: "Esc", what: "zoom out, or clear the search" },
];
