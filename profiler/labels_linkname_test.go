//go:build !spanclock_nolinkname

package profiler

import (
	"context"
	"runtime/pprof"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Where the layout of labels is not understood the public functions do it all.
func TestLabelsByPublicFunctions(t *testing.T) {
	if readable, err := learnLabels(); err != nil || !readable {
		t.Fatalf("goroutine labels cannot be read back (%v)", err)
	}
	defer func(was bool) { direct = was }(direct)
	direct = false
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p, err := Start(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	tracer := p.TracerProvider(nil).Tracer("test")
	carries := func(when string, span trace.Span) {
		t.Helper()
		var want spanKey64
		if span != nil {
			want = keyOf(span.SpanContext().SpanID())
		}
		if got, _ := spanOf(goroutineLabels()); got != want {
			t.Errorf("%s: got span %x on the goroutine; want %x", when, got, want)
		}
	}
	pprof.Do(context.Background(), pprof.Labels("tenant", "blue"), func(ctx context.Context) {
		ctx, parent := tracer.Start(ctx, "parent")
		carries("in the parent", parent)
		ctx, child := tracer.Start(ctx, "child")
		carries("in the child", child)
		pprof.Do(ctx, pprof.Labels("task", "x"), func(ctx context.Context) {
			carries("in pprof.Do", child)
			parent.End()
			carries("after the parent", child)
		})
		child.End()
		carries("all ended", nil)
		if got := labelsIn(goroutineLabels())["tenant"]; got != "blue" {
			t.Errorf("got tenant %q in the end; want blue", got)
		}
	})
	if n := p.Stats().LiveSpans; n != 0 || p.Stats().Panics != 0 {
		t.Errorf("got %d live spans, %d panics; want none", n, p.Stats().Panics)
	}
}
