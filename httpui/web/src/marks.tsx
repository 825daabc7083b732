import { count, duration } from "./format";
import type { Row } from "./types";

/** APART is how near marks may stand to one another in pixels. */
const APART = 6;

/** Marks are a span's events, and its failure, above its bar. */
export function Marks({ row, x, width }: { row: Row; x: (ns: number) => number; width: number }) {
  const end = x(row.start_ns + row.wall_ns);
  return (
    <>
      {groups(row, x, width).map((g) => (
        <span key={g.at} class={`mark${g.failed ? " failed" : ""}`} style={{ left: `${g.at}px` }} title={g.title} />
      ))}
      {row.status === "error" && end <= width + 1 && (
        <span class="failed-end" style={{ left: `${Math.max(0, Math.min(end, width - 9))}px` }} title={row.status_text || "error"}>
          !
        </span>
      )}
    </>
  );
}

interface Group {
  at: number;
  failed: boolean;
  title: string;
}

/** groups joins events that would stand on one another. */
function groups(row: Row, x: (ns: number) => number, width: number): Group[] {
  const out: Group[] = [];
  let more = 0;
  for (const e of row.marks ?? []) {
    const at = x(e.at);
    if (at < 0 || at > width) continue;
    const failed = e.name === "exception";
    const last = out[out.length - 1];
    if (last && at - last.at < APART) {
      last.failed ||= failed;
      more++;
      last.title = last.title.replace(/ and \d+.more$/, "") + ` and ${count(more, "more", "more")}`;
      continue;
    }
    more = 0;
    out.push({ at, failed, title: `event ${e.name} at ${duration(e.at)}` });
  }
  return out;
}
