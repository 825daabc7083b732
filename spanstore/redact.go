package spanstore

import (
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Field names a value that Options.Redact is asked about.
type Field struct {
	Of  FieldOf
	Key attribute.Key // empty for names and texts
}

// FieldOf is the place a value stands in.
type FieldOf int

// The places that Options.Redact is asked about.
const (
	SpanAttribute FieldOf = iota
	EventAttribute
	LinkAttribute
	ResourceAttribute
	ScopeAttribute
	SpanName
	EventName
	StatusText
)

// redactor applies Options.Redact to spans before they reach the columns, and
// before any lock is taken: it runs the program's code.
type redactor struct {
	s *Store

	mu        sync.Mutex // guards resources
	resources map[*resource.Resource]*resource.Resource
}

// maxResources bounds the resources whose redacted form is remembered; a
// process has a few.
const maxResources = 256

// spans returns the spans as they may be stored. Those that were redacted before,
// and then found no room, are left alone: a hash is not hashed again.
func (r *redactor) spans(in []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	out := make([]sdktrace.ReadOnlySpan, 0, len(in))
	for _, s := range in {
		if s == nil {
			continue
		}
		if c, ok := s.(*redactedSpan); ok {
			out = append(out, c)
			continue
		}
		if c, ok := r.span(s); ok {
			out = append(out, c)
		} else {
			r.s.counts.droppedBroken.Add(1)
		}
	}
	return out
}

// redactedSpan is a span with its texts and attributes replaced.
type redactedSpan struct {
	sdktrace.ReadOnlySpan
	name   string
	kvs    []attribute.KeyValue
	events []sdktrace.Event
	links  []sdktrace.Link
	status sdktrace.Status
	res    *resource.Resource
	scope  instrumentation.Scope
}

func (s *redactedSpan) Name() string                                { return s.name }
func (s *redactedSpan) Attributes() []attribute.KeyValue            { return s.kvs }
func (s *redactedSpan) Events() []sdktrace.Event                    { return s.events }
func (s *redactedSpan) Links() []sdktrace.Link                      { return s.links }
func (s *redactedSpan) Status() sdktrace.Status                     { return s.status }
func (s *redactedSpan) Resource() *resource.Resource                { return s.res }
func (s *redactedSpan) InstrumentationScope() instrumentation.Scope { return s.scope }

// span fails when a method of s panics.
func (r *redactor) span(s sdktrace.ReadOnlySpan) (c *redactedSpan, ok bool) {
	defer func() {
		if !ok {
			_ = recover()
		}
	}()
	c = &redactedSpan{ReadOnlySpan: s, name: r.text(SpanName, s.Name()), kvs: r.attributes(SpanAttribute, s.Attributes()), status: s.Status()}
	c.status.Description = r.text(StatusText, c.status.Description)
	for _, e := range s.Events() {
		e.Name, e.Attributes = r.text(EventName, e.Name), r.attributes(EventAttribute, e.Attributes)
		c.events = append(c.events, e)
	}
	for _, l := range s.Links() {
		l.Attributes = r.attributes(LinkAttribute, l.Attributes)
		c.links = append(c.links, l)
	}
	c.res = r.resource(s.Resource())
	c.scope = s.InstrumentationScope()
	c.scope.Attributes = attribute.NewSet(r.attributes(ScopeAttribute, c.scope.Attributes.ToSlice())...)
	return c, true
}

func (r *redactor) resource(res *resource.Resource) *resource.Resource {
	if res == nil {
		return nil
	}
	r.mu.Lock()
	c, ok := r.resources[res]
	r.mu.Unlock()
	if ok {
		return c
	}
	c = resource.NewWithAttributes(res.SchemaURL(), r.attributes(ResourceAttribute, res.Attributes())...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.resources) >= maxResources {
		clear(r.resources)
	}
	r.resources[res] = c
	return c
}

func (r *redactor) attributes(of FieldOf, in []attribute.KeyValue) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(in))
	for _, kv := range in {
		if v, keep := r.value(Field{of, kv.Key}, kv.Value); keep {
			out = append(out, attribute.KeyValue{Key: kv.Key, Value: v})
		}
	}
	return out
}

func (r *redactor) text(of FieldOf, s string) string {
	if s == "" {
		return ""
	}
	v, keep := r.value(Field{Of: of}, attribute.StringValue(s))
	if !keep {
		return ""
	}
	return v.AsString()
}

// value asks Options.Redact, and survives its panic without storing the value.
func (r *redactor) value(f Field, v attribute.Value) (out attribute.Value, keep bool) {
	done := false
	defer func() {
		if done {
			return
		}
		p := recover()
		r.s.counts.redactFailed.Add(1)
		r.s.report("redact", fmt.Errorf("Options.Redact panicked: %v", p))
		out, keep = attribute.StringValue("(redaction failed)"), true
	}()
	out, keep = r.s.opts.Redact(f, v)
	done = true
	return out, keep
}
