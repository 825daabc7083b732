import { useEffect, useRef, useState } from "preact/hooks";
import { offline } from "./offline";
import { listHref, mount, type Route } from "./route";
import { chooseTheme, nextTheme, savedTheme } from "./theme";

export function Header({ view }: { view: Route["view"] }) {
  return (
    <header class="top">
      {offline ? <Saved /> : <Places view={view} />}
      <span class="push" />
      <Keys />
      <ThemeButton />
    </header>
  );
}

function Places({ view }: { view: Route["view"] }) {
  return (
    <>
      <a class="brand" href={listHref()}>
        {mount.pathname.replace(/\/$/, "") || mount.host}
      </a>
      <nav aria-label="Views">
        <a href={listHref()} aria-current={view === "list" ? "page" : view === "trace" ? "true" : undefined}>
          Traces
        </a>
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

const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ["↑ ↓", "previous, next span"],
  ["← →", "collapse, expand; then to the parent, to the first child"],
  ["Home End", "first, last span"],
  ["Page Up Page Down", "a page of spans up, down"],
  ["Enter", "into the details of the selected span"],
  ["Esc", "close the details"],
  ["/", "to the filter of the list"],
  ["?", "these keys"],
];

/** Keys is the button and the dialog that explain the keyboard; "?" opens it anywhere. */
function Keys() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== "?" || e.ctrlKey || e.metaKey || e.altKey || isTyping(e.target)) return;
      e.preventDefault();
      if (dialog.current && !dialog.current.open) dialog.current.showModal();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return (
    <>
      <button type="button" class="keys-button" onClick={() => dialog.current?.showModal()} aria-label="Keyboard shortcuts" title="Keyboard shortcuts">
        ?
      </button>
      <dialog ref={dialog} class="keys" aria-labelledby="keys-title">
        <h2 id="keys-title">Keyboard</h2>
        <dl>
          {KEYS.map(([keys, what]) => (
            <div key={keys}>
              <dt>
                {keys.split(/(?<!Page) /).map((k) => (
                  <kbd key={k}>{k}</kbd>
                ))}
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </dialog>
    </>
  );
}

/** isTyping tells whether a key belongs to the field in which it was pressed. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
}
