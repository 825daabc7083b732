package profiler_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
)

//go:noinline
func waitForIt(c chan struct{}) { <-c }

// Live shows what is in flight: who, since when, and where its goroutines stand.
func TestLive(t *testing.T) {
	s := newService(t, quick)
	tp := s.tp
	hold, standing := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var root, child trace.Span
	before := time.Now()
	wg.Go(func() {
		var ctx context.Context
		ctx, root = tp.Tracer("test").Start(context.Background(), "GET /")
		_, child = tp.Tracer("test").Start(ctx, "query")
		for range 3 { // they work for the child
			wg.Go(func() { waitForIt(hold) })
		}
		root.SetName("GET /product") // as routers do
		close(standing)
		waitForIt(hold)
		child.End()
		root.End()
	})
	<-standing
	_, ended := tp.Tracer("test").Start(context.Background(), "ended")
	ended.End()

	var v *profiler.LiveView
	eventually(t, "all goroutines stand in the channel", func() bool {
		var err error
		if v, err = s.prof.Live(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, sp := range v.Spans {
			if sp.Name == "query" && len(sp.Stacks) > 0 {
				all := 0
				for _, st := range sp.Stacks {
					for _, f := range st.Frames {
						if strings.HasSuffix(f.Func, "waitForIt") {
							all += st.Goroutines
							break
						}
					}
				}
				return all == 4
			}
		}
		return false
	})
	close(hold)
	wg.Wait()

	if len(v.Spans) != 2 || v.Omitted != 0 || len(v.Problems) != 0 {
		t.Fatalf("got %d spans, %d omitted, problems %q; want the two in flight", len(v.Spans), v.Omitted, v.Problems)
	}
	for i, want := range []struct {
		span       trace.Span
		parent     trace.SpanID
		name       string
		localRoot  bool
		goroutines int
	}{{root, trace.SpanID{}, "GET /product", true, 0}, {child, root.SpanContext().SpanID(), "query", false, 4}} {
		got := v.Spans[i]
		if got.SpanID != want.span.SpanContext().SpanID() || got.TraceID != want.span.SpanContext().TraceID() || got.ParentID != want.parent {
			t.Errorf("%s: got ids %v %v under %v; want those of the span", want.name, got.TraceID, got.SpanID, got.ParentID)
		}
		if got.Service != "shop" || got.Route != "GET /product" || got.Name != want.name || got.LocalRoot != want.localRoot {
			t.Errorf("got %+v; want %s of shop, on the route GET /product", got, want.name)
		}
		if got.Goroutines != want.goroutines {
			t.Errorf("%s: got %d goroutines; want %d", want.name, got.Goroutines, want.goroutines)
		}
		if got.Start.Before(before.Round(0)) || got.Age <= 0 || got.Start.Add(got.Age).After(v.Next) {
			t.Errorf("%s: got a start of %v and an age of %v at %v", want.name, got.Start, got.Age, v.At)
		}
	}
}

// A goroutine that outlives its span is nobody's any more, and counted.
func TestLiveCountsLateGoroutines(t *testing.T) {
	s := newService(t, quick)
	hold := make(chan struct{})
	var wg sync.WaitGroup
	_, span := s.Start(context.Background(), "over")
	for range 3 {
		wg.Go(func() { waitForIt(hold) })
	}
	span.End()
	v, err := s.prof.Live(context.Background())
	close(hold)
	wg.Wait()
	if err != nil || v.Late != 3 || len(v.Spans) != 0 {
		t.Errorf("got %+v, %v; want 3 late goroutines and no span", v, err)
	}
}

// Those who ask at the same time, or soon after, share one view.
func TestLiveIsShared(t *testing.T) {
	s := newService(t, quick)
	views := make([]*profiler.LiveView, 50)
	var wg sync.WaitGroup
	for i := range views {
		wg.Go(func() { views[i], _ = s.prof.Live(context.Background()) })
	}
	wg.Wait()
	taken := map[*profiler.LiveView]bool{}
	for _, v := range views {
		taken[v] = true
		if v == nil || v.Next.Sub(v.At) < time.Second {
			t.Fatalf("got %+v; want a view that holds for a second", v)
		}
	}
	if len(taken) > 1+int(views[len(views)-1].At.Sub(views[0].At).Abs()/time.Second) {
		t.Errorf("got %d views for 50 who asked at once; want one a second at most", len(taken))
	}

	done, cancel := context.WithCancel(context.Background())
	cancel()
	eventually(t, "somebody has to wait for the next view", func() bool {
		_, err := s.prof.Live(done)
		return errors.Is(err, context.Canceled)
	})
}

// A view is bounded; those with goroutines stay.
func TestLiveIsBounded(t *testing.T) {
	s := newService(t, quick)
	hold, standing := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(hold)
	for i := range 1200 { // nobody works for them
		_, span := s.Start(context.Background(), fmt.Sprint(i))
		defer span.End()
	}
	wg.Go(func() {
		_, span := s.Start(context.Background(), "busy")
		defer span.End()
		close(standing)
		waitForIt(hold)
	})
	<-standing
	v, err := s.prof.Live(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Spans) != 1000 || v.Omitted != 201 {
		t.Errorf("got %d spans and %d omitted; want 1000 and 201", len(v.Spans), v.Omitted)
	}
	if last := v.Spans[len(v.Spans)-1]; last.Name != "busy" {
		t.Errorf("got %q as the youngest; want the one with a goroutine", last.Name)
	}
}

// Spans that never end are forgotten some day, and counted.
func TestUnendedSpansAge(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 100 * time.Millisecond, MaxAge: time.Second})
	_, span := s.Start(context.Background(), "forgotten")
	eventually(t, "the span ages out", func() bool { return s.prof.Stats().AgedSpans == 1 })
	if st := s.prof.Stats(); st.LiveSpans != 0 || st.DroppedSpans != 0 {
		t.Errorf("got %d live and %d dropped; want the span counted as aged alone", st.LiveSpans, st.DroppedSpans)
	}
	span.End() // after all
	if s.prof.Stats().LabelsReadable {
		carries(t, "after its late end", nil)
	}
}

func TestLiveInert(t *testing.T) {
	var none *profiler.Profiler
	if v, err := none.Live(context.Background()); err != nil || len(v.Problems) == 0 {
		t.Errorf("got %+v, %v without a profiler; want an empty view that says so", v, err)
	}
	s := newService(t, quick)
	if err := s.prof.Stop(); err != nil {
		t.Fatal(err)
	}
	if v, err := s.prof.Live(context.Background()); err != nil || len(v.Spans) != 0 || len(v.Problems) == 0 {
		t.Errorf("got %+v, %v after Stop; want an empty view that says so", v, err)
	}
}

// InFlight knows of which traces the request has not ended, by its local root.
func TestInFlight(t *testing.T) {
	s := newService(t, quick)
	tracer := s.tp.Tracer("test")
	ctx, root := tracer.Start(context.Background(), "GET /")
	_, child := tracer.Start(ctx, "query")
	child.End()
	_, over := tracer.Start(context.Background(), "over")
	over.End()
	lost, parent := tracer.Start(context.Background(), "the caller")
	_, left := tracer.Start(lost, "left behind")
	parent.End()

	id := func(s trace.Span) trace.TraceID { return s.SpanContext().TraceID() }
	all := []trace.TraceID{id(root), id(over), id(left), {1}}
	got := s.prof.InFlight(all)
	if r := got[id(root)]; len(got) != 1 || r.Name != "GET /" || time.Since(r.Start) > time.Hour {
		t.Errorf("got %v; want the one request whose local root is in flight", got)
	}
	left.End()
	root.End()
	if got := s.prof.InFlight(all); len(got) != 0 {
		t.Errorf("got %v after all have ended; want none", got)
	}
	var none *profiler.Profiler
	if got := none.InFlight(all); len(got) != 0 {
		t.Errorf("a nil profiler gave %v", got)
	}
}
