import { Attributes } from "./attributes";
import { count, duration, grouped } from "./format";
import { traceHref } from "./route";
import type { SpanDetail, Trace } from "./types";

/** Rest shows what only the whole span has: attributes, events, links, resource. */
export function Rest({ span, trace }: { span: SpanDetail; trace: Trace }) {
  const values = trace.values !== false;
  const attributes = span.attributes ?? [];
  const events = span.events ?? [];
  const links = span.links ?? [];
  const dropped = Object.entries(span.dropped ?? {}).filter(([, n]) => n > 0);
  return (
    <div class="rest columns">
      <div>
        {!values && <p class="dim">Attribute values are hidden from this reader.</p>}
        {attributes.length > 0 && (
          <section>
            <h3>Attributes</h3>
            <Attributes attributes={attributes} values={values} />
          </section>
        )}
        {dropped.length > 0 && (
          <p class="dim">Dropped by the SDK's limits: {dropped.map(([what, n]) => `${grouped(n)} ${what}`).join(", ")}.</p>
        )}
      </div>
      <div>
        {events.length > 0 && (
          <section>
            <h3>Events</h3>
            {events.map((e, i) => (
              <div class="event" key={i}>
                <p>
                  <span class="num">{duration(e.time_ns)}</span> <strong>{e.name}</strong>
                  {e.dropped ? <span class="dim"> {count(e.dropped, "attribute")} dropped</span> : null}
                </p>
                {e.attributes && e.attributes.length > 0 && <Attributes attributes={e.attributes} values={values} />}
              </div>
            ))}
          </section>
        )}
        {links.length > 0 && (
          <section>
            <h3>Links</h3>
            {links.map((l, i) => (
              <div class="event" key={i}>
                <p>
                  <a href={traceHref(l.trace_id, l.span_id) || undefined} class="mono">
                    {l.trace_id} {l.span_id}
                  </a>
                </p>
                {l.attributes && l.attributes.length > 0 && <Attributes attributes={l.attributes} values={values} />}
              </div>
            ))}
          </section>
        )}
        <section>
          <h3>Resource</h3>
          {span.scope?.name && (
            <p class="dim">
              Instrumentation scope <span class="mono">{span.scope.name}</span> <bdi>{span.scope.version}</bdi>
            </p>
          )}
          <Attributes attributes={span.resource ?? []} values={values} />
        </section>
      </div>
    </div>
  );
}
