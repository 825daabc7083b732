// The filter of the list: a form whose fields are the URL's parameters.

import { useEffect, useRef } from "preact/hooks";
import { isTyping } from "./header";
import { go, listHref } from "./route";

const FIELDS = ["service", "name", "min", "q"] as const;

export function Filter({ params }: { params: URLSearchParams }) {
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
  const submit = (e: Event) => {
    e.preventDefault();
    if (form.current) go(listHref(entered(form.current, params)));
  };
  const value = (name: string) => params.get(name) ?? "";
  const active = [...FIELDS, "errors", "from", "to"].some((f) => params.has(f));

  return (
    <form ref={form} class="filter" role="search" aria-label="Filter traces" onSubmit={submit} key={params.toString()}>
      <label>
        Service
        <input name="service" defaultValue={value("service")} autocomplete="off" spellcheck={false} placeholder="any" />
      </label>
      <label class="wide">
        Span name
        <input name="name" defaultValue={value("name")} autocomplete="off" spellcheck={false} placeholder="any, exactly as shown" />
      </label>
      <label>
        At least
        <input name="min" defaultValue={value("min")} autocomplete="off" spellcheck={false} placeholder="100ms" size={8} />
      </label>
      <label class="wide">
        Query
        <input
          name="q"
          defaultValue={value("q")}
          autocomplete="off"
          spellcheck={false}
          placeholder='http.response.status_code>=500 cpu<10%'
          title='Terms that one span meets together: name~"GET /api" kind=server duration>100ms has:db.system root; trace.errors>0; order=longest'
        />
      </label>
      <label class="check">
        <input name="errors" type="checkbox" value="1" defaultChecked={params.has("errors")} /> errors only
      </label>
      <button type="submit">Filter</button>
      {active && <a href={listHref()}>Clear</a>}
      {(params.has("from") || params.has("to")) && (
        <span class="dim">
          {params.has("from") && `from ${value("from")} `}
          {params.has("to") && `to ${value("to")}`}
        </span>
      )}
    </form>
  );
}

/** entered gives the form's fields as parameters; what the form does not show stays, the page of the list does not. */
function entered(form: HTMLFormElement, params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value.trim()) next.set(name, value.trim());
  }
  for (const name of ["from", "to", "limit"]) {
    const value = params.get(name);
    if (value) next.set(name, value);
  }
  return next;
}
