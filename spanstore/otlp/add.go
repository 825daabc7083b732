package otlp

import (
	gocontext "context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Add puts traces with all that was measured into a store, in which they are
// readable when it returns. Windows and signals that several of the traces have are
// added once. A trace that was pinned is pinned; other reasons for keeping one, and
// problems, the store finds for itself.
func Add(ctx gocontext.Context, store *spanstore.Store, traces ...*spanstore.Trace) error {
	batch := spanstore.UsageBatch{}
	windows, stretches := map[spanstore.Window]bool{}, map[[2]time.Time]bool{}
	for _, t := range traces {
		if t == nil {
			continue
		}
		if err := store.ExportSpans(ctx, Spans(t)); err != nil {
			return fmt.Errorf("add trace %s: %w", t.ID, err)
		}
		for _, w := range t.Windows {
			if !windows[w] {
				windows[w], batch.Windows = true, append(batch.Windows, w)
			}
		}
		for _, s := range t.Signals {
			if at := [2]time.Time{s.Start, s.End}; !stretches[at] {
				stretches[at], batch.Signals = true, append(batch.Signals, s)
			}
		}
		for _, u := range t.Usage { // by span id, which several spans may have
			batch.Spans = append(batch.Spans, u)
		}
	}
	if err := addUsage(ctx, store, batch); err != nil {
		return fmt.Errorf("add what was measured: %w", err)
	}
	for _, t := range traces {
		if t != nil && t.Kept == "pinned" {
			if err := store.Pin(ctx, t.ID); err != nil {
				return fmt.Errorf("pin trace %s: %w", t.ID, err)
			}
		}
	}
	return nil
}

// usageAtOnce is how much a store is given before it may write that down: it keeps a
// bounded number of blocks waiting, and drops the rest.
const usageAtOnce = 1024

// addUsage adds a batch in parts.
func addUsage(ctx gocontext.Context, store *spanstore.Store, b spanstore.UsageBatch) error {
	for {
		n := min(len(b.Spans), usageAtOnce)
		if err := store.AddUsage(ctx, spanstore.UsageBatch{Windows: b.Windows, Signals: b.Signals, Spans: b.Spans[:n]}); err != nil {
			return err
		}
		if b.Windows, b.Signals, b.Spans = nil, nil, b.Spans[n:]; len(b.Spans) == 0 {
			return nil
		}
		if err := store.Flush(ctx); err != nil {
			return err
		}
	}
}

// Spans returns the spans of a trace as exporters take them.
func Spans(t *spanstore.Trace) []sdktrace.ReadOnlySpan {
	return each(t.Spans, func(s *spanstore.Span) sdktrace.ReadOnlySpan { return readOnly{s: s} })
}

// readOnly is a span in the SDK's form. The interface has a method that only the SDK
// can have; the embedded nil stands for it.
type readOnly struct {
	sdktrace.ReadOnlySpan
	s *spanstore.Span
}

func (r readOnly) Name() string                                { return r.s.Name }
func (r readOnly) SpanContext() trace.SpanContext              { return r.s.SpanContext }
func (r readOnly) Parent() trace.SpanContext                   { return r.s.Parent }
func (r readOnly) SpanKind() trace.SpanKind                    { return r.s.Kind }
func (r readOnly) StartTime() time.Time                        { return r.s.Start }
func (r readOnly) EndTime() time.Time                          { return r.s.End }
func (r readOnly) Attributes() []attribute.KeyValue            { return r.s.Attributes }
func (r readOnly) Links() []sdktrace.Link                      { return r.s.Links }
func (r readOnly) Events() []sdktrace.Event                    { return r.s.Events }
func (r readOnly) Status() sdktrace.Status                     { return r.s.Status }
func (r readOnly) InstrumentationScope() instrumentation.Scope { return r.s.Scope }

// InstrumentationLibrary is what the interface still asks for under the old name.
func (r readOnly) InstrumentationLibrary() instrumentation.Scope { return r.s.Scope }

func (r readOnly) Resource() *resource.Resource { return r.s.Resource }
func (r readOnly) DroppedAttributes() int       { return r.s.DroppedAttributes }
func (r readOnly) DroppedLinks() int            { return r.s.DroppedLinks }
func (r readOnly) DroppedEvents() int           { return r.s.DroppedEvents }
func (r readOnly) ChildSpanCount() int          { return r.s.ChildSpanCount }
