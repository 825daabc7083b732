import { Failure } from "./api";
import { localTime } from "./format";
import { offline } from "./offline";
import { listHref } from "./route";

interface Props {
  failure: Failure | undefined;
  onRetry: () => void;
}

/** ErrorView says what went wrong, why as far as it is known, and what to do next. */
export function ErrorView({ failure, onRetry }: Props) {
  const f = failure ?? new Failure(404, "There is nothing at this address");
  const passing = f.status === 0 || f.status === 429 || f.status >= 500;
  const evicted = evictionText(f.evicted);
  return (
    <section class="notice" role="alert">
      <h1>
        {f.status > 0 && <span class="status">{f.status}</span>} {f.message}
      </h1>
      {evicted && <p>{evicted}</p>}
      {f.hint && <p>{f.hint}</p>}
      <p class="actions">
        {passing && (
          <button type="button" onClick={onRetry}>
            Try again
          </button>
        )}
        {f.status !== 403 && !offline && <a href={listHref()}>All traces</a>}
      </p>
    </section>
  );
}

/** evictionText words what became of a trace that the store no longer holds. */
export function evictionText(evicted: unknown): string {
  if (typeof evicted === "string") return evicted;
  if (typeof evicted !== "object" || evicted === null) return "";
  const { when, why } = evicted as { when?: unknown; why?: unknown };
  if (typeof when !== "string") return typeof why === "string" ? why : "";
  return `The store removed it at ${localTime(when)}${typeof why === "string" && why ? ": " + why : ""}.`;
}

/** Stale says above data that could not be refreshed what happened. */
export function Stale({ failure, onRetry }: { failure: Failure; onRetry: () => void }) {
  return (
    <p class="stale" role="status">
      <span class="error-mark" aria-hidden="true">
        !
      </span>{" "}
      Not refreshed: {failure.message}. {failure.hint}{" "}
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </p>
  );
}
