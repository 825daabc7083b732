package spanstore_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// TestExactComesBack: what an execution trace tells of a span is stored with it,
// shown with its trace and left out of lists; of two the one that covers more
// counts.
func TestExactComesBack(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	spans := spangen.New(*seed).Request(time.Now(), 3)
	export(t, s, spans...)
	id, span := spans[0].SpanContext.TraceID(), spans[0].SpanContext.SpanID()
	frames := []spanstore.Frame{{Func: "sync.(*Mutex).Lock", File: "mutex.go", Line: 46}, {Func: "main.pay", File: "pay.go", Line: 7}}
	at := time.Unix(1_700_000_000, 5).UTC()
	want := &spanstore.Exact{
		Start: at, End: at.Add(9 * time.Millisecond), Running: 5 * time.Millisecond, Goroutines: 2,
		Stolen: 2 * time.Millisecond, StolenLow: time.Millisecond, StolenHigh: 3 * time.Millisecond,
		Segments: []spanstore.StateSegment{
			{From: time.Millisecond, To: 4 * time.Millisecond, State: "cpu", Stolen: 2 * time.Millisecond, Wait: -1},
			{From: 5 * time.Millisecond, To: 8 * time.Millisecond, State: "lock", Wait: 1},
			{From: 8 * time.Millisecond, To: 9 * time.Millisecond, State: "chan", Wait: 0},
		},
		Waits: []spanstore.Wait{
			{State: "chan", Total: time.Millisecond, Count: 1},
			{State: "lock", Total: 3 * time.Millisecond, Count: 4, Stack: frames, Waker: frames[1:], WakerSpan: trace.SpanID{9}},
		},
	}
	less := &spanstore.Exact{Start: at.Add(2 * time.Millisecond), End: at.Add(3 * time.Millisecond)}
	for _, e := range []*spanstore.Exact{less, want, less, nil} {
		u := spanstore.Usage{TraceID: id, SpanID: span, Samples: 1, CPU: 10 * time.Millisecond, Exact: e}
		if err := s.AddUsage(context.Background(), spanstore.UsageBatch{Spans: []spanstore.Usage{u}}); err != nil {
			t.Fatal(err)
		}
	}
	compare := func(s *spanstore.Store) {
		t.Helper()
		tr, err := s.Trace(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		got := tr.Usage[span]
		if got.Samples != 4 || !reflect.DeepEqual(got.Exact, want) {
			t.Errorf("got %d samples and %+v; want 4 and %+v", got.Samples, got.Exact, want)
		}
	}
	compare(s)
	s = reopen(t, s, nil)
	compare(s)
	p, err := s.Traces(context.Background(), spanstore.Query{})
	if err != nil || len(p.Traces) != 1 || p.Traces[0].Usage.Exact != nil {
		t.Errorf("in a list: got %+v, %v; want no exact states", p, err)
	}
}

// TestExactOutOfOrder: what makes no sense is left out, nothing else with it.
func TestExactOutOfOrder(t *testing.T) {
	s := open(t, "", nil)
	spans := spangen.New(*seed).Request(time.Now(), 3)
	export(t, s, spans...)
	id, span := spans[0].SpanContext.TraceID(), spans[0].SpanContext.SpanID()
	e := &spanstore.Exact{Segments: []spanstore.StateSegment{{From: 5, To: 8, State: "cpu", Wait: 7}, {From: 2, To: 4, State: "net"}, {From: 9, To: 9}, {From: 8, To: 10, State: "net", Wait: -3}}}
	err := s.AddUsage(context.Background(), spanstore.UsageBatch{Spans: []spanstore.Usage{{TraceID: id, SpanID: span, Exact: e}}})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := s.Trace(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := []spanstore.StateSegment{{From: 5, To: 8, State: "cpu", Wait: -1}, {From: 8, To: 10, State: "net", Wait: -1}}
	if got := tr.Usage[span].Exact; got == nil || !reflect.DeepEqual(got.Segments, want) {
		t.Errorf("got %+v; want %+v", got, want)
	}
}
