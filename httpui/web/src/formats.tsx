// The trace in other forms: to read, and as files for other tools.

import { offline } from "./offline";
import { downloadHref, traceHref, withFormat } from "./route";

const FILES: readonly (readonly [as: string, label: string, title: string])[] = [
  ["html", "HTML", "One file that opens in any browser, without a network"],
  ["otlp", "OTLP", "OTLP JSON with all that was measured; spanclock view opens it"],
  ["jaeger", "Jaeger", "For the upload of Jaeger's page"],
  ["perfetto", "Perfetto", "Trace events, for ui.perfetto.dev and chrome://tracing"],
  ["pprof", "pprof", "CPU time and waiting, for go tool pprof"],
];

export function Formats({ trace }: { trace: string }) {
  if (offline) return null;
  return (
    <p class="formats dim">
      <a href={withFormat(traceHref(trace), "json")}>JSON</a>
      <a href={withFormat(traceHref(trace), "text")}>Text</a>
      <span>Download:</span>
      {FILES.map(([as, label, title]) => (
        <a key={as} href={downloadHref(trace, as)} title={title} download="">
          {label}
        </a>
      ))}
    </p>
  );
}
