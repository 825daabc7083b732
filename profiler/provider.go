package profiler

import (
	"context"

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
	return t.p.label(ctx, span), span
}

// label returns ctx with the label of span, if OnStart made one.
func (p *Profiler) label(ctx context.Context, span trace.Span) context.Context {
	// An SDK span records when it is readable; IsRecording would take its lock.
	if _, sdk := span.(sdktrace.ReadOnlySpan); !sdk && !span.IsRecording() || !p.labeling.Load() {
		return ctx
	}
	f := p.spans.get(keyOf(span.SpanContext().SpanID()))
	if f == nil {
		return ctx
	}
	if c, ok := ctx.(*spanCtx); ok && c.f == f { // wrapped twice
		return ctx
	}
	return &spanCtx{Context: ctx, p: p, f: f}
}

// spanCtx is a context with a span's label, for as long as the span lives: once
// it has ended (in a pprof.Do with this context, say) the context has the
// labels of the context around it again.
type spanCtx struct {
	context.Context
	p *Profiler
	f *frame
}

func (c *spanCtx) Value(key any) any {
	outer := c.Context.Value(key)
	if key != labelKey || c.f.gone.Load() || !c.p.labeling.Load() {
		return outer
	}
	if outer == nil || outer == c.f.before.v {
		return c.f.labels.v
	}
	return withSpan(outer, c.f.key).Value(labelKey)
}
