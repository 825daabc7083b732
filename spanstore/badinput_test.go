package spanstore_test

import (
	"fmt"
	"strings"
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

// TestBadInput stores spans that nobody should make: each comes back as it was,
// or clipped as documented, and counted.
func TestBadInput(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).UTC()
	const broken = "\xff\x00\xc3( not UTF-8"
	big := strings.Repeat("ü", 1<<19)
	for name, tc := range map[string]struct {
		make    func(x *tracetest.SpanStub)
		clipped int64
		want    func(x *tracetest.SpanStub) // what make made is changed to; nil: nothing
	}{
		"no times":            {make: func(x *tracetest.SpanStub) { x.StartTime, x.EndTime = time.Time{}, time.Time{} }},
		"no start":            {make: func(x *tracetest.SpanStub) { x.StartTime = time.Time{} }},
		"no end":              {make: func(x *tracetest.SpanStub) { x.EndTime = time.Time{} }},
		"an end before it":    {make: func(x *tracetest.SpanStub) { x.EndTime = x.StartTime.Add(-time.Hour) }},
		"the epoch":           {make: func(x *tracetest.SpanStub) { x.StartTime, x.EndTime = time.Unix(0, 0), time.Unix(0, 0) }},
		"no span id":          {make: func(x *tracetest.SpanStub) { x.SpanContext = x.SpanContext.WithSpanID(trace.SpanID{}) }},
		"no trace id":         {make: func(x *tracetest.SpanStub) { x.SpanContext = x.SpanContext.WithTraceID(trace.TraceID{}) }},
		"no ids":              {make: func(x *tracetest.SpanStub) { x.SpanContext = trace.SpanContext{} }},
		"nothing":             {make: func(x *tracetest.SpanStub) { *x = tracetest.SpanStub{} }},
		"its own parent":      {make: func(x *tracetest.SpanStub) { x.Parent = x.SpanContext }},
		"a kind, a status":    {make: func(x *tracetest.SpanStub) { x.SpanKind, x.Status.Code = 5, codes.Error }},
		"keys without a name": {make: func(x *tracetest.SpanStub) { x.Attributes = []attribute.KeyValue{{}, attribute.Int("", 1)} }},
		"a key twice": {make: func(x *tracetest.SpanStub) {
			x.Attributes = []attribute.KeyValue{attribute.Int("k", 1), attribute.Int("k", 2)}
		}},
		"times far away": {make: func(x *tracetest.SpanStub) { x.StartTime, x.EndTime = time.Unix(-9e9, 0), time.Unix(9e9, 0) }},
		"dropped counts": {make: func(x *tracetest.SpanStub) {
			x.DroppedAttributes, x.DroppedEvents, x.DroppedLinks = 1<<30, 1<<30, 1<<30
		}},
		"an event without any": {make: func(x *tracetest.SpanStub) { x.Events, x.Links = make([]sdktrace.Event, 2), make([]sdktrace.Link, 2) }},
		"invalid UTF-8": {make: func(x *tracetest.SpanStub) {
			x.Name, x.Status = broken, sdktrace.Status{Code: codes.Error, Description: broken}
			x.Attributes = []attribute.KeyValue{attribute.String(broken, broken), attribute.StringSlice("list", []string{broken})}
			x.Events = []sdktrace.Event{{Name: broken, Time: now, Attributes: x.Attributes}}
		}},
		"a value of a MiB": {
			make: func(x *tracetest.SpanStub) {
				x.Attributes = []attribute.KeyValue{attribute.String("big", big), attribute.Int("n", 1)}
			},
			clipped: 1,
			want:    func(x *tracetest.SpanStub) { x.Attributes[0] = attribute.String("big", big[:64<<10]) },
		},
		"5,000 attributes": {make: func(x *tracetest.SpanStub) {
			for i := range 5_000 {
				x.Attributes = append(x.Attributes, attribute.Int(fmt.Sprint("k", i), i))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), nil)
			g := spangen.New(*seed)
			x, other := g.Request(now, 1)[0], g.Request(now, 3)
			tc.make(&x)
			export(t, s, append([]tracetest.SpanStub{x}, other...)...)
			if st := s.Stats(); st.Accepted != 4 || st.Dropped() != 0 || st.Clipped != tc.clipped {
				t.Errorf("%d accepted, %d dropped, %d clipped; want 4, 0, %d", st.Accepted, st.Dropped(), st.Clipped, tc.clipped)
			}
			if tc.want != nil {
				tc.want(&x)
			}
			for range 2 { // from memory, then from disk
				wantSpans(t, s, x.SpanContext.TraceID(), []tracetest.SpanStub{x})
				wantSpans(t, s, idOf(other), other)
				for _, order := range []spanstore.Order{spanstore.NewestFirst, spanstore.LongestFirst} {
					if ids := list(t, s, spanstore.Query{Order: order, Limit: 1}); len(ids) != 2 {
						t.Errorf("%v first: %d traces are listed; want 2", order, len(ids))
					}
				}
				if _, err := s.Edges(ctx, time.Time{}, time.Time{}); err != nil {
					t.Error(err)
				}
				s = reopen(t, s, nil)
			}
			if err := s.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// A span with more than fits loses attributes, events and links, and says so in
// its dropped counts.
func TestTooMuchForASpan(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	x := spangen.New(1).Request(time.Now(), 1)[0]
	x.Attributes = nil
	for i := range 10_000 {
		x.Attributes = append(x.Attributes, attribute.String(fmt.Sprint("k", i), strings.Repeat("v", 100)))
	}
	x.Events, x.Links = make([]sdktrace.Event, 100_000), make([]sdktrace.Link, 100_000)
	export(t, s, x)
	s2 := reopen(t, s, nil)
	tr, err := s2.Trace(ctx, x.SpanContext.TraceID())
	if err != nil {
		t.Fatal(err)
	}
	got := tr.Spans[0]
	if n := len(got.Attributes); n == 0 || n+got.DroppedAttributes != 10_000 || got.DroppedAttributes == 0 {
		t.Errorf("%d attributes are kept, %d dropped; want some of each, 10,000 together", n, got.DroppedAttributes)
	}
	for i, kv := range got.Attributes {
		if kv != x.Attributes[i] {
			t.Fatalf("attribute %d is %v; want %v", i, kv, x.Attributes[i])
		}
	}
	if len(got.Events)+got.DroppedEvents != 100_000 || len(got.Links)+got.DroppedLinks != 100_000 {
		t.Errorf("%d+%d events, %d+%d links; want 100,000 of each", len(got.Events), got.DroppedEvents, len(got.Links), got.DroppedLinks)
	}
	if s.Stats().Clipped == 0 {
		t.Error("nothing is counted as clipped")
	}
}

// A trace of 100,000 spans is one trace: it is found whole, listed once, and its
// summary counts them.
func TestHugeTrace(t *testing.T) {
	n := 100_000
	s := open(t, t.TempDir(), nil)
	g := spangen.New(1)
	start := time.Now()
	root := g.Request(start, 1)[0]
	root.EndTime = start.Add(time.Hour)
	batch := make([]tracetest.SpanStub, 0, 1000)
	child := tracetest.SpanStub{Name: "SELECT", Parent: root.SpanContext, Resource: root.Resource}
	for i := range n - 1 {
		child.SpanContext = root.SpanContext.WithSpanID(g.SpanID())
		child.StartTime = start.Add(time.Duration(i) * time.Millisecond)
		child.EndTime = child.StartTime.Add(time.Millisecond)
		if batch = append(batch, child); len(batch) == cap(batch) {
			export(t, s, batch...)
			batch = batch[:0]
		}
	}
	export(t, s, append(batch, root)...)
	s = reopen(t, s, nil)
	tr, err := s.Trace(ctx, root.SpanContext.TraceID())
	if err != nil || len(tr.Spans) != n || len(tr.Problems) > 0 {
		t.Fatalf("got %v; want %d spans", err, n)
	}
	seen := map[trace.SpanID]bool{}
	for i := range tr.Spans {
		seen[tr.Spans[i].SpanID()] = true
	}
	if len(seen) != n {
		t.Errorf("%d of them are different; want %d", len(seen), n)
	}
	p, err := s.Traces(ctx, spanstore.Query{})
	if err != nil || len(p.Traces) != 1 || p.Traces[0].Spans != n || p.Traces[0].Duration != time.Hour {
		t.Errorf("got %+v, %v; want one trace of %d spans in an hour", p, err, n)
	}
}

// The clock stands a day earlier than when the directory was last written: what
// is in it stays as long as MaxAge says, by the clock as it is now, new spans
// come beside it, and nothing waits for the day to pass.
func TestClockJumpsBackwards(t *testing.T) {
	dir := t.TempDir()
	o := &spanstore.Options{MaxAge: 2 * time.Hour}
	g := spangen.New(1)
	var future, present []tracetest.SpanStub
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24 * time.Hour)
		s := open(t, dir, o)
		future = g.Request(time.Now(), 3)
		export(t, s, future...)
	})
	synctest.Test(t, func(t *testing.T) { // each bubble begins at the same time
		s := open(t, dir, o)
		present = g.Request(time.Now(), 3)
		export(t, s, present...)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Stats(); st.Durable != 3 {
			t.Errorf("after two seconds %d spans are durable; want 3", st.Durable)
		}
		time.Sleep(time.Hour)
		wantSpans(t, s, idOf(future), future)
		wantSpans(t, s, idOf(present), present)
		if ids := list(t, s, spanstore.Query{Limit: 1}); len(ids) != 2 || ids[0] != idOf(future) {
			t.Errorf("got the traces %v; want that of the future, then that of now", ids)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for _, stubs := range [][]tracetest.SpanStub{future, present} {
			if ev, ok := s.Evicted(idOf(stubs)); !ok || ev.When.Before(stubs[0].StartTime.Add(-30*time.Hour)) {
				t.Errorf("after three hours: got %+v, %v; want that both were too old", ev, ok)
			}
		}
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}
