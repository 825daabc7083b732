package profiler

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// TracerProvider is an SDK provider whose spans also put their label into the
// context that they return, so that a pprof.Do with it keeps the label. It is
// made by Profiler.TracerProvider. Shutdown, ForceFlush and the rest are those
// of the SDK provider.
type TracerProvider struct {
	*sdktrace.TracerProvider
	p *Profiler
}

var _ trace.TracerProvider = (*TracerProvider)(nil)

// TracerProvider registers p as a span processor on tp and returns tp with
// tracers that put the span's label into the context. The spans themselves are
// the SDK's own. A nil p returns tp as it is, in the same type; a nil tp stands
// for a new provider that has p alone.
func (p *Profiler) TracerProvider(tp *sdktrace.TracerProvider) *TracerProvider {
	if tp == nil {
		tp = sdktrace.NewTracerProvider()
	}
	if p != nil {
		tp.RegisterSpanProcessor(p)
	}
	return &TracerProvider{TracerProvider: tp, p: p}
}

// Tracer returns the SDK's tracer of that name, made to put span labels into
// the contexts it returns.
func (t *TracerProvider) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return t.p.tracer(t.TracerProvider.Tracer(name, opts...))
}

// Wrap does for a provider of another make what TracerProvider does for the
// SDK's, except for the registration: the caller registers p there as a span
// processor (an sdktrace.SpanProcessor). A nil p returns tp.
func (p *Profiler) Wrap(tp trace.TracerProvider) trace.TracerProvider {
	if p == nil || tp == nil {
		return tp
	}
	return wrapped{TracerProvider: tp, p: p}
}

type wrapped struct {
	trace.TracerProvider
	p *Profiler
}

func (w wrapped) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return w.p.tracer(w.TracerProvider.Tracer(name, opts...))
}

func (p *Profiler) tracer(t trace.Tracer) trace.Tracer {
	if p == nil {
		return t
	}
	return &tracer{inner: t, p: p}
}

type tracer struct {
	embedded.Tracer
	inner trace.Tracer
	p     *Profiler
}

// Start starts a span of the wrapped tracer and returns that very span, so that
// type assertions on it, SpanFromContext and a second End work as without us.
func (t *tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	ctx, span := t.inner.Start(ctx, name, opts...)
	if t.p.readable && unlabelled() { // as a span that does not record leaves the goroutine
		return ctx, span
	}
	return t.p.label(ctx, span), span
}

// label returns ctx with the label of span, if OnStart made one: the span's
// frame, which has waited for its context.
func (p *Profiler) label(ctx context.Context, span trace.Span) context.Context {
	f := p.startedHere(span)
	if f == nil || !f.taken.CompareAndSwap(false, true) { // not labelled, or wrapped twice
		return ctx
	}
	f.Context = ctx
	return f
}

// startedHere returns the frame of the span that was just started on this
// goroutine, and nil when it has none. The goroutine's labels lead to it, if
// OnStart was the last to set them.
func (p *Profiler) startedHere(span trace.Span) *frame {
	if p.readable {
		if t := tagOf(goroutineLabels()); t != nil {
			f := t.frame.Load()
			if f != nil && f.p == p && f.key == keyOf(span.SpanContext().SpanID()) {
				return f
			}
			if p.rootsOnly.Load() {
				return nil
			}
		}
	}
	if !p.labeling.Load() || p.resting() || !span.IsRecording() {
		return nil
	}
	return p.spans.get(keyOf(span.SpanContext().SpanID()))
}

// Value has the span's label for as long as the span lives: once it has ended
// (in a pprof.Do with this context, say) the context has the labels of the
// context around it again.
func (f *frame) Value(key any) any {
	if key != labelKey {
		return f.Context.Value(key)
	}
	outer := f.Context.Value(key)
	if f.gone.Load() || !f.p.labeling.Load() {
		return outer
	}
	if outer == nil || outer == f.before.v {
		return f.labels
	}
	return withSpan(outer, f.key)
}

// String and GoString keep whoever prints a context away from the fields, which
// change while it is printed.
func (f *frame) String() string   { return fmt.Sprintf("%v.WithSpanLabel(%s)", f.Context, f.key.hex()) }
func (f *frame) GoString() string { return f.String() }
