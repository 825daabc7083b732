package profiler_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
)

// Random starts and ends on one goroutine against a plain list: the goroutine
// carries the latest span that has not ended.
func TestLabelsAgainstAModel(t *testing.T) {
	s := newService(t, quick)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	type live struct {
		ctx  context.Context
		span trace.Span
	}
	var model []live
	for step := range 1500 {
		if n := len(model); n == 0 || n < 8 && rnd.IntN(2) == 0 {
			ctx := context.Background()
			if n > 0 {
				ctx = model[n-1].ctx
				if s.prof.Stats().LabelsReadable {
					ctx = model[rnd.IntN(n)].ctx
				}
			}
			tracer := s.Tracer
			if rnd.IntN(3) == 0 { // P9
				tracer = s.tp.TracerProvider.Tracer("bare")
			}
			ctx, span := tracer.Start(ctx, "span")
			model = append(model, live{ctx, span})
		} else {
			i := rnd.IntN(n)
			model[i].span.End()
			model = slices.Delete(model, i, i+1)
		}
		var want trace.Span
		if n := len(model); n > 0 {
			want = model[n-1].span
		}
		carries(t, fmt.Sprintf("step %d", step), want)
		if t.Failed() {
			return
		}
	}
	for _, l := range model {
		l.span.End()
	}
	carries(t, "all ended", nil)
	if n := s.prof.Stats().LiveSpans; n != 0 {
		t.Errorf("got %d live spans; want none", n)
	}
}

// Spans start here and end there while windows turn and profiles are asked for;
// for the race detector, and for what must hold in the end.
func TestManyGoroutines(t *testing.T) {
	s := newService(t, &profiler.Options{Window: 200 * time.Millisecond, MinWindow: 100 * time.Millisecond, MaxLive: 256, MaxEnded: 1024})
	deadline := time.Now().Add(1500 * time.Millisecond)
	handover := make(chan trace.Span, 16)
	var wg, enders sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				ctx, root := s.Start(context.Background(), "root")
				child, span := s.Start(ctx, "child")
				_, leaf := s.Start(child, "handed over")
				handover <- leaf
				wg.Go(func() {
					_, span := s.Start(child, "on the side")
					span.End()
				})
				span.End()
				root.End()
			}
		})
		enders.Go(func() {
			for span := range handover {
				span.End()
			}
		})
	}
	wg.Go(func() {
		for time.Now().Before(deadline) {
			s.prof.Stats()
			s.prof.Pause()
			s.prof.Resume()
			s.refresh(t)
		}
	})
	wg.Wait()
	close(handover)
	enders.Wait()
	if st := s.prof.Stats(); st.LiveSpans != 0 || st.Windows == 0 {
		t.Errorf("got %d live spans, %d windows; want none, some", st.LiveSpans, st.Windows)
	}
}
