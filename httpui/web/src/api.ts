// Asking the handler: every view loads its data from its own URL.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Failure } from "./failure";
import { answer, offline } from "./offline";
import { withFormat } from "./route";
import type { Problem } from "./types";

export { Failure };

/** get fetches a view's data; it throws a Failure, or what the signal says. */
export async function get<T>(href: string, signal: AbortSignal): Promise<T> {
  if (offline) return (await answer(href)) as T;
  let response: Response;
  try {
    response = await fetch(withFormat(href, "json"), {
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      signal,
    });
  } catch (err) {
    if (signal.aborted) throw err;
    throw new Failure(0, "No answer from the service", "It may have stopped or be restarting.");
  }
  if (response.ok) {
    try {
      return (await response.json()) as T;
    } catch (err) {
      if (signal.aborted) throw err;
      throw new Failure(response.status, "The answer could not be read", "Something between this page and the service may have changed it.");
    }
  }
  throw await failureOf(response);
}

async function failureOf(response: Response): Promise<Failure> {
  let problem: Partial<Problem> = {};
  try {
    problem = (await response.json()) as Partial<Problem>;
  } catch {
    // An answer by someone else than the handler: its status must do.
  }
  const error = problem.error || `${response.status} ${response.statusText}`.trim();
  return new Failure(response.status, error, problem.hint, problem.evicted, problem.column);
}

/** post asks the handler to do something; it throws a Failure when it does not. */
export async function post(href: string, headers: Record<string, string>): Promise<void> {
  let response: Response;
  try {
    response = await fetch(withFormat(href, "json"), { method: "POST", headers, credentials: "same-origin" });
  } catch {
    throw new Failure(0, "No answer from the service", "It may have stopped or be restarting.");
  }
  if (!response.ok) throw await failureOf(response);
}

/** lines calls each with every line of JSON of a stream, until that ends or is aborted. */
export async function lines<T>(href: string, signal: AbortSignal, each: (data: T) => void): Promise<void> {
  let response: Response;
  try {
    response = await fetch(withFormat(href, "json"), { credentials: "same-origin", signal });
  } catch (err) {
    if (signal.aborted) throw err;
    throw new Failure(0, "No answer from the service", "It may have stopped or be restarting.");
  }
  if (!response.ok || !response.body) throw await failureOf(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop()!;
    for (const part of parts) if (part) each(JSON.parse(part) as T);
  }
}

export interface Loaded<T> {
  data: T | undefined;
  failure: Failure | undefined;
  loading: boolean;
  /** When data arrived, milliseconds since 1970. */
  at: number;
  reload: () => void;
}

interface Answer {
  data: unknown;
  at: number;
}

/** Answers of the latest views, so that going back shows what was there. */
const recent = new Map<string, Answer>();
const RECENT = 8;

function keep(href: string, answer: Answer): void {
  recent.delete(href);
  recent.set(href, answer);
  if (recent.size > RECENT) recent.delete(recent.keys().next().value!);
}

/** Answers that were asked for before the view that wants them was loaded. */
const begun = new Map<string, Promise<unknown>>();

/** begin asks for what a view that is still being loaded will ask for. */
export function begin(href: string): void {
  if (recent.has(href) || begun.has(href)) return;
  const answer = get<unknown>(href, new AbortController().signal);
  answer.catch(() => {}); // who waits for it hears of it
  begun.set(href, answer);
}

/** taken is the answer that was begun, once. */
function taken(href: string): Promise<unknown> | undefined {
  const answer = begun.get(href);
  begun.delete(href);
  return answer;
}

/**
 * useData loads a view's data. While it is reloaded the former data stays. Decode
 * makes of an answer what is kept of it; it must stay the same function.
 */
export function useData<T>(href: string, decode?: (answer: unknown) => T): Loaded<T> {
  const [shown, setShown] = useState<{ href: string; answer?: Answer; failure?: Failure; loading: boolean }>(() => ({
    href,
    answer: recent.get(href),
    loading: true,
  }));
  const [turn, setTurn] = useState(0);
  const asked = useRef("");

  useEffect(() => {
    const known = recent.get(href);
    if (known && asked.current !== href) {
      // A view that was just seen is shown as it was; the reader may refresh it.
      asked.current = href;
      setShown({ href, answer: known, loading: false });
      return;
    }
    asked.current = href;
    const abort = new AbortController();
    setShown((s) => (s.href === href ? { ...s, loading: true } : { href, loading: true }));
    (taken(href) ?? get<unknown>(href, abort.signal)).then(
      (body) => {
        if (abort.signal.aborted) return;
        const data = decode ? decode(body) : body;
        const answer = { data, at: Date.now() };
        keep(href, answer);
        setShown({ href, answer, loading: false });
      },
      (err: unknown) => {
        if (abort.signal.aborted) return;
        const failure = err instanceof Failure ? err : new Failure(0, String(err));
        setShown((s) => ({ ...s, failure, loading: false }));
      },
    );
    return () => abort.abort();
  }, [href, turn]);

  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const current = shown.href === href ? shown : undefined;
  return {
    data: current?.answer?.data as T | undefined,
    failure: current?.failure,
    loading: current?.loading ?? true,
    at: current?.answer?.at ?? 0,
    reload,
  };
}
