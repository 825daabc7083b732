// Views and their URLs. Every view is a URL below the mount; links are real
// links, which this page follows without loading itself anew.

import { useEffect, useState } from "preact/hooks";
import { here, offline } from "./offline";

/** mount is the URL of the handler's root, with its trailing slash. */
export const mount = new URL(document.documentElement.dataset["base"] || "./", location.href);
mount.search = mount.hash = "";

/** PageView is a view that is one page, named as in its address. */
export type PageView = "live" | "overview" | "graph" | "flame" | "health";

const PAGES: readonly string[] = ["live", "overview", "graph", "flame", "health"] satisfies PageView[];

export type Route =
  | { view: "list" | PageView; search: string }
  | { view: "trace"; id: string; span: string }
  | { view: "elsewhere"; path: string };

/** parse reads the route from a URL below the mount. */
export function parse(url: URL, root: URL = mount): Route {
  if (offline) return { view: "trace", id: offline, span: spanOf(url.hash) };
  const path = url.pathname.startsWith(root.pathname) ? url.pathname.slice(root.pathname.length) : "";
  const trace = /^trace\/([0-9a-f]{32})\/?$/i.exec(path);
  if (trace) return { view: "trace", id: trace[1]!.toLowerCase(), span: spanOf(url.hash) };
  const span = /^span\/([0-9a-f]{32})\/([0-9a-f]{16})\/?$/i.exec(path);
  if (span) return { view: "trace", id: span[1]!.toLowerCase(), span: span[2]!.toLowerCase() };
  if (path === "") return { view: "list", search: url.search };
  const page = path.replace(/\/$/, "");
  if (PAGES.includes(page)) return { view: page as PageView, search: url.search };
  return { view: "elsewhere", path: url.pathname + url.search };
}

function spanOf(hash: string): string {
  const span = new URLSearchParams(hash.slice(1)).get("span") ?? "";
  return /^[0-9a-f]{16}$/i.test(span) ? span.toLowerCase() : "";
}

export function listHref(params?: URLSearchParams): string {
  const query = params?.toString();
  return mount.pathname + (query ? "?" + query : "");
}

export function pageHref(view: PageView, params?: URLSearchParams): string {
  const query = params?.toString();
  return mount.pathname + view + (query ? "?" + query : "");
}

/** traceHref is empty for a trace that cannot be reached: a file holds one alone. */
export function traceHref(id: string, span = ""): string {
  if (offline && id !== offline) return "";
  return `${offline ? here() : mount.pathname + "trace/" + id}${span ? "#span=" + span : ""}`;
}

/** downloadHref is the trace as a file. */
export function downloadHref(id: string, as: string): string {
  return `${mount.pathname}trace/${id}/download?as=${as}`;
}

export function spanHref(trace: string, span: string): string {
  return `${mount.pathname}span/${trace}/${span}`;
}

/** withFormat gives the same URL in another representation. */
export function withFormat(href: string, format: "json" | "text"): string {
  const url = new URL(href, location.href);
  url.searchParams.set("format", format);
  url.hash = "";
  return url.pathname + url.search;
}

/** State is what this page keeps with an entry of the browser's history. */
interface State {
  /** How far the page was scrolled when it was left. */
  scroll?: number;
  /** Where the link to newer traces leads. */
  newer?: string;
}

const state = (): State => (history.state as State | null) ?? {};

/** newerHref is the list page from which this one was reached, if it was. */
export function newerHref(): string {
  return state().newer ?? "";
}

const listeners = new Set<() => void>();
const changed = () => listeners.forEach((f) => f());

/** go opens a view as a new entry of the history. */
export function go(href: string, next: State = {}): void {
  const from = location.pathname + location.search;
  rememberScroll();
  history.pushState(next, "", href);
  if (location.pathname + location.search !== from) {
    scrollTo(0, 0);
    // The link that was followed goes away: the keyboard goes on in the new view.
    document.getElementById("main")?.focus({ preventScroll: true });
  }
  changed();
}

/** replace changes the current entry's URL, as moving a selection does. */
export function replace(href: string): void {
  history.replaceState(state(), "", href);
  changed();
}

function rememberScroll(): void {
  history.replaceState({ ...state(), scroll: scrollY }, "");
}

/** savedScroll is how far the current entry was scrolled when it was left. */
export function savedScroll(): number {
  return state().scroll ?? 0;
}

/** follow opens a link of this page within it, unless the reader wants another tab or a download. */
export function follow(e: MouseEvent): void {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  const a = (e.target as Element | null)?.closest?.("a");
  if (!a || a.target || a.hasAttribute("download")) return;
  const url = new URL(a.href, location.href);
  if (url.origin !== mount.origin || !url.pathname.startsWith(mount.pathname)) return;
  if (url.searchParams.has("format") || parse(url).view === "elsewhere") return;
  e.preventDefault();
  go(url.pathname + url.search + url.hash, a.dataset["newer"] ? { newer: a.dataset["newer"] } : {});
}

/** useRoute gives the route that the address bar shows. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(new URL(location.href)));
  useEffect(() => {
    const update = () => setRoute(parse(new URL(location.href)));
    history.scrollRestoration = "manual";
    listeners.add(update);
    addEventListener("popstate", update);
    addEventListener("pagehide", rememberScroll);
    document.addEventListener("click", follow);
    return () => {
      listeners.delete(update);
      removeEventListener("popstate", update);
      removeEventListener("pagehide", rememberScroll);
      document.removeEventListener("click", follow);
    };
  }, []);
  return route;
}
