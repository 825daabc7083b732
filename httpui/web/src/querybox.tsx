// The field for a query: it completes, and points at what is wrong.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { get } from "./api";
import { complete, type Completion, type Suggestions } from "./complete";
import { mount } from "./route";

/** FRESH is how long suggestions are used before they are asked for again, milliseconds. */
const FRESH = 30_000;

let asked: { at: number; answer: Promise<Suggestions> } | undefined;

/** suggestions asks what there is to complete with; it is asked for when a field gets the focus. */
export function suggestions(): Promise<Suggestions> {
  if (!asked || Date.now() - asked.at > FRESH) {
    asked = { at: Date.now(), answer: get<Suggestions>(mount.pathname + "suggest", new AbortController().signal) };
    asked.answer.catch(() => (asked = undefined));
  }
  return asked.answer;
}

const CLOSED: Completion = { from: 0, to: 0, choices: [] };

interface Props {
  value: string;
  /** Where the query is wrong, from 1, and why; 0 when it is not. */
  column: number;
  error: string;
}

export function QueryBox({ value, column, error }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const [known, setKnown] = useState<Suggestions>();
  const [open, setOpen] = useState(CLOSED);
  const [active, mark] = useState(-1);
  // Keys may come faster than the list is drawn anew.
  const at = useRef(-1);
  const setActive = (i: number) => mark((at.current = i));

  const update = () => {
    const el = input.current;
    if (!el || !known || document.activeElement !== el) return;
    setOpen(complete(el.value, el.selectionStart ?? el.value.length, known));
    setActive(-1);
  };
  useEffect(update, [known]);
  const close = () => setOpen(CLOSED);
  const take = (i: number) => {
    const el = input.current;
    const choice = open.choices[i];
    if (!el || !choice) return;
    el.setRangeText(choice.insert, open.from, open.to, "end");
    el.focus();
    update();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const n = open.choices.length;
    const active = at.current;
    if (e.key === "Escape" && n > 0) close();
    else if (e.key === "ArrowDown" && n > 0) setActive((active + 1) % n);
    else if (e.key === "ArrowUp" && n > 0) setActive((active + n) % (n + 1) === n ? -1 : (active - 1 + n) % n);
    else if (e.key === "Enter" && active >= 0) take(active);
    else if (e.key === "Tab" && active >= 0 && !e.shiftKey) take(active);
    else return;
    e.preventDefault();
  };

  return (
    <div class="query">
      <label for={id}>Query</label>
      <input
        ref={input}
        id={id}
        name="q"
        class="mono"
        defaultValue={value}
        autocomplete="off"
        spellcheck={false}
        placeholder='http.response.status_code>=500 duration>100ms'
        title='Terms that one span meets together: name~"GET /api" kind=server duration>100ms has:db.system root; trace.errors>0; order=longest'
        role="combobox"
        aria-autocomplete="list"
        aria-expanded={open.choices.length > 0}
        aria-controls={id + "-choices"}
        aria-activedescendant={active >= 0 ? `${id}-${active}` : undefined}
        aria-invalid={column > 0}
        aria-describedby={column > 0 ? id + "-error" : undefined}
        onFocus={() => suggestions().then(setKnown, () => {})}
        onInput={update}
        onClick={update}
        onKeyDown={onKeyDown}
        onBlur={close}
      />
      <ul id={id + "-choices"} class="choices" role="listbox" aria-label="Completions" hidden={open.choices.length === 0}>
        {open.choices.map((c, i) => (
          <li
            key={c.label + i}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === active}
            onMouseDown={(e) => {
              e.preventDefault(); // the field keeps the focus
              take(i);
            }}
          >
            <span class="mono">{c.label}</span> <span class="dim">{c.hint}</span>
          </li>
        ))}
      </ul>
      {column > 0 && (
        <p id={id + "-error"} class="query-error" role="alert">
          <span class="mono caret" aria-hidden="true" style={{ paddingLeft: `${Math.min(column - 1, 60)}ch` }}>
            ^
          </span>
          <span>{error}</span>
        </p>
      )}
    </div>
  );
}
