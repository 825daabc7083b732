// What is above the waterfall: the filter, the way to the next stall, zoom.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ANY, isAny, parseDuration, type Criteria, type Found } from "./find";
import { count, duration, grouped } from "./format";
import type { Act } from "./viewkeys";

interface Props {
  criteria: Criteria;
  found: Found | undefined;
  spans: number;
  operations: boolean;
  zoomed: boolean;
  /** What was said last of a stall. */
  said: string;
  onCriteria: (c: Criteria) => void;
  act: (what: Act) => void;
}

export function Toolbar({ criteria, found, spans, operations, zoomed, said, onCriteria, act }: Props) {
  const set = (part: Partial<Criteria>) => onCriteria({ ...criteria, ...part });
  const button = (what: Act, text: string, label: string, pressed?: boolean) => (
    <button type="button" onClick={() => act(what)} aria-label={label} title={label} aria-pressed={pressed}>
      {text}
    </button>
  );
  return (
    <div class="toolbar" role="search" aria-label="Filter spans">
      <label class="find">
        <span class="visually-hidden">Filter spans</span>
        <Field
          id="find"
          type="search"
          value={criteria.text}
          placeholder="Filter: name, service, error"
          onText={(text) => set({ text })}
          onKeyDown={(e: KeyboardEvent) => {
            if (e.key !== "Enter" && e.key !== "Escape") return;
            if (e.key === "Escape") onCriteria(ANY);
            document.getElementById("waterfall")?.focus({ preventScroll: true });
            e.preventDefault();
          }}
        />
      </label>
      <Least least={criteria.least} onLeast={(least) => set({ least })} />
      <label class="check">
        <input type="checkbox" checked={criteria.critical} onChange={(e) => set({ critical: e.currentTarget.checked })} /> critical path
      </label>
      <label class="check">
        <input type="checkbox" checked={criteria.errors} onChange={(e) => set({ errors: e.currentTarget.checked })} /> errors
      </label>
      {!isAny(criteria) && (
        <button type="button" onClick={() => onCriteria(ANY)}>
          Clear
        </button>
      )}
      <span class="dim matches" role="status">
        {found ? `${grouped(found.count)} of ${count(spans, "span")}` : ""}
      </span>
      <span class="push" />
      <span class="said" role="status">
        {said}
      </span>
      <span class="group" role="group" aria-label="Stalls">
        {button("stallBefore", "◂", "Previous stall (N)")}
        {button("stallNext", "Next stall ▸", "Next stall (n)")}
      </span>
      <span class="group" role="group" aria-label="Zoom">
        {button("zoomOut", "−", "Zoom out (−)")}
        {button("zoomIn", "+", "Zoom in (+)")}
        {zoomed && button("zoomAll", "All", "All of the trace (0)")}
      </span>
      <span class="group" role="group" aria-label="Tree">
        {button("collapse", "⊟", "Collapse all (E)")}
        {button("expand", "⊞", "Expand all (e)")}
      </span>
      {button("operations", "Operations", "Operations of this trace, and their history (o)", operations)}
    </div>
  );
}

interface FieldProps {
  value: string;
  onText: (text: string) => void;
  [more: string]: unknown;
}

/**
 * Field is an input that keeps what is typed: a value is put into it only when it
 * changes by other means, for a slow browser would put an old one over a new letter.
 */
function Field({ value, onText, ...more }: FieldProps) {
  const input = useRef<HTMLInputElement>(null);
  const typed = useRef(value);
  useLayoutEffect(() => {
    if (value === typed.current || !input.current) return;
    input.current.value = typed.current = value;
  }, [value]);
  return (
    <input
      ref={input}
      defaultValue={value}
      autocomplete="off"
      spellcheck={false}
      onInput={(e) => onText((typed.current = e.currentTarget.value))}
      {...more}
    />
  );
}

/** Least is the field for the least duration; what cannot be read as one is marked and counts for nothing. */
function Least({ least, onLeast }: { least: number; onLeast: (ns: number) => void }) {
  const [text, setText] = useState(() => written(least));
  const read = parseDuration(text);
  useEffect(() => {
    if (read !== undefined && read !== least) setText(written(least));
  }, [least]);
  return (
    <label class="least">
      at least{" "}
      <Field
        value={text}
        size={6}
        placeholder="5ms"
        aria-invalid={read === undefined}
        title="The least wall time: 5ms, 1.5s; a number alone is milliseconds"
        onText={(t) => {
          setText(t);
          const ns = parseDuration(t);
          if (ns !== undefined) onLeast(ns);
        }}
      />
    </label>
  );
}

function written(ns: number): string {
  return ns > 0 ? duration(ns).replaceAll("\u00a0", "") : "";
}
