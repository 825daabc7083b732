package profiler_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
)

// wait stands for a peer's answer.
func wait(d time.Duration) func(context.Context) {
	return func(context.Context) { <-time.After(d) }
}

// healthy is a request in which calls and computing take turns.
func healthy(s *stage, ctx context.Context) {
	s.child(ctx, "redis.GET", trace.SpanKindClient, wait(8*time.Millisecond))
	compute(4 * time.Millisecond)
	s.child(ctx, "SELECT orders", trace.SpanKindClient, wait(12*time.Millisecond))
	compute(4 * time.Millisecond)
	s.child(ctx, "POST /pay", trace.SpanKindClient, wait(10*time.Millisecond))
}

// fanOut asks three peers at once, from goroutines, and computes with what they say.
func fanOut(s *stage, ctx context.Context) {
	var wg sync.WaitGroup
	for _, name := range []string{"GET stock", "GET price", "GET reviews"} {
		wg.Go(func() { s.child(ctx, name, trace.SpanKindClient, wait(12*time.Millisecond)) })
	}
	wg.Wait()
	compute(6 * time.Millisecond)
	s.child(ctx, "render", trace.SpanKindInternal, func(context.Context) { compute(8 * time.Millisecond) })
}

// nested goes through layers that each do a part.
func nested(s *stage, ctx context.Context) {
	s.child(ctx, "authorize", trace.SpanKindInternal, func(ctx context.Context) {
		compute(3 * time.Millisecond)
		s.child(ctx, "redis.GET session", trace.SpanKindClient, wait(6*time.Millisecond))
	})
	s.child(ctx, "load", trace.SpanKindInternal, func(ctx context.Context) {
		compute(3 * time.Millisecond)
		s.child(ctx, "SELECT user", trace.SpanKindClient, wait(10*time.Millisecond))
		compute(3 * time.Millisecond)
		s.child(ctx, "GET avatar", trace.SpanKindClient, wait(8*time.Millisecond))
	})
	s.child(ctx, "render", trace.SpanKindInternal, func(context.Context) { compute(6 * time.Millisecond) })
}

// pipeline hands work from stage to stage through channels; nobody waits long.
func pipeline(s *stage, ctx context.Context) {
	rows := make(chan int, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.child(ctx, "encode", trace.SpanKindInternal, func(context.Context) {
			for range rows {
				compute(time.Millisecond)
			}
		})
	}()
	s.child(ctx, "SELECT rows", trace.SpanKindClient, func(context.Context) {
		for i := range 12 {
			<-time.After(2 * time.Millisecond)
			rows <- i
		}
	})
	close(rows)
	<-done
	s.child(ctx, "PUT object", trace.SpanKindClient, wait(10*time.Millisecond))
}

// TestStagedHealthy: a request in which nothing is wrong has no finding. A machine
// that is busy with something else may be what is wrong: then it is tried again.
func TestStagedHealthy(t *testing.T) {
	s := &stage{newService(t, exactly), t}
	s.armed(t)
	for _, tt := range []struct {
		name string
		run  func(*stage, context.Context)
	}{
		{"turns", healthy},
		{"fan-out", fanOut},
		{"nested", nested},
		{"pipeline", pipeline},
		{"lock in passing", func(s *stage, ctx context.Context) {
			var mu sync.Mutex
			mu.Lock()
			go func() {
				time.Sleep(time.Millisecond)
				mu.Unlock()
			}()
			mu.Lock()
			defer mu.Unlock()
			healthy(s, ctx)
		}},
		{"nothing much", func(s *stage, ctx context.Context) { s.child(ctx, "redis.GET", trace.SpanKindClient, wait(0)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for try := range 8 {
				a := s.analyzed(t, tt.run)
				if len(a.Findings) == 0 {
					return
				}
				if try < 7 {
					continue
				}
				for _, f := range a.Findings {
					if f.Kind != stall.CPUWait { // else it is true, eight times
						t.Errorf("got %v; want no finding in %v", texts(a), a.Budget)
					}
				}
			}
		})
	}
}
