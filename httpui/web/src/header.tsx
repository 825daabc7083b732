import { useEffect, useReducer, useState } from "preact/hooks";
import { showUTC, zone } from "./format";
import { Help } from "./help";
import { recall, remember } from "./memory";
import { offline } from "./offline";
import { go, listHref, mount, pageHref, type Route } from "./route";
import { chooseTheme, nextTheme, savedTheme } from "./theme";

/** VIEWS are what the header leads to; the letter after "g" on the keyboard, too. */
const VIEWS: readonly (readonly [view: Route["view"], title: string, key: string, href: () => string])[] = [
  ["list", "Traces", "t", () => listHref()],
  ["live", "Live", "l", () => pageHref("live")],
  ["overview", "Overview", "o", () => pageHref("overview")],
  ["flame", "Flame", "f", () => pageHref("flame")],
  ["health", "Health", "h", () => pageHref("health")],
];

export function Header({ view }: { view: Route["view"] }) {
  useViewKeys();
  return (
    <header class="top">
      {offline ? <Saved /> : <Places view={view} />}
      <span class="push" />
      <Help view={view} />
      <ZoneButton />
      <ThemeButton />
    </header>
  );
}

function Places({ view }: { view: Route["view"] }) {
  const current = (v: Route["view"]) => {
    if (v === view) return "page";
    return (v === "list" && view === "trace") || (v === "overview" && view === "graph") ? "true" : undefined;
  };
  return (
    <>
      <a class="brand" href={listHref()}>
        {mount.pathname.replace(/\/$/, "") || mount.host}
      </a>
      <nav aria-label="Views">
        {VIEWS.map(([v, title, , href]) => (
          <a key={v} href={href()} aria-current={current(v)}>
            {title}
          </a>
        ))}
      </nav>
    </>
  );
}

/** Saved stands where a served page has its views. */
function Saved() {
  return (
    <>
      <span class="brand">spanclock</span>
      <span class="dim">a trace in a file</span>
    </>
  );
}

/** NEXT_KEY is how long after "g" the view's letter may come, milliseconds. */
const NEXT_KEY = 1500;

/** useViewKeys goes to a view for "g" and its letter, before the view itself sees the letter. */
function useViewKeys(): void {
  useEffect(() => {
    if (offline) return;
    let since = -NEXT_KEY;
    const onKey = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || isTyping(e.target) || document.querySelector("dialog[open]")) return;
      const pending = e.timeStamp - since < NEXT_KEY;
      since = !pending && e.key === "g" ? e.timeStamp : -NEXT_KEY;
      const target = pending && VIEWS.find(([, , key]) => key === e.key);
      if (!target) return;
      e.preventDefault();
      e.stopImmediatePropagation();
      go(target[3]());
    };
    document.addEventListener("keydown", onKey, true);
    return () => document.removeEventListener("keydown", onKey, true);
  }, []);
}

function ThemeButton() {
  const [theme, setTheme] = useState(savedTheme);
  const next = () => {
    const t = nextTheme(theme);
    chooseTheme(t);
    setTheme(t);
  };
  return (
    <button type="button" onClick={next} title="Light, dark, or as the system has it">
      Theme<span class="dim">: {theme || "auto"}</span>
    </button>
  );
}

showUTC(recall("zone") === "utc");

/** ZoneButton shows times in the reader's zone or in UTC. */
function ZoneButton() {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const next = () => {
    const utc = recall("zone") !== "utc";
    remember("zone", utc ? "utc" : "");
    showUTC(utc);
    redraw(0);
    dispatchEvent(new PopStateEvent("popstate")); // the view draws its times anew
  };
  return (
    <button type="button" class="zone" onClick={next} title="Times in your zone, or in UTC">
      {zone()}
    </button>
  );
}

/** isTyping tells whether a key belongs to the field in which it was pressed. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
}
