package profiler

import (
	"context"
	"runtime/pprof"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

var _ sdktrace.SpanProcessor = (*Profiler)(nil)

// OnStart labels the calling goroutine with the span. It is called by the SDK
// for every span that records, whoever made it.
func (p *Profiler) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	if p == nil || !p.labeling.Load() {
		return
	}
	defer p.rescue()
	p.enter(parent, s)
}

// OnEnd takes the span's label from the calling goroutine, if that carries it,
// and gives back what the goroutine had before. It is called by the SDK.
func (p *Profiler) OnEnd(s sdktrace.ReadOnlySpan) {
	if p == nil {
		return
	}
	defer p.rescue()
	p.leave(s)
}

// ForceFlush is Refresh; the SDK calls it from TracerProvider.ForceFlush.
func (p *Profiler) ForceFlush(ctx context.Context) error { return p.Refresh(ctx) }

// Shutdown asks that the running window end early and returns at once. It does
// not stop the profiler, because several providers may share it; only Stop
// does. The SDK calls it from TracerProvider.Shutdown.
func (p *Profiler) Shutdown(context.Context) error {
	p.wishFor()
	return nil
}

// enter makes the span's frame and puts its labels on the goroutine, on top of
// those that are there.
func (p *Profiler) enter(ctx context.Context, s sdktrace.ReadWriteSpan) {
	sc := s.SpanContext()
	f := &frame{key: keyOf(sc.SpanID()), trace: sc.TraceID()}

	var cur any
	var parent *frame
	if p.readable {
		if cur = goroutineLabels(); cur != nil {
			parent = p.localParent(s)
		}
	} else {
		parent = p.localParent(s)
		cur = believedLabels(ctx, parent)
	}
	f.before.v, f.prev = p.settle(cur, parent)

	// A set with nothing but the span label needs no merging.
	f.bare = f.before.v == nil || f.prev != nil && f.prev.bare && f.before.v == f.prev.labels.v
	var labels context.Context
	if f.bare {
		labels = bareLabels(f.key)
	} else {
		labels = withSpan(f.before.v, f.key)
	}
	f.labels.v = labels.Value(labelKey)

	if !p.readable {
		f.users.Store(1)
		if f.prev != nil {
			f.prev.users.Add(1)
		}
	}
	if !p.spans.add(f) { // registered twice on one provider
		f.release()
		return
	}
	pprof.SetGoroutineLabels(labels)
}

// leave forgets the span and restores the goroutine's labels, if they are the
// span's. Whatever else the goroutine carries is its own, as when the span was
// started elsewhere; but a label of a span that is over is never left on it.
func (p *Profiler) leave(s sdktrace.ReadOnlySpan) {
	sc := s.SpanContext()
	f := p.spans.end(keyOf(sc.SpanID()), sc.TraceID())

	var cur any
	if p.readable {
		cur = goroutineLabels()
	} else if f != nil && f.users.Load() == 1 {
		cur = f.labels.v // what the goroutine is believed to carry
	}
	switch {
	case cur == nil:
	case f == nil || cur != f.labels.v:
		p.heal(cur)
	case f.prev == nil || !f.prev.gone.Load():
		pprof.SetGoroutineLabels(&f.before)
	default: // the span around it ended first
		before, _ := p.settle(f.before.v, nil)
		pprof.SetGoroutineLabels(&labelCtx{before})
	}
	if f != nil {
		f.release()
	}
}

// heal replaces labels of the calling goroutine that name a span which is over.
func (p *Profiler) heal(cur any) {
	if alive, _ := p.settle(cur, nil); alive != cur {
		pprof.SetGoroutineLabels(&labelCtx{alive})
	}
}

// settle returns the labels that a goroutine carrying cur ought to carry, and
// the frame that they name: cur itself, unless it names a span that is over;
// then the innermost live span around that one takes its place, or none.
// Other labels stay. Parent is a guess that saves reading cur, and may be nil.
func (p *Profiler) settle(cur any, parent *frame) (labels any, names *frame) {
	if cur == nil {
		return nil, nil
	}
	if parent != nil && cur == parent.labels.v && !parent.gone.Load() {
		return cur, parent
	}
	key, ok := spanOf(cur)
	if !ok {
		return cur, nil
	}
	if f := p.spans.get(key); f != nil {
		return cur, f
	}
	around, known := p.spans.enclosing(key)
	if !known { // somebody else's label of that name
		return cur, nil
	}
	rest := withoutSpan(cur)
	switch {
	case around == nil:
		return rest, nil
	case rest == nil && around.bare:
		return around.labels.v, around
	default:
		return withSpan(rest, around.key).Value(labelKey), around
	}
}

// localParent returns the frame of the span's parent, when that is a live span
// of this process and was not reached over the network.
func (p *Profiler) localParent(s sdktrace.ReadWriteSpan) *frame {
	parent := s.Parent()
	if !parent.SpanID().IsValid() || parent.IsRemote() {
		return nil
	}
	return p.spans.get(keyOf(parent.SpanID()))
}

// believedLabels stands in where the goroutine's labels cannot be read: those
// of the context, unless the parent span was made without the wrapper, which
// alone puts labels there.
func believedLabels(ctx context.Context, parent *frame) any {
	labels := ctx.Value(labelKey)
	if parent == nil {
		return labels
	}
	if key, ok := spanOf(labels); ok && key == parent.key {
		return labels
	}
	return parent.labels.v
}
