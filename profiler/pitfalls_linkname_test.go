//go:build !spanclock_nolinkname

package profiler_test

import (
	"context"
	"runtime/pprof"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
)

// What needs to know the goroutine's labels: where they cannot be read, P1 and
// P2 may fail.

func TestLabelsAreReadable(t *testing.T) {
	s := newService(t, quick)
	if !s.prof.Stats().LabelsReadable {
		t.Error("got LabelsReadable false in a build that may use linkname")
	}
}

func TestP1_EndOnAnotherGoroutine(t *testing.T) {
	s := newService(t, quick)
	spans, ended := make(chan trace.Span), make(chan struct{})
	go pprof.Do(context.Background(), pprof.Labels("who", "ender"), func(context.Context) {
		defer close(ended)
		(<-spans).End()
		hasLabel(t, "on the goroutine that ended it", "who", "ender")
		carries(t, "on the goroutine that ended it", nil)
	})

	pprof.Do(context.Background(), pprof.Labels("who", "starter"), func(ctx context.Context) {
		ctx, parent := s.Start(ctx, "parent")
		_, handedOver := s.Start(ctx, "handed over")
		spans <- handedOver
		<-ended

		// The starter cannot be reached from there; it recovers with the next
		// span that starts or ends on it.
		_, next := s.Start(ctx, "next")
		carries(t, "in the next span", next)
		next.End()
		carries(t, "after the next span", parent)
		hasLabel(t, "after the next span", "who", "starter")
		parent.End()
		carries(t, "after the parent", nil)
		hasLabel(t, "after the parent", "who", "starter")
	})
}

// The usual way to do something on the side: the goroutine inherits the label
// of a span that it ends, and whoever started it goes on in the parent.
func TestP1_EndOnAGoroutineOfItsOwn(t *testing.T) {
	s := newService(t, quick)
	outer, grandparent := s.Start(context.Background(), "grandparent")
	ctx, parent := s.Start(outer, "parent")
	_, span := s.Start(ctx, "span")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		carries(t, "on the new goroutine", span)
		span.End()
		carries(t, "on the new goroutine, the span over", parent)
	}()
	<-ended
	parent.End()
	carries(t, "after the parent's end", grandparent)
	grandparent.End()
	carries(t, "all ended", nil)
}

func TestP2_LabelsThatTheContextLacks(t *testing.T) {
	s := newService(t, quick)
	done := make(chan struct{})
	go pprof.Do(context.Background(), pprof.Labels("tenant", "blue"), func(context.Context) {
		defer close(done)
		ctx, span := s.Start(context.Background(), "span")
		carries(t, "in the span", span)
		hasLabel(t, "in the span", "tenant", "blue")
		pprof.Do(ctx, pprof.Labels("task", "x"), func(context.Context) {
			carries(t, "in pprof.Do", span)
			hasLabel(t, "in pprof.Do", "tenant", "blue")
		})
		_, child := s.Start(ctx, "child")
		hasLabel(t, "in the child", "tenant", "blue")
		child.End()
		span.End()
		carries(t, "after the span", nil)
		hasLabel(t, "after the span", "tenant", "blue")
	})
	<-done
}

// A context from elsewhere keeps its own labels too.
func TestP2_LabelsThatTheGoroutineLacks(t *testing.T) {
	s := newService(t, quick)
	var elsewhere context.Context
	pprof.Do(context.Background(), pprof.Labels("tenant", "blue"), func(ctx context.Context) { elsewhere = ctx })

	done := make(chan struct{})
	go pprof.Do(context.Background(), pprof.Labels("pool", "1"), func(context.Context) {
		defer close(done)
		ctx, span := s.Start(elsewhere, "span")
		hasLabel(t, "in the span", "pool", "1")
		if got, _ := pprof.Label(ctx, "tenant"); got != "blue" {
			t.Errorf("got tenant %q in the span's context; want %q", got, "blue")
		}
		if got, _ := pprof.Label(ctx, "span_id"); got != span.SpanContext().SpanID().String() {
			t.Errorf("got span_id %q in the span's context; want %v", got, span.SpanContext().SpanID())
		}
		span.End()
		if got, ok := pprof.Label(ctx, "span_id"); ok {
			t.Errorf("got span_id %q in the context of a span that is over; want none", got)
		}
		hasLabel(t, "after the span", "pool", "1")
	})
	<-done
}

// Work that goes on in a pprof.Do after its span ended belongs to the parent.
func TestP8_RestOfDoBelongsToTheParent(t *testing.T) {
	s := newService(t, quick)
	outer, parent := s.Start(context.Background(), "parent")
	ctx, span := s.Start(outer, "span")
	pprof.Do(ctx, pprof.Labels("task", "x"), func(context.Context) {
		span.End()
		carries(t, "in the rest of pprof.Do", parent)
		hasLabel(t, "in the rest of pprof.Do", "task", "x")
	})
	parent.End()
}

// A span whose parent is in another process is a local root, though its context
// lacks the label of the span around it (P2).
func TestLabelRoots_RemoteParent(t *testing.T) {
	s := newService(t, &profiler.Options{Labels: profiler.LabelRoots})
	ctx, root := s.Start(context.Background(), "root")
	_, child := s.Start(ctx, "child")
	remote := trace.ContextWithRemoteSpanContext(context.Background(), child.SpanContext().WithRemote(true))
	_, served := s.Start(remote, "called from elsewhere")
	carries(t, "in a span with a remote parent", served)
	served.End()
	carries(t, "after it", root)
	child.End()
	root.End()
	carries(t, "all ended", nil)
}
