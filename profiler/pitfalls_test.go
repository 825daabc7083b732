package profiler_test

import (
	"context"
	"runtime/pprof"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The pitfalls of labelling goroutines by span, by the numbers that they have
// in doc.go. P1 and P2 are in a file of their own.

func TestP3_WorkerOutlivesItsSpan(t *testing.T) {
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "short")
	work, done := make(chan struct{}), make(chan struct{})
	go func() { // inherits the label, and nobody can take it away
		defer close(done)
		<-work
		burnCPU(300 * time.Millisecond)
	}()
	span.End()
	s.refresh(t) // the window in which the span lived is over
	before := s.usage(t, span)

	close(work)
	<-done
	s.refresh(t)
	after := s.usage(t, span)
	if after.LateSamples == 0 {
		t.Error("got no late samples for a worker that burns CPU after its span ended")
	}
	if after.Samples != before.Samples || after.CPU != before.CPU || len(after.Stacks) != len(before.Stacks) {
		t.Errorf("got %d samples, %v CPU, %d stacks for the ended span; want what it had when it ended: %d, %v, %d",
			after.Samples, after.CPU, len(after.Stacks), before.Samples, before.CPU, len(before.Stacks))
	}
	if st := s.prof.Stats(); st.Late != int64(after.LateSamples) {
		t.Errorf("got %d late samples in Stats; want %d", st.Late, after.LateSamples)
	}
}

func TestP4_EndThroughSpanFromContext(t *testing.T) {
	s := newService(t, quick)
	ctx, span := s.Start(context.Background(), "span")
	carries(t, "in the span", span)
	trace.SpanFromContext(ctx).End()
	carries(t, "after its end", nil)
}

func TestP5_ParentEndsBeforeChild(t *testing.T) {
	s := newService(t, quick)
	ctx, grandparent := s.Start(context.Background(), "grandparent")
	ctx, parent := s.Start(ctx, "parent")
	_, child := s.Start(ctx, "child")
	parent.End()
	carries(t, "parent ended, child lives", child)
	child.End()
	carries(t, "child ended after its parent", grandparent)
	grandparent.End()
	carries(t, "all ended", nil)
}

func TestP6_SecondEnd(t *testing.T) {
	s := newService(t, quick)
	_, first := s.Start(context.Background(), "first")
	ro := first.(sdktrace.ReadOnlySpan)
	first.End()
	_, second := s.Start(context.Background(), "second")
	first.End()
	carries(t, "after a second End of another span", second)
	s.prof.OnEnd(ro) // the SDK guards against it; another one may not
	carries(t, "after a second OnEnd of another span", second)
	second.End()
	carries(t, "after its end", nil)
}

func TestP7_SpanIsTheSDKsOwn(t *testing.T) {
	s := newService(t, quick)
	ctx, span := s.Start(context.Background(), "span")
	defer span.End()
	if _, ok := span.(sdktrace.ReadOnlySpan); !ok {
		t.Errorf("got a %T; want an sdktrace.ReadOnlySpan", span)
	}
	if got := trace.SpanFromContext(ctx); got != span {
		t.Errorf("got %v from the context; want the span that Start returned, %v", got, span)
	}
}

func TestP8_EndInsideDo(t *testing.T) {
	s := newService(t, quick)
	outer, parent := s.Start(context.Background(), "parent")
	ctx, span := s.Start(outer, "span")
	pprof.Do(ctx, pprof.Labels("task", "x"), func(context.Context) {
		carries(t, "in pprof.Do with the span's context", span)
		hasLabel(t, "in pprof.Do", "task", "x")
		span.End()
	})
	carries(t, "after pprof.Do in which the span ended", parent)
	hasLabel(t, "after pprof.Do", "task", "")

	pprof.Do(ctx, pprof.Labels("task", "y"), func(context.Context) {
		carries(t, "in pprof.Do with the context of a span that is over", parent)
	})
	parent.End()
	carries(t, "all ended", nil)
}

func TestP9_ProviderFromTheSpan(t *testing.T) {
	s := newService(t, quick)
	ctx, parent := s.Start(context.Background(), "parent")
	library := trace.SpanFromContext(ctx).TracerProvider().Tracer("library")
	ctx, child := library.Start(ctx, "child")
	carries(t, "in a span of the SDK's own provider", child)
	_, grandchild := library.Start(ctx, "grandchild")
	carries(t, "in its child", grandchild)
	grandchild.End()
	carries(t, "after the grandchild's end", child)
	child.End()
	carries(t, "after the child's end", parent)
	parent.End()
	carries(t, "all ended", nil)
}
