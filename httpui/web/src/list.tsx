// The list of traces, newest first.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useData } from "./api";
import { ErrorView, Stale } from "./error";
import { Problems } from "./notes";
import { isTyping } from "./header";
import { listHref, newerHref, savedScroll, withFormat } from "./route";
import { Scatter } from "./scatter";
import { Search } from "./search";
import { Status } from "./status";
import { Table } from "./table";
import { useTail } from "./tail";
import type { TraceList } from "./types";

export function ListView({ search }: { search: string }) {
  const params = new URLSearchParams(search);
  const href = listHref(params);
  const loaded = useData<TraceList>(href);
  const { data, failure, reload } = loaded;
  const [follow, setFollow] = useState(false);
  const paged = params.has("cursor");
  const box = useRef<HTMLDivElement>(null);
  const tail = useTail(data, follow && !paged, reload, box);
  const list = tail.list;

  useEffect(() => {
    document.title = "Traces · spanclock";
  }, []);
  useLayoutEffect(() => {
    if (data) scrollTo(0, savedScroll());
  }, [href, data !== undefined]);
  const latest = () => {
    tail.show();
    reload();
  };
  useRowKeys(latest);

  return (
    <>
      <h1 class="visually-hidden">Traces</h1>
      <Search params={params} failure={failure} />
      {!list && failure && <ErrorView failure={failure} onRetry={reload} />}
      {!list && !failure && <p class="loading">Loading traces…</p>}
      {list && (
        <>
          {failure && <Stale failure={failure} onRetry={reload} />}
          <Problems problems={list.problems ?? []} />
          <Status list={list} loaded={loaded} paged={paged} follow={follow} onFollow={setFollow} longest={params.get("order") === "longest"} />
          {list.traces?.length ? (
            <>
              <Scatter list={list} params={params} />
              <div ref={box}>
                {tail.fresh > 0 && (
                  <button type="button" class="fresh" onClick={tail.show}>
                    {tail.fresh} new: show
                  </button>
                )}
                <Table traces={list.traces} />
              </div>
            </>
          ) : (
            <Empty params={params} />
          )}
          <Pages list={list} params={params} />
        </>
      )}
    </>
  );
}

/** useRowKeys moves the focus between the rows' links, and refreshes. */
function useRowKeys(refresh: () => void): void {
  const latest = useRef(refresh);
  latest.current = refresh;
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || isTyping(e.target)) return;
      if (e.key === "r") latest.current();
      else if (e.key === "j" || e.key === "k") moveFocus(e.key === "j" ? 1 : -1);
      else return;
      e.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function moveFocus(by: number): void {
  const links = [...document.querySelectorAll<HTMLElement>(".list .request a")];
  const at = links.indexOf(document.activeElement as HTMLElement);
  links[Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
}

function Empty({ params }: { params: URLSearchParams }) {
  const filtered = [...params.keys()].some((k) => k !== "limit");
  return (
    <section class="notice">
      <h2>{filtered ? "No trace matches" : "No traces yet"}</h2>
      {filtered ? (
        <p>
          Service and name must be those of one and the same span, exactly. Traces that the store has removed are not
          found. <a href={listHref()}>Show all traces</a>
        </p>
      ) : (
        <p>
          A trace appears here when its first span has ended. Send the service a request, then refresh. If nothing
          comes, check that the tracer provider has the store's span processor, that the sampler records the request,
          and that OTEL_SDK_DISABLED is not set.
        </p>
      )}
    </section>
  );
}

function Pages({ list, params }: { list: TraceList; params: URLSearchParams }) {
  const paged = params.has("cursor");
  const here = listHref(params);
  const first = new URLSearchParams(params);
  first.delete("cursor");
  const older = new URLSearchParams(params);
  if (list.cursor) older.set("cursor", list.cursor);
  if (!paged && !list.cursor) return null;
  return (
    <nav class="pages" aria-label="Pages">
      {paged && <a href={listHref(first)}>« Newest</a>}
      {paged && newerHref() && <a href={newerHref()}>‹ Newer</a>}
      {list.cursor && (
        <a href={listHref(older)} data-newer={here} rel="next">
          Older ›
        </a>
      )}
      <span class="push" />
      <a class="dim" href={withFormat(here, "json")}>
        JSON
      </a>
    </nav>
  );
}
