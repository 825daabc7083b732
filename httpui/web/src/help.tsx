// The keys, in a dialog that "?" opens anywhere.

import { useEffect, useRef } from "preact/hooks";
import { isTyping } from "./header";
import { KEYS, type Key } from "./keys";
import type { Route } from "./route";

const TITLES: Readonly<Record<string, string>> = {
  "": "Everywhere",
  list: "Traces",
  trace: "A trace",
  live: "Live",
  overview: "Overview",
  flame: "Flame",
};

/** Help is the button and the dialog; the keys of the view that is shown come first. */
export function Help({ view }: { view: Route["view"] }) {
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
  const views = Object.keys(TITLES).sort((a, b) => Number(b === view) - Number(a === view));
  return (
    <>
      <button type="button" class="keys-button" onClick={() => dialog.current?.showModal()} aria-label="Keyboard shortcuts" title="Keyboard shortcuts">
        ?
      </button>
      <dialog ref={dialog} class="keys" aria-labelledby="keys-title">
        <div class="keys-head">
          <h2 id="keys-title">Keyboard</h2>
          <button type="button" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </div>
        <div class="keys-groups">
          {views.map((v) => (
            <Group key={v} title={TITLES[v]!} keys={KEYS.filter((k) => k.view === v)} />
          ))}
        </div>
      </dialog>
    </>
  );
}

function Group({ title, keys }: { title: string; keys: readonly Key[] }) {
  if (keys.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {keys.map(({ key, what }) => (
          <div key={key}>
            <dt>
              {key.split(" ").map((k) => (
                <kbd key={k}>{k}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
