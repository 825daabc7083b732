// Where a span waited: for what, how long, in which stack, and who let it go on.

import { stateStyle } from "./encoding";
import { count, duration, percent, shortFunc } from "./format";
import { traceHref } from "./route";
import { Swatch } from "./swatch";
import type { Frame, Wait } from "./types";

/** SHOWN is how many waits stand open. */
const SHOWN = 6;

export function Waits({ waits, trace, wall }: { waits: readonly Wait[]; trace: string; wall: number }) {
  const list = (some: readonly Wait[]) => some.map((w, i) => <One key={i} wait={w} trace={trace} wall={wall} open={i === 0 && some.length <= SHOWN} />);
  return (
    <section class="waits">
      <h3>Where it waited</h3>
      {list(waits.slice(0, SHOWN))}
      {waits.length > SHOWN && (
        <details>
          <summary>{waits.length - SHOWN} more places</summary>
          {list(waits.slice(SHOWN))}
        </details>
      )}
    </section>
  );
}

function One({ wait, trace, wall, open }: { wait: Wait; trace: string; wall: number; open: boolean }) {
  const style = stateStyle(wait.state);
  const place = own(wait.frames);
  return (
    <details class="wait" open={open}>
      <summary>
        <Swatch look={style.look} /> {style.title} <strong>{duration(wait.total_ns)}</strong>{" "}
        <span class="dim">
          {percent(wait.total_ns, wall)}
          {wait.count > 1 && `, ${count(wait.count, "time")}`}
        </span>
        {place && <span class="mono place"> {shortFunc(place.func)}</span>}
      </summary>
      <Frames frames={wait.frames} />
      {(wait.waker.length > 0 || wait.waker_span) && (
        <p>
          Let go by {wait.waker.length > 0 && <span class="mono">{shortFunc(own(wait.waker)?.func ?? wait.waker[0]!.func)}</span>}
          {wait.waker_span && (
            <>
              {" "}
              in span{" "}
              <a class="mono" href={traceHref(trace, wait.waker_span)}>
                {wait.waker_span}
              </a>
            </>
          )}
        </p>
      )}
      {wait.waker.length > 1 && <Frames frames={wait.waker} />}
    </details>
  );
}

/** Frames lists a stack from the caller to the callee. */
function Frames({ frames }: { frames: readonly Frame[] }) {
  if (frames.length === 0) return <p class="dim">The execution trace has no stack of it.</p>;
  return (
    <ol class="frames">
      {[...frames].reverse().map((f, i) => (
        <li key={i} class="mono" title={f.file ? `${f.file}:${f.line ?? 0}` : undefined}>
          <bdi>{shortFunc(f.func)}</bdi>
          {f.file && (
            <span class="dim">
              {" "}
              <bdi>{f.file.slice(f.file.lastIndexOf("/") + 1)}</bdi>:{f.line}
            </span>
          )}
        </li>
      ))}
    </ol>
  );
}

/** own gives the innermost frame of the program's own: packages of the standard library have no dot in their first element. */
function own(frames: readonly Frame[]): Frame | undefined {
  return frames.find((f) => /^main\./.test(f.func) || (/^[^/]*\.[^/]*\//.test(f.func) && !f.func.startsWith("go.opentelemetry.io/"))) ?? frames[0];
}
