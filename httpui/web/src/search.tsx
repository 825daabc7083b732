// The filter of the list: a form whose fields are the URL's parameters.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Failure } from "./api";
import { localTime } from "./format";
import { isTyping } from "./header";
import { Period } from "./period";
import { QueryBox, suggestions } from "./querybox";
import { go, listHref } from "./route";

const FIELDS = ["service", "name", "min", "q", "errors", "on", "order"] as const;

export function Search({ params, failure }: { params: URLSearchParams; failure: Failure | undefined }) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || isTyping(e.target)) return;
      e.preventDefault();
      form.current?.querySelector("input")?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  // The Content-Security-Policy lets no form leave the page: the script goes.
  const send = () => {
    if (form.current) go(listHref(entered(form.current, params)));
  };
  const value = (name: string) => params.get(name) ?? "";
  const active = [...FIELDS, "from", "to", "last"].some((f) => params.has(f));
  const column = failure?.column ?? 0;

  return (
    <form
      ref={form}
      class="filter"
      role="search"
      aria-label="Filter traces"
      key={params.toString()}
      onSubmit={(e) => {
        e.preventDefault();
        send();
      }}
    >
      <Known params={params} />
      <label>
        At least
        <input name="min" defaultValue={value("min")} autocomplete="off" spellcheck={false} placeholder="100ms" size={8} />
      </label>
      <QueryBox value={value("q")} column={column} error={column > 0 ? failure!.message : ""} />
      <Period params={params} usual="all" href={listHref} />
      <Select name="on" title="Match" value={value("on")} choices={[["", "any span"], ["root", "root spans"], ["entry", "entry spans"]]} onChange={send} />
      <Select name="order" title="Sort" value={value("order")} choices={[["", "newest first"], ["longest", "longest first"]]} onChange={send} />
      <label class="check">
        <input name="errors" type="checkbox" value="1" defaultChecked={params.has("errors")} /> errors only
      </label>
      <button type="submit">Filter</button>
      {active && <a href={listHref()}>Clear</a>}
      {(params.has("from") || params.has("to")) && (
        <span class="dim range">
          {params.has("from") && `from ${localTime(value("from"))} `}
          {params.has("to") && `to ${localTime(value("to"))}`}
        </span>
      )}
    </form>
  );
}

/** Known are the fields that the handler can complete: the services and the names of spans. */
function Known({ params }: { params: URLSearchParams }) {
  const id = useId();
  const [services, setServices] = useState<string[]>([]);
  const [names, setNames] = useState<string[]>([]);
  const ask = () => {
    suggestions().then(
      (s) => {
        setServices(s.services);
        setNames([...new Set(s.operations.map((o) => o.name))].slice(0, 200));
      },
      () => {}, // the fields work without
    );
  };
  return (
    <>
      <label>
        Service
        <input name="service" defaultValue={params.get("service") ?? ""} list={id + "s"} onFocus={ask} autocomplete="off" spellcheck={false} placeholder="any" />
      </label>
      <label class="wide">
        Span name
        <input name="name" defaultValue={params.get("name") ?? ""} list={id + "n"} onFocus={ask} autocomplete="off" spellcheck={false} placeholder="any, exactly as shown" />
      </label>
      <datalist id={id + "s"}>
        {services.map((s) => (
          <option key={s} value={s} />
        ))}
      </datalist>
      <datalist id={id + "n"}>
        {names.map((s) => (
          <option key={s} value={s} />
        ))}
      </datalist>
    </>
  );
}

interface SelectProps {
  name: string;
  title: string;
  value: string;
  choices: [value: string, text: string][];
  onChange: () => void;
}

function Select({ name, title, value, choices, onChange }: SelectProps) {
  return (
    <label>
      {title}
      <select name={name} onChange={onChange}>
        {choices.map(([v, text]) => (
          <option key={v} value={v} selected={v === value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** entered gives the form's fields as parameters; what the form does not show stays, the page of the list does not. */
function entered(form: HTMLFormElement, params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value.trim()) next.set(name, value.trim());
  }
  for (const name of ["from", "to", "last", "limit"]) {
    const value = params.get(name);
    if (value) next.set(name, value);
  }
  return next;
}
