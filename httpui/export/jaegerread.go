package export

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

// ReadJaeger reads the traces of a file that Jaeger's page has saved, its API has
// answered, or a writer of format Jaeger has written. It reads at most maxBytes,
// otlp.DefaultMaxBytes when that is zero. What was measured is not in such files but
// as tags.
func ReadJaeger(r io.Reader, maxBytes int64) ([]*spanstore.Trace, error) {
	maxBytes = cmp.Or(max(0, maxBytes), otlp.DefaultMaxBytes)
	limited := &io.LimitedReader{R: r, N: maxBytes + 1}
	var file struct {
		Data []jaegerTrace `json:"data"`
	}
	d := json.NewDecoder(limited)
	d.UseNumber() // integers beyond 2^53
	err := d.Decode(&file)
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("read Jaeger JSON: %w: it has more than %d bytes", otlp.ErrTooLarge, maxBytes)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, errors.New("read Jaeger JSON: the JSON ends too soon")
	case err != nil:
		return nil, fmt.Errorf("read Jaeger JSON: %w", err)
	}
	var out []*spanstore.Trace
	for i := range file.Data {
		t, err := file.Data[i].unpack()
		if err != nil {
			return nil, fmt.Errorf("read Jaeger JSON: data[%d].%w", i, err)
		}
		if len(t.Spans) > 0 {
			out = append(out, t)
		}
	}
	return out, nil
}

func (j *jaegerTrace) unpack() (*spanstore.Trace, error) {
	id, err := traceIDOf(j.TraceID)
	if err != nil {
		return nil, fmt.Errorf("traceID: %w", err)
	}
	resources := map[string]*resource.Resource{}
	for name, p := range j.Processes {
		kvs := []attribute.KeyValue{attribute.String("service.name", p.Service)}
		for _, t := range p.Tags {
			kvs = append(kvs, t.attribute())
		}
		resources[name] = resource.NewSchemaless(kvs...)
	}
	out := &spanstore.Trace{ID: id, Usage: map[trace.SpanID]spanstore.Usage{}}
	for i := range j.Spans {
		s, err := j.Spans[i].unpack(id)
		if err != nil {
			return nil, fmt.Errorf("spans[%d].%w", i, err)
		}
		s.Resource = resources[j.Spans[i].ProcessID]
		out.Spans = append(out.Spans, s)
	}
	otlp.RemoteParents(out)
	slices.SortStableFunc(out.Spans, func(x, y spanstore.Span) int {
		return cmp.Or(x.Start.Compare(y.Start), y.End.Compare(x.End))
	})
	return out, nil
}

func (j *jaegerSpan) unpack(id trace.TraceID) (s spanstore.Span, err error) {
	own, err := spanIDOf(j.SpanID)
	if err != nil {
		return s, fmt.Errorf("spanID: %w", err)
	}
	config := trace.SpanContextConfig{TraceID: id, SpanID: own, TraceFlags: trace.TraceFlags(j.Flags)}
	s.Name, s.Kind = j.Operation, trace.SpanKindInternal
	s.Start = time.UnixMicro(j.Start).UTC()
	s.End = s.Start.Add(time.Duration(max(0, j.Duration)) * time.Microsecond)
	for _, t := range j.Tags {
		if !t.setField(&s, &config) {
			s.Attributes = append(s.Attributes, t.attribute())
		}
	}
	s.SpanContext = trace.NewSpanContext(config)
	for i, r := range j.References {
		if err := r.add(&s, id); err != nil {
			return s, fmt.Errorf("references[%d]: %w", i, err)
		}
	}
	for _, l := range j.Logs {
		e := sdktrace.Event{Name: "log", Time: time.UnixMicro(l.Time).UTC()}
		for _, t := range l.Fields {
			if t.Key == "event" {
				e.Name = fmt.Sprint(t.Value)
			} else {
				e.Attributes = append(e.Attributes, t.attribute())
			}
		}
		s.Events = append(s.Events, e)
	}
	return s, nil
}

// add makes the first span of the same trace the parent, and others links.
func (r *jaegerRef) add(s *spanstore.Span, id trace.TraceID) error {
	other, err := traceIDOf(r.TraceID)
	span, err2 := spanIDOf(r.SpanID)
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	ctx := trace.NewSpanContext(trace.SpanContextConfig{TraceID: other, SpanID: span, TraceFlags: s.SpanContext.TraceFlags()})
	if r.Type == childOf && other == id && s.Root() {
		s.Parent = ctx
	} else {
		s.Links = append(s.Links, sdktrace.Link{SpanContext: ctx})
	}
	return nil
}

// setField reads the tags that stand for fields of a span.
func (t *jaegerTag) setField(s *spanstore.Span, c *trace.SpanContextConfig) bool {
	text, isText := t.Value.(string)
	switch t.Key {
	case "span.kind":
		for k := trace.SpanKindInternal; k <= trace.SpanKindConsumer; k++ {
			if k.String() == text {
				s.Kind = k
				return true
			}
		}
		return false
	case "error":
		if set, ok := t.Value.(bool); ok && set || text == "true" {
			s.Status.Code = codes.Error
			return true
		}
		return false
	case "otel.status_code":
		switch text {
		case "OK":
			s.Status.Code = codes.Ok
		case "ERROR":
			s.Status.Code = codes.Error
		}
	case "otel.status_description":
		s.Status.Description = text
	case "otel.scope.name", "otel.library.name":
		s.Scope.Name = text
	case "otel.scope.version", "otel.library.version":
		s.Scope.Version = text
	case "w3c.tracestate":
		c.TraceState, _ = trace.ParseTraceState(text)
	default:
		return false
	}
	return isText
}

func (t *jaegerTag) attribute() attribute.KeyValue {
	kv := attribute.KeyValue{Key: attribute.Key(t.Key), Value: attribute.StringValue(fmt.Sprint(t.Value))}
	switch v := t.Value.(type) {
	case bool:
		kv.Value = attribute.BoolValue(v)
	case string:
		if b, err := base64.StdEncoding.DecodeString(v); t.Type == "binary" && err == nil {
			kv.Value = attribute.ByteSliceValue(b)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil && t.Type != "float64" {
			kv.Value = attribute.Int64Value(n)
		} else if f, err := v.Float64(); err == nil {
			kv.Value = attribute.Float64Value(f)
		}
	}
	return kv
}

// traceIDOf and spanIDOf read ids whose leading zeros may be missing.
func traceIDOf(text string) (trace.TraceID, error) {
	id, err := trace.TraceIDFromHex(padded(text, 32))
	if err != nil {
		return id, fmt.Errorf("%.40q is not up to 32 hex digits, not all zero", text)
	}
	return id, nil
}

func spanIDOf(text string) (trace.SpanID, error) {
	id, err := trace.SpanIDFromHex(padded(text, 16))
	if err != nil {
		return id, fmt.Errorf("%s is not up to 16 hex digits, not all zero", strconv.Quote(text[:min(len(text), 40)]))
	}
	return id, nil
}

func padded(text string, digits int) string {
	return strings.Repeat("0", max(0, digits-len(text))) + strings.ToLower(text)
}
