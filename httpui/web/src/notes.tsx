// What the analysis found, and what it could not know.

import { traceHref } from "./route";
import type { Finding } from "./types";

export function Findings({ findings, trace }: { findings: Finding[]; trace: string }) {
  if (findings.length === 0) return null;
  return (
    <section class="findings" aria-label="Findings">
      <ol>
        {findings.map((f, i) => (
          <li key={i}>
            {f.text}{" "}
            {(f.span_ids ?? []).slice(0, 3).map((id, n) => (
              <a key={id} href={traceHref(trace, id)}>
                {n === 0 ? "show" : n + 1}
              </a>
            ))}
          </li>
        ))}
      </ol>
    </section>
  );
}

/** SHOWN is how many problems stand open; a broken trace may have thousands. */
const SHOWN = 4;

export function Problems({ problems }: { problems: string[] }) {
  if (problems.length === 0) return null;
  const list = (some: string[]) => some.map((p, i) => <li key={i}>{p}</li>);
  return (
    <section class="problems" aria-label="What is missing or odd">
      <ul>{list(problems.slice(0, SHOWN))}</ul>
      {problems.length > SHOWN && (
        <details>
          <summary>{problems.length - SHOWN} more</summary>
          <ul>{list(problems.slice(SHOWN, 200))}</ul>
        </details>
      )}
    </section>
  );
}
