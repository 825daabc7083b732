package profiler

import (
	"context"
	"runtime/pprof"
	runtimetrace "runtime/trace"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/profiler/internal/exectrace"
)

var _ sdktrace.SpanProcessor = (*Profiler)(nil)

// OnStart labels the calling goroutine with the span. It is called by the SDK
// for every span that records, whoever made it.
func (p *Profiler) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	if p == nil || !p.labeling.Load() || p.resting() {
		return
	}
	defer p.rescue()
	if runtimetrace.IsEnabled() {
		exectrace.LogStart(s.SpanContext().TraceID(), s.SpanContext().SpanID())
		p.exact.moved()
	}
	p.exact.stir()
	p.enter(parent, s)
}

// OnEnd takes the span's label from the calling goroutine, if that carries it,
// and gives back what the goroutine had before. It is called by the SDK.
func (p *Profiler) OnEnd(s sdktrace.ReadOnlySpan) {
	if p == nil {
		return
	}
	defer p.rescue()
	p.names.note(s)
	p.leave(s)
	if runtimetrace.IsEnabled() {
		exectrace.LogEnd(s.SpanContext().TraceID(), s.SpanContext().SpanID(), s.EndTime().Sub(s.StartTime()))
		p.exact.moved()
	}
	if p.exact != nil {
		p.exact.ended(s)
	}
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
	if p.rootsOnly.Load() && !isLocalRoot(s) {
		return
	}
	sc := s.SpanContext()
	f := &frame{p: p, key: keyOf(sc.SpanID()), trace: sc.TraceID(), span: s, born: p.spans.clock.Load()}
	f.before.v, f.prev = p.settle(p.labelsHere(ctx, s))
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
	f.setLabels()
}

// isLocalRoot reports whether s was not called by another span of this process.
func isLocalRoot(s sdktrace.ReadOnlySpan) bool {
	parent := s.Parent()
	return !parent.SpanID().IsValid() || parent.IsRemote()
}

// setLabels puts f's labels on the calling goroutine.
func (f *frame) setLabels() {
	if t := tagOf(f.labels); t != nil {
		pprof.SetGoroutineLabels(t)
	} else {
		pprof.SetGoroutineLabels(&labelCtx{f.labels})
	}
}

// leave forgets the span and restores the goroutine's labels, if they are the
// span's. Whatever else the goroutine carries is its own, as when the span was
// started elsewhere; but a label of a span that is over is never left on it.
func (p *Profiler) leave(s sdktrace.ReadOnlySpan) {
	f := p.spans.end(keyOf(s.SpanContext().SpanID()))

	var cur any
	if p.readable {
		cur = goroutineLabels()
	} else if f != nil && f.users.Load() == 1 {
		cur = f.labels // what the goroutine is believed to carry
	}
	switch {
	case cur == nil:
	case f == nil || cur != f.labels:
		p.heal(cur)
	case f.prev == nil || !f.prev.gone.Load():
		pprof.SetGoroutineLabels(&f.before)
	default: // the span around it ended first
		before, _ := p.settle(f.before.v)
		pprof.SetGoroutineLabels(&labelCtx{before})
	}
	if f != nil {
		f.release()
	}
}

// heal replaces labels of the calling goroutine that name a span which is over.
func (p *Profiler) heal(cur any) {
	if alive, _ := p.settle(cur); alive != cur {
		pprof.SetGoroutineLabels(&labelCtx{alive})
	}
}

// settle returns the labels that a goroutine carrying cur ought to carry, and
// the frame that they name: cur itself, unless it names a span that is over;
// then the innermost live span around that one takes its place, or none.
// Other labels stay.
func (p *Profiler) settle(cur any) (labels any, names *frame) {
	if cur == nil {
		return nil, nil
	}
	if f := p.frameOf(cur); f != nil {
		return cur, f
	}
	key, ok := spanOf(cur)
	if !ok {
		return cur, nil
	}
	around, known := p.spans.enclosing(key)
	if !known && !isOver(cur) { // somebody else's label of that name
		return cur, nil
	}
	rest := withoutSpan(cur)
	switch {
	case around == nil:
		return rest, nil
	case rest == nil && len(listOf(around.labels)) == 1:
		return around.labels, around
	default:
		return withSpan(rest, around.key), around
	}
}

// isOver reports whether labels are certain to name a span that is over, or had
// to make room.
func isOver(labels any) bool {
	t := tagOf(labels)
	return t != nil && t.frame.Load() == nil
}

// frameOf returns the frame of the live span that labels name, if there is one.
func (p *Profiler) frameOf(labels any) *frame {
	if t := tagOf(labels); t != nil {
		if f := t.frame.Load(); f != nil && f.p == p {
			return f
		}
		return nil
	}
	if key, ok := spanOf(labels); ok {
		return p.spans.get(key)
	}
	return nil
}

// labelsHere returns the labels of the calling goroutine, on which a span
// starts. Where they cannot be read those of the context stand in, unless the
// parent span was made without the wrapper, which alone puts labels there.
func (p *Profiler) labelsHere(ctx context.Context, s sdktrace.ReadWriteSpan) any {
	if p.readable {
		return goroutineLabels()
	}
	labels := ctx.Value(labelKey)
	parent := p.localParent(s)
	if parent == nil {
		return labels
	}
	if key, ok := spanOf(labels); ok && key == parent.key {
		return labels
	}
	return parent.labels
}

// localParent returns the frame of the span's parent, when that is a live span
// of this process and was not reached over the network.
func (p *Profiler) localParent(s sdktrace.ReadWriteSpan) *frame {
	if isLocalRoot(s) {
		return nil
	}
	return p.spans.get(keyOf(s.Parent().SpanID()))
}
