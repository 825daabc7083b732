// What views that load their data have in common.

import type { Loaded } from "./api";
import { ErrorView, Stale } from "./error";
import { withFormat } from "./route";

/** Again ends a view's status line: its data for programs, and a button that asks anew. */
export function Again({ href, from }: { href: string; from: Loaded<unknown> }) {
  return (
    <>
      <span class="push" />
      <a class="dim" href={withFormat(href, "json")}>
        JSON
      </a>
      <button type="button" onClick={from.reload} aria-busy={from.loading}>
        Refresh
      </button>
    </>
  );
}

/** Outcome says that data is on its way, did not come, or is old. */
export function Outcome({ of, waiting }: { of: Loaded<unknown>; waiting: string }) {
  if (of.failure) {
    return of.data ? <Stale failure={of.failure} onRetry={of.reload} /> : <ErrorView failure={of.failure} onRetry={of.reload} />;
  }
  return of.data ? null : <p class="loading">{waiting}</p>;
}
