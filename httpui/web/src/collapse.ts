// Which rows the reader has collapsed. A filter begins with none: what it finds
// shall be seen; when it goes, what was collapsed before is so again.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Spans } from "./columns";
import { everyParent, moved, NO_ROWS, reveal, toggled, type Rows } from "./rows";

export interface Collapse {
  rows: Rows;
  toggle: (index: number) => void;
  /** Collapses all, or none. */
  all: (collapse: boolean) => void;
  reveal: (index: number) => void;
}

/** useCollapse keeps the collapsed rows; filter is a value that changes with the filter, undefined without one. */
export function useCollapse(spans: Spans, filter: unknown): Collapse {
  const [plain, setPlain] = useState<Rows>(NO_ROWS);
  const [filtered, setFiltered] = useState<Rows>(NO_ROWS);
  const set = filter === undefined ? setPlain : setFiltered;
  useEffect(() => setFiltered(NO_ROWS), [filter]);

  const before = useRef(spans);
  useEffect(() => {
    const from = before.current;
    before.current = spans;
    setPlain((c) => moved(c, from, spans));
  }, [spans]);

  return {
    rows: filter === undefined ? plain : filtered,
    toggle: useCallback((i: number) => set((c) => toggled(c, i)), [set]),
    all: useCallback((collapse: boolean) => set(collapse ? everyParent(spans) : NO_ROWS), [set, spans]),
    reveal: useCallback((i: number) => set((c) => reveal(spans, c, i)), [set, spans]),
  };
}
