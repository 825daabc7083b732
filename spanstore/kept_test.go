package spanstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// traffic makes requests of a few spans each, without errors and all of about
// the same duration.
type traffic struct {
	*spangen.Gen
	at time.Time
}

func newTraffic() *traffic {
	return &traffic{spangen.New(*seed), time.Unix(1_700_000_000, 0)}
}

// request returns one; its root is last.
func (g *traffic) request(name string) []tracetest.SpanStub {
	g.at = g.at.Add(time.Millisecond)
	stubs := g.Request(g.at, 4)
	for i := range stubs {
		stubs[i].EndTime = stubs[i].StartTime.Add(time.Millisecond + time.Duration(g.IntN(1000)))
		stubs[i].Attributes = append(stubs[i].Attributes, attribute.String("noise", g.SpanID().String()+g.TraceID().String()))
	}
	root := &stubs[len(stubs)-1]
	root.Name, root.Status = name, sdktrace.Status{}
	return stubs
}

// wrap writes until the ring has turned n times more.
func (g *traffic) wrap(tb testing.TB, s *spanstore.Store, n int) {
	tb.Helper()
	until := s.Stats().EvictedSegments + int64(8*n)
	for s.Stats().EvictedSegments < until {
		var batch []tracetest.SpanStub
		for i := range 256 {
			batch = append(batch, g.request(fmt.Sprint("GET /ordinary/", i%3))...)
		}
		export(tb, s, batch...)
		flush(tb, s)
	}
}

func failed(stubs []tracetest.SpanStub) []tracetest.SpanStub {
	stubs[0].Status = sdktrace.Status{Code: codes.Error, Description: "no such order"}
	return stubs
}

func slow(stubs []tracetest.SpanStub) []tracetest.SpanStub {
	root := &stubs[len(stubs)-1]
	root.EndTime = root.StartTime.Add(time.Second)
	return stubs
}

func idOf(stubs []tracetest.SpanStub) trace.TraceID { return stubs[0].SpanContext.TraceID() }

// smallRing is a ring of eight segments.
var smallRing = &spanstore.Options{MaxBytes: 4 << 20}

// eachRing runs a test with a ring on disk and with one in memory.
func eachRing(t *testing.T, f func(t *testing.T, dir string)) {
	t.Run("disk", func(t *testing.T) { f(t, t.TempDir()) })
	t.Run("memory", func(t *testing.T) { f(t, "") })
}

// TestKeptTracesOutliveTheRing has an error, a slow trace, a pinned and an
// ordinary one, and turns the ring.
func TestKeptTracesOutliveTheRing(t *testing.T) {
	eachRing(t, func(t *testing.T, dir string) {
		ctx := context.Background()
		s, g := open(t, dir, smallRing), newTraffic()
		bad, late, chosen, plain := failed(g.request("GET /ordinary/0")), slow(g.request("GET /ordinary/1")), g.request("GET /ordinary/2"), g.request("GET /ordinary/2")
		for _, stubs := range [][]tracetest.SpanStub{bad, late, chosen, plain} {
			export(t, s, stubs...)
		}
		if err := s.Pin(ctx, idOf(chosen)); err != nil {
			t.Fatal(err)
		}
		g.wrap(t, s, 3)
		for why, stubs := range map[string][]tracetest.SpanStub{"error": bad, "slow": late, "pinned": chosen} {
			wantSpans(t, s, idOf(stubs), stubs)
			if tr, err := s.Trace(ctx, idOf(stubs)); err != nil || tr.Kept != why {
				t.Errorf("%s: got a trace kept as %q, %v", why, tr.Kept, err)
			}
			if ev, ok := s.Evicted(idOf(stubs)); ok {
				t.Errorf("%s: it is said to be evicted: %+v", why, ev)
			}
		}
		if _, err := s.Trace(ctx, idOf(plain)); !errors.Is(err, spanstore.ErrNotFound) {
			t.Errorf("an ordinary trace: got %v; want ErrNotFound", err)
		}
		if _, ok := s.Evicted(idOf(plain)); !ok && s.Stats().EvictedSegments < 20 {
			t.Error("nobody knows that an ordinary trace was evicted")
		}

		// A list has them once, whole, and with the reason.
		p, err := s.Traces(ctx, spanstore.Query{To: g.at.Add(-time.Hour), Limit: 10})
		if err != nil || len(p.Traces) > 0 {
			t.Fatal(p, err)
		}
		p, err = s.Traces(ctx, spanstore.Query{To: time.Unix(1_700_000_000, 0).Add(4500 * time.Microsecond), Limit: 10})
		if err != nil || len(p.Traces) != 3 {
			t.Fatalf("the list has %d old traces, %v; want 3", len(p.Traces), err)
		}
		for i, want := range []string{"pinned", "slow", "error"} {
			if got := p.Traces[i]; got.Kept != want || got.Spans != 4 {
				t.Errorf("summary %d: got %+v; want 4 spans, kept as %s", i, got, want)
			}
		}
		st := s.Stats()
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
		if st.KeptTraces < 3 || st.KeptSpans < 12 || st.KeptBytes == 0 || st.Spans+st.EvictedSpans != st.Accepted {
			t.Errorf("stats do not add up: %+v", st)
		}
		if dir == "" {
			return
		}
		s = reopen(t, s, smallRing)
		again := s.Stats()
		if again.KeptTraces != st.KeptTraces || again.KeptSpans != st.KeptSpans || again.KeptBytes != st.KeptBytes {
			t.Errorf("after reopening %d traces, %d spans, %d bytes are kept; want %d, %d, %d", again.KeptTraces, again.KeptSpans, again.KeptBytes,
				st.KeptTraces, st.KeptSpans, st.KeptBytes)
		}
		g.wrap(t, s, 2)
		for _, stubs := range [][]tracetest.SpanStub{bad, late, chosen} {
			wantSpans(t, s, idOf(stubs), stubs)
		}
		if err := s.Unpin(ctx, idOf(chosen)); err != nil {
			t.Fatal(err)
		}
		g.wrap(t, s, 1)
		if tr, err := s.Trace(ctx, idOf(chosen)); !errors.Is(err, spanstore.ErrNotFound) {
			t.Errorf("a trace that is no longer pinned: got %+v, %v; want ErrNotFound", tr, err)
		}
	})
}

// TestKeptSpansComeBackEqual keeps spans in which anything may stand.
func TestKeptSpansComeBackEqual(t *testing.T) {
	eachRing(t, func(t *testing.T, dir string) {
		s, g := open(t, dir, &spanstore.Options{MaxBytes: 8 << 20}), newTraffic()
		var wild []tracetest.SpanStub
		for range 100 {
			w := g.Wild()
			w.SpanContext = w.SpanContext.WithTraceFlags(w.SpanContext.TraceFlags())
			wild = append(wild, w)
			export(t, s, w)
			if err := s.Pin(context.Background(), w.SpanContext.TraceID()); err != nil {
				t.Fatal(err)
			}
		}
		g.wrap(t, s, 2)
		for _, w := range wild {
			wantSpans(t, s, w.SpanContext.TraceID(), []tracetest.SpanStub{w})
		}
	})
}

// TestKeptTracesStayInBounds has a route that only fails and writes far more
// than there is room for, and a quiet one that fails now and then.
func TestKeptTracesStayInBounds(t *testing.T) {
	eachRing(t, func(t *testing.T, dir string) {
		const budget = 4 << 20
		s, g := open(t, dir, smallRing), newTraffic()
		var quiet [][]tracetest.SpanStub
		for i := 0; s.Stats().EvictedSegments < 24; i++ {
			var batch []tracetest.SpanStub
			for range 200 {
				batch = append(batch, failed(g.request("GET /noisy"))...)
			}
			if i%8 == 0 {
				q := failed(g.request("GET /quiet"))
				quiet = append(quiet, q)
				batch = append(batch, q...)
			}
			export(t, s, batch...)
			flush(t, s)
			st := s.Stats()
			if st.KeptBytes > budget/10 {
				t.Fatalf("%d bytes are kept; want no more than a tenth of %d", st.KeptBytes, budget)
			}
			if st.Bytes > budget || dir != "" && dirBytes(t, dir) > budget {
				t.Fatalf("the ring has %d bytes; the budget is %d", st.Bytes, budget)
			}
			if st.Dropped() != 0 || st.Spans+st.EvictedSpans != st.Accepted {
				t.Fatalf("stats do not add up: %+v", st)
			}
		}
		st := s.Stats()
		if st.KeptBytes < budget/40 {
			t.Errorf("only %d bytes are kept, of %d that may be", st.KeptBytes, budget/10)
		}
		t.Logf("%d traces, %d spans in %d bytes are kept: %.3f of the budget; %d quiet ones", st.KeptTraces, st.KeptSpans, st.KeptBytes, float64(st.KeptBytes)/budget, len(quiet))
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		for _, q := range quiet {
			wantSpans(t, s, idOf(q), q)
		}
	})
}

// TestUsageFollowsKeptTraces wants usage, stacks and windows of a kept trace as
// they were, and none twice.
func TestUsageFollowsKeptTraces(t *testing.T) {
	eachRing(t, func(t *testing.T, dir string) {
		ctx := context.Background()
		s, g := open(t, dir, smallRing), newTraffic()
		bad, plain := failed(g.request("GET /bad")), g.request("GET /plain")
		export(t, s, append(bad, plain...)...)
		stack := []spanstore.Stack{{Frames: []spanstore.Frame{{Func: "main.work", File: "main.go", Line: 7}}, Samples: 2}}
		use := func(stubs []tracetest.SpanStub) spanstore.Usage {
			return spanstore.Usage{TraceID: idOf(stubs), SpanID: stubs[0].SpanContext.SpanID(), Samples: 2, CPU: 20 * time.Millisecond, LateSamples: 1, Stacks: stack}
		}
		from := g.at.Add(-time.Second)
		b := spanstore.UsageBatch{
			Windows: []spanstore.Window{
				{Start: from, End: g.at.Add(time.Second), Period: 10 * time.Millisecond, Samples: 9},
				{Start: from.Add(-time.Hour), End: from.Add(-59 * time.Minute), Hole: "long before"},
			},
			Signals: []spanstore.Signals{
				{Start: from, End: from.Add(time.Second), Values: map[string]int64{"run_delay_ns": 5e6}},
				{Start: from.Add(-time.Hour), End: from.Add(-time.Hour + time.Second), Values: map[string]int64{"run_delay_ns": 7}},
			},
			Spans: []spanstore.Usage{use(bad), use(plain)},
		}
		if err := s.AddUsage(ctx, b); err != nil {
			t.Fatal(err)
		}
		flush(t, s)
		want, err := s.Trace(ctx, idOf(bad))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			g.wrap(t, s, 1)
			got, err := s.Trace(ctx, idOf(bad))
			if err != nil {
				t.Fatal(err)
			}
			if diff := spangen.Diff(got.Windows, want.Windows); diff != "" || len(got.Windows) != 1 {
				t.Fatalf("%d windows: %s", len(got.Windows), diff)
			}
			if diff := spangen.Diff(got.Signals, want.Signals); diff != "" || len(got.Signals) != 1 {
				t.Fatalf("%d signals: %s", len(got.Signals), diff)
			}
			id := bad[0].SpanContext.SpanID()
			if diff := spangen.Diff(got.Usage[id], want.Usage[id]); diff != "" || len(got.Usage) != 1 {
				t.Fatalf("usage of %d spans: %s", len(got.Usage), diff)
			}
			p, err := s.Traces(ctx, spanstore.Query{Errors: true, To: g.at.Add(-time.Second)})
			if err != nil || len(p.Traces) != 1 || p.Traces[0].Usage.CPU != 20*time.Millisecond || len(p.Traces[0].Windows) != 1 {
				t.Fatalf("the list has %+v, %v", p, err)
			}
		}
	})
}

// TestPartsOfKeptTracesFollow spreads a trace over the ring, and has a gap in
// another.
func TestPartsOfKeptTracesFollow(t *testing.T) {
	eachRing(t, func(t *testing.T, dir string) {
		ctx := context.Background()
		s, g := open(t, dir, smallRing), newTraffic()
		spread := failed(g.request("GET /spread"))
		gap := g.request("GET /gap")
		for i := range spread {
			export(t, s, spread[i], gap[i])
			before := s.Stats().EvictedSegments
			for s.Stats().Accepted < int64(i+1)*6000 {
				export(t, s, g.request("GET /ordinary")...)
			}
			flush(t, s)
			if n := s.Stats().EvictedSegments; n != before {
				t.Fatalf("%d segments are evicted before the trace is whole", n-before)
			}
		}
		// The first part of the other goes before it is pinned.
		for {
			tr, err := s.Trace(ctx, idOf(gap))
			if err != nil {
				t.Fatal(err)
			}
			if len(tr.Spans) < len(gap) {
				break
			}
			export(t, s, g.request("GET /ordinary")...)
		}
		if err := s.Pin(ctx, idOf(gap)); err != nil {
			t.Fatal(err)
		}
		held, err := s.Trace(ctx, idOf(gap))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"parts of this trace were evicted at ", "parts of this trace were evicted, longer ago than"} {
			tr, err := s.Trace(ctx, idOf(gap))
			if err != nil {
				t.Fatal(err)
			}
			if len(tr.Spans) != len(held.Spans) || len(tr.Problems) != 1 || !strings.Contains(tr.Problems[0], want) {
				t.Errorf("a trace with a gap has %d spans and problems %q; want %d and one with %q", len(tr.Spans), tr.Problems, len(held.Spans), want)
			}
			g.wrap(t, s, 2)
		}
		wantSpans(t, s, idOf(spread), spread)
	})
}

// TestReadersNeverMissAKeptTrace reads while segments are evicted.
func TestReadersNeverMissAKeptTrace(t *testing.T) {
	eachRing(t, func(t *testing.T, dir string) {
		ctx := context.Background()
		s, g := open(t, dir, smallRing), newTraffic()
		bad := failed(g.request("GET /bad"))
		export(t, s, bad...)
		done := make(chan struct{})
		var readers sync.WaitGroup
		readers.Go(func() {
			for !isClosed(done) {
				if tr, err := s.Trace(ctx, idOf(bad)); err != nil || len(tr.Spans) != len(bad) || len(tr.Problems) > 0 {
					t.Errorf("got %+v, %v; want %d spans", tr, err, len(bad))
					return
				}
			}
		})
		readers.Go(func() {
			for !isClosed(done) {
				p, err := s.Traces(ctx, spanstore.Query{Errors: true})
				if err != nil || len(p.Traces) != 1 || p.Traces[0].Spans != len(bad) || len(p.Problems) > 0 {
					t.Errorf("got %+v, %v; want one trace of %d spans", p, err, len(bad))
					return
				}
			}
		})
		g.wrap(t, s, 3)
		close(done)
		readers.Wait()
	})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestMaxAgeRemovesKeptTraces turns the ring, then lets time pass.
func TestMaxAgeRemovesKeptTraces(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, g := open(t, dir, &spanstore.Options{MaxBytes: 4 << 20, MaxAge: time.Hour}), newTraffic()
		g.at = time.Now()
		bad := failed(g.request("GET /bad"))
		export(t, s, bad...)
		g.wrap(t, s, 2)
		wantSpans(t, s, idOf(bad), bad)
		time.Sleep(time.Hour + time.Minute)
		export(t, s, g.request("GET /ordinary")...)
		flush(t, s)
		time.Sleep(4 * time.Second)
		if _, err := s.Trace(context.Background(), idOf(bad)); !errors.Is(err, spanstore.ErrNotFound) {
			t.Errorf("an hour later: got %v; want ErrNotFound", err)
		}
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		if ev, ok := s.Evicted(idOf(bad)); !ok || !strings.Contains(ev.Why, "older than 1h") {
			t.Errorf("nobody knows why it went: %+v, %v", ev, ok)
		}
	})
}

func TestPinsHaveABound(t *testing.T) {
	ctx := context.Background()
	s, g := open(t, t.TempDir(), smallRing), newTraffic()
	if err := s.Pin(ctx, g.TraceID()); !errors.Is(err, spanstore.ErrNotFound) {
		t.Errorf("an unknown trace: got %v; want ErrNotFound", err)
	}
	var last trace.TraceID
	for i := range spanstore.MaxPins + 1 {
		stubs := g.request("GET /")
		export(t, s, stubs[3])
		last = idOf(stubs)
		switch err := s.Pin(ctx, last); {
		case i < spanstore.MaxPins && err != nil:
			t.Fatal(err)
		case i == spanstore.MaxPins && (err == nil || !strings.Contains(err.Error(), "1000 traces are pinned")):
			t.Errorf("one more than may be: got %v", err)
		case i < spanstore.MaxPins:
		}
	}
	flush(t, s)
	s = reopen(t, s, smallRing)
	if err := s.Pin(ctx, last); err == nil {
		t.Error("the pins are forgotten after reopening")
	}
	var none *spanstore.Store
	if err := none.Pin(ctx, last); !errors.Is(err, spanstore.ErrNotFound) {
		t.Errorf("a nil store: got %v; want ErrNotFound", err)
	}
	if err := errors.Join(none.Unpin(ctx, last), s.Unpin(ctx, last)); err != nil {
		t.Error(err)
	}
}
