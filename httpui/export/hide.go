package export

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Hidden stands for a value that may not be seen.
const Hidden = "(hidden)"

// Hide returns a copy of a trace without the values of attributes (of spans, events,
// links, scopes and, but for service.name, resources), status texts and trace
// states. Names, times and figures stay.
func Hide(t *spanstore.Trace) *spanstore.Trace {
	out := *t
	out.Spans = slices.Clone(t.Spans)
	resources := map[*resource.Resource]*resource.Resource{nil: nil}
	for i := range out.Spans {
		s := &out.Spans[i]
		s.Attributes = hideAttributes(s.Attributes)
		s.Events = slices.Clone(s.Events)
		for k := range s.Events {
			s.Events[k].Attributes = hideAttributes(s.Events[k].Attributes)
		}
		s.Links = slices.Clone(s.Links)
		for k := range s.Links {
			s.Links[k] = sdktrace.Link{
				SpanContext: hideState(s.Links[k].SpanContext), Attributes: hideAttributes(s.Links[k].Attributes),
				DroppedAttributeCount: s.Links[k].DroppedAttributeCount,
			}
		}
		s.SpanContext, s.Parent = hideState(s.SpanContext), hideState(s.Parent)
		if s.Status.Description != "" {
			s.Status.Description = Hidden
		}
		s.Scope.Attributes = attribute.NewSet(hideAttributes(s.Scope.Attributes.ToSlice())...)
		if _, ok := resources[s.Resource]; !ok {
			resources[s.Resource] = resource.NewWithAttributes(s.Resource.SchemaURL(), hideAttributes(s.Resource.Attributes(), "service.name")...)
		}
		s.Resource = resources[s.Resource]
	}
	return &out
}

func hideAttributes(kvs []attribute.KeyValue, but ...attribute.Key) []attribute.KeyValue {
	out := slices.Clone(kvs)
	for i := range out {
		if !slices.Contains(but, out[i].Key) {
			out[i].Value = attribute.StringValue(Hidden)
		}
	}
	return out
}

func hideState(c trace.SpanContext) trace.SpanContext {
	return c.WithTraceState(trace.TraceState{})
}
