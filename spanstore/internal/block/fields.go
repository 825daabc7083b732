package block

import (
	"reflect"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// fields are what a finished span consists of, laid out as the SDK's own
// snapshot of one is.
type fields struct {
	name                  string
	spanContext           trace.SpanContext
	parent                trace.SpanContext
	spanKind              trace.SpanKind
	startTime             time.Time
	endTime               time.Time
	attributes            []attribute.KeyValue
	events                []sdktrace.Event
	links                 []sdktrace.Link
	status                sdktrace.Status
	childSpanCount        int
	droppedAttributeCount int
	droppedEventCount     int
	droppedLinkCount      int
	resource              *resource.Resource
	instrumentationScope  instrumentation.Scope
}

// fieldReader gets at the fields of spans. The zero value is ready.
//
// The SDK's snapshot has value receivers but is handed over by pointer, so each
// of its methods copies all 400 bytes of it to return one field: asking for
// sixteen fields is half of what adding a span costs. Where reflection shows the
// type to be what fields mirrors, name by name, type by type and offset by
// offset, they are read in place. Any other type, and that of an SDK which has
// changed it, is asked through its methods.
type fieldReader struct {
	mirror reflect.Type // the type that was found to be laid out so
	other  reflect.Type // one that was not
	asked  fields
	warmed int // keeps what warm reads from being optimized away
}

// read returns the fields of s, which must not be changed, until the next call.
func (r *fieldReader) read(s sdktrace.ReadOnlySpan) *fields {
	if r.mirrors(s) {
		return (*fields)(reflect.ValueOf(s).UnsafePointer())
	}
	r.asked.ask(s)
	return &r.asked
}

// mirrors reports whether s points to fields.
func (r *fieldReader) mirrors(s sdktrace.ReadOnlySpan) bool {
	t := reflect.TypeOf(s)
	switch {
	case t == nil:
		return false
	case t == r.mirror:
		return true
	case t == r.other:
		return false
	case isMirror(t):
		r.mirror = t
		return true
	}
	r.other = t
	return false
}

// warm reads one word of each cache line of spans that are about to be added. Spans have
// mostly left the processor's cache by then. One by one each line is waited for;
// side by side, many at a time: adding spans that lie in memory takes a fifth
// less.
func (r *fieldReader) warm(spans []sdktrace.ReadOnlySpan) {
	var of [warmSpans]*fields
	n := 0
	for _, s := range spans[:min(len(spans), warmSpans)] {
		if !r.mirrors(s) {
			continue
		}
		if f := (*fields)(reflect.ValueOf(s).UnsafePointer()); f != nil {
			of[n] = f
			r.warmed += len(f.name) + len(f.attributes) + f.droppedLinkCount
			n++
		}
	}
	for _, f := range of[:n] {
		for i := range f.attributes {
			r.warmed += int(f.attributes[i].Value.Type())
		}
	}
}

// warmSpans is how many spans are warmed at a time: a tenth of an ordinary first
// level cache.
const warmSpans = 16

// reset lets go of the span read last.
func (r *fieldReader) reset() { r.asked = fields{} }

// isMirror reports whether t points to the SDK's snapshot, and that to what
// fields mirrors.
func isMirror(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return false
	}
	theirs, ours := t.Elem(), reflect.TypeFor[fields]()
	if theirs.PkgPath() != "go.opentelemetry.io/otel/sdk/trace" || theirs.Name() != "snapshot" ||
		theirs.NumField() != ours.NumField() || theirs.Size() != ours.Size() {
		return false
	}
	for i := range ours.NumField() {
		a, b := theirs.Field(i), ours.Field(i)
		if a.Name != b.Name || a.Type != b.Type || a.Offset != b.Offset {
			return false
		}
	}
	return true
}

func (f *fields) ask(s sdktrace.ReadOnlySpan) {
	*f = fields{
		name: s.Name(), spanContext: s.SpanContext(), parent: s.Parent(), spanKind: s.SpanKind(),
		startTime: s.StartTime(), endTime: s.EndTime(), attributes: s.Attributes(), events: s.Events(), links: s.Links(),
		status: s.Status(), childSpanCount: s.ChildSpanCount(), droppedAttributeCount: s.DroppedAttributes(),
		droppedEventCount: s.DroppedEvents(), droppedLinkCount: s.DroppedLinks(), resource: s.Resource(),
		instrumentationScope: s.InstrumentationScope(),
	}
}
