package spanstore

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Span is one finished span, whole: everything that the SDK's ReadOnlySpan
// carried when it ended. A Span returned by a Store shares nothing with it and
// may be kept and changed.
type Span struct {
	// SpanContext holds the span's own ids, flags and trace state.
	SpanContext trace.SpanContext

	// Parent is the parent's span context; its span id is invalid for a root.
	// Parent.IsRemote says that the parent lives in another process, or was
	// reached over the network in this one.
	Parent trace.SpanContext

	Name string
	Kind trace.SpanKind

	// Start and End are wall-clock times to the nanosecond, in UTC. The zero
	// time.Time stays zero.
	Start, End time.Time

	Attributes []attribute.KeyValue
	Events     []sdktrace.Event
	Links      []sdktrace.Link
	Status     sdktrace.Status

	// What the SDK's span limits dropped before the span reached the store.
	DroppedAttributes, DroppedEvents, DroppedLinks int

	// ChildSpanCount is the number of direct children the SDK counted.
	ChildSpanCount int

	// Resource and Scope are shared between the spans of one result: read
	// only. Resource is nil when the span had none.
	Resource *resource.Resource
	Scope    instrumentation.Scope
}

// TraceID returns the id of the trace that s belongs to.
func (s *Span) TraceID() trace.TraceID { return s.SpanContext.TraceID() }

// SpanID returns the id of s.
func (s *Span) SpanID() trace.SpanID { return s.SpanContext.SpanID() }

// Duration returns the wall time of s, and 0 when End is before Start.
func (s *Span) Duration() time.Duration { return max(0, s.End.Sub(s.Start)) }

// Root reports whether s has no parent at all.
func (s *Span) Root() bool { return !s.Parent.SpanID().IsValid() }

// LocalRoot reports whether s is the entry span of its service: it has no
// parent, or one that is remote.
func (s *Span) LocalRoot() bool { return s.Root() || s.Parent.IsRemote() }

// Service returns the resource's service.name, and "" when there is none, or one
// that is no string.
func (s *Span) Service() string { return serviceName(s.Resource) }

func serviceName(r *resource.Resource) string {
	if r == nil {
		return ""
	}
	v, _ := r.Set().Value("service.name")
	if v.Type() != attribute.STRING {
		return "" // AsString would make one of bytes
	}
	return v.AsString()
}

// Attribute returns the value of the span attribute named key.
func (s *Span) Attribute(key attribute.Key) (attribute.Value, bool) {
	for _, kv := range s.Attributes {
		if kv.Key == key {
			return kv.Value, true
		}
	}
	return attribute.Value{}, false
}
