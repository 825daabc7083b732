package export

import (
	"encoding/base64"
	"io"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// The JSON that Jaeger's page uploads, and its API answers with.
type (
	jaegerTrace struct {
		TraceID   string                   `json:"traceID"`
		Spans     []jaegerSpan             `json:"spans"`
		Processes map[string]jaegerProcess `json:"processes"`
		Warnings  []string                 `json:"warnings"`
	}

	jaegerSpan struct {
		TraceID    string      `json:"traceID"`
		SpanID     string      `json:"spanID"`
		Flags      uint32      `json:"flags"`
		Operation  string      `json:"operationName"`
		References []jaegerRef `json:"references"`
		Start      int64       `json:"startTime"` // microseconds since 1970
		Duration   int64       `json:"duration"`  // microseconds
		Tags       []jaegerTag `json:"tags"`
		Logs       []jaegerLog `json:"logs"`
		ProcessID  string      `json:"processID"`
		Warnings   []string    `json:"warnings"`
	}

	jaegerRef struct {
		Type    string `json:"refType"`
		TraceID string `json:"traceID"`
		SpanID  string `json:"spanID"`
	}

	jaegerTag struct {
		Key   string `json:"key"`
		Type  string `json:"type"`
		Value any    `json:"value"`
	}

	jaegerLog struct {
		Time   int64       `json:"timestamp"` // microseconds since 1970
		Fields []jaegerTag `json:"fields"`
	}

	jaegerProcess struct {
		Service string      `json:"serviceName"`
		Tags    []jaegerTag `json:"tags"`
	}
)

// What Jaeger calls the relations between spans.
const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"
)

type jaegerWriter struct{ list listWriter }

func newJaegerWriter(w io.Writer) *jaegerWriter {
	return &jaegerWriter{listWriter{w: w, before: `{"data":[`, after: `],"total":0,"limit":0,"offset":0,"errors":null}` + "\n"}}
}

func (j *jaegerWriter) Add(t *spanstore.Trace) error { return j.list.add(newJaegerTrace(t)) }
func (j *jaegerWriter) Close() error                 { return j.list.close() }

func newJaegerTrace(t *spanstore.Trace) jaegerTrace {
	a := stall.Analyze(t)
	out := jaegerTrace{
		TraceID: t.ID.String(), Spans: []jaegerSpan{}, Processes: map[string]jaegerProcess{}, Warnings: a.Problems,
	}
	ids := map[attribute.Distinct]string{}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		out.Spans = append(out.Spans, newJaegerSpan(n, processOf(n.Span.Resource, ids, out.Processes)))
	}
	return out
}

// processOf returns the name under which a trace's spans refer to a resource.
func processOf(res *resource.Resource, ids map[attribute.Distinct]string, all map[string]jaegerProcess) string {
	id, ok := ids[res.Equivalent()]
	if ok {
		return id
	}
	id = "p" + strconv.Itoa(len(ids)+1)
	p := jaegerProcess{Tags: []jaegerTag{}}
	for _, kv := range res.Attributes() {
		if kv.Key == "service.name" {
			p.Service = kv.Value.String()
		} else {
			p.Tags = append(p.Tags, tagOf(kv))
		}
	}
	ids[res.Equivalent()], all[id] = id, p
	return id
}

func newJaegerSpan(n *stall.Node, process string) jaegerSpan {
	s := n.Span
	out := jaegerSpan{
		TraceID: s.TraceID().String(), SpanID: s.SpanID().String(), Flags: uint32(s.SpanContext.TraceFlags()),
		Operation: s.Name, References: []jaegerRef{}, Start: micros(s.Start), Duration: s.Duration().Microseconds(),
		Tags: []jaegerTag{}, Logs: []jaegerLog{}, ProcessID: process,
	}
	if !s.Root() {
		out.References = append(out.References, jaegerRef{childOf, out.TraceID, s.Parent.SpanID().String()})
	}
	for _, l := range s.Links {
		out.References = append(out.References, jaegerRef{followsFrom, l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String()})
	}
	for _, kv := range s.Attributes {
		out.Tags = append(out.Tags, tagOf(kv))
	}
	out.Tags = append(out.Tags, tagsOfSpan(s)...)
	out.Tags = append(out.Tags, tagsMeasured(n)...)
	for _, e := range s.Events {
		log := jaegerLog{micros(e.Time), []jaegerTag{{"event", "string", e.Name}}}
		for _, kv := range e.Attributes {
			log.Fields = append(log.Fields, tagOf(kv))
		}
		out.Logs = append(out.Logs, log)
	}
	return out
}

// tagsOfSpan are what Jaeger has no fields for, under the names of
// OpenTelemetry's mapping.
func tagsOfSpan(s *spanstore.Span) (tags []jaegerTag) {
	text := func(key, value string) {
		if value != "" {
			tags = append(tags, jaegerTag{key, "string", value})
		}
	}
	if s.Kind != trace.SpanKindUnspecified {
		text("span.kind", s.Kind.String())
	}
	text("otel.scope.name", s.Scope.Name)
	text("otel.scope.version", s.Scope.Version)
	text("w3c.tracestate", s.SpanContext.TraceState().String())
	switch s.Status.Code {
	case codes.Ok:
		text("otel.status_code", "OK")
	case codes.Error:
		tags = append(tags, jaegerTag{"error", "bool", true})
		text("otel.status_code", "ERROR")
	}
	text("otel.status_description", s.Status.Description)
	return tags
}

// tagsMeasured are the CPU time and the states of a span.
func tagsMeasured(n *stall.Node) (tags []jaegerTag) {
	if n.CPU.Evidence == stall.None {
		return nil
	}
	tags = append(tags, milliseconds("spanclock.cpu_ms", n.CPU.Value), jaegerTag{"spanclock.cpu_evidence", "string", string(n.CPU.Evidence)})
	for _, s := range n.States {
		tags = append(tags, milliseconds("spanclock.state."+string(s.State)+"_ms", s.Time))
	}
	return tags
}

func milliseconds(key string, d time.Duration) jaegerTag {
	return jaegerTag{key, "float64", float64(d) / float64(time.Millisecond)}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// tagOf gives an attribute in the types that Jaeger has.
func tagOf(kv attribute.KeyValue) jaegerTag {
	key, v := string(kv.Key), kv.Value
	switch v.Type() {
	case attribute.BOOL:
		return jaegerTag{key, "bool", v.AsBool()}
	case attribute.INT64:
		if n := v.AsInt64(); n >= -1<<53 && n <= 1<<53 {
			return jaegerTag{key, "int64", n}
		}
	case attribute.FLOAT64:
		if f := v.AsFloat64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return jaegerTag{key, "float64", f}
		}
	case attribute.BYTESLICE:
		return jaegerTag{key, "binary", base64.StdEncoding.EncodeToString(v.AsByteSlice())}
	}
	return jaegerTag{key, "string", v.String()}
}
