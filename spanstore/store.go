package spanstore

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// STAND-IN, being replaced; the exported signatures stay.

type Options struct {
	MaxBytes int64
	MaxAge   time.Duration
	Redact   func(f Field, v attribute.Value) (attribute.Value, bool)
	Logger   *slog.Logger
}

type Field struct{ Key attribute.Key }

var ErrNotFound = errors.New("trace not found")
var ErrClosed = errors.New("span store is closed")

type Store struct {
	mu sync.Mutex
	m  map[trace.TraceID]*Trace
	w  []Window
}

func Open(dir string, o *Options) (*Store, error) {
	return &Store{m: map[trace.TraceID]*Trace{}}, nil
}
func (s *Store) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range spans {
		id := r.SpanContext().TraceID()
		t := s.m[id]
		if t == nil {
			t = &Trace{ID: id, Usage: map[trace.SpanID]Usage{}}
			s.m[id] = t
		}
		t.Spans = append(t.Spans, Span{SpanContext: r.SpanContext(), Parent: r.Parent(), Name: r.Name(), Kind: r.SpanKind(), Start: r.StartTime(), End: r.EndTime(), Attributes: r.Attributes(), Events: r.Events(), Links: r.Links(), Status: r.Status(), Resource: r.Resource(), Scope: r.InstrumentationScope()})
		slices.SortFunc(t.Spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	}
	return nil
}
func (s *Store) Shutdown(context.Context) error   { return nil }
func (s *Store) ForceFlush(context.Context) error { return nil }
func (s *Store) Flush(context.Context) error      { return nil }
func (s *Store) Close() error                     { return nil }
func (s *Store) Processor() sdktrace.SpanProcessor {
	return sdktrace.NewSimpleSpanProcessor(s)
}
func RecordAll(base sdktrace.Sampler) sdktrace.Sampler { return base }

func (s *Store) AddUsage(_ context.Context, b UsageBatch) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w = append(s.w, b.Windows...)
	for _, u := range b.Spans {
		if t := s.m[u.TraceID]; t != nil {
			p := t.Usage[u.SpanID]
			u.Samples += p.Samples
			u.CPU += p.CPU
			u.LateSamples += p.LateSamples
			u.Stacks = append(u.Stacks, p.Stacks...)
			t.Usage[u.SpanID] = u
		}
	}
	return nil
}
func (s *Store) Trace(_ context.Context, id trace.TraceID) (*Trace, error) {
	if s == nil {
		return nil, ErrNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.m[id]
	if t == nil {
		return nil, ErrNotFound
	}
	c := *t
	c.Windows = slices.Clone(s.w)
	return &c, nil
}
func (s *Store) Traces(ctx context.Context, q Query) (*Page, error) {
	p := &Page{}
	if s == nil {
		return p, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, t := range s.m {
		r := t.Spans[0]
		p.Traces = append(p.Traces, Summary{TraceID: id, Service: r.Service(), Name: r.Name, Start: r.Start, Duration: r.Duration(), Spans: len(t.Spans), Windows: s.w})
	}
	slices.SortFunc(p.Traces, func(a, b Summary) int { return b.Start.Compare(a.Start) })
	return p, nil
}
func (s *Store) Evicted(id trace.TraceID) (Eviction, bool) { return Eviction{}, false }

type Stats struct{ Spans, Dropped int64 }

func (s *Store) Stats() Stats { return Stats{} }
