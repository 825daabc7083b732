package spanstore_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// longSpan exports a span of an hour, and returns it.
func longSpan(t *testing.T, s *spanstore.Store, g *spangen.Gen) tracetest.SpanStub {
	t.Helper()
	stub := g.Request(time.Now(), 1)[0]
	stub.EndTime = stub.StartTime.Add(time.Hour)
	export(t, s, stub)
	return stub
}

// Windows and signals that are too large for one block get several.
func TestWindowsAndSignalsOfManyBlocks(t *testing.T) {
	for _, c := range []struct{ windows, signals, spans int }{
		{200, 0, 0}, {0, 900, 0}, {200, 900, 0}, {200, 900, 1}, {201, 901, 3},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			s, g := open(t, t.TempDir(), &spanstore.Options{MaxBytes: spanstore.MinMaxBytes}), spangen.New(1)
			stub := longSpan(t, s, g)
			var b spanstore.UsageBatch
			for i := range c.windows {
				at := stub.StartTime.Add(time.Duration(i) * time.Second)
				b.Windows = append(b.Windows, spanstore.Window{Start: at, End: at.Add(time.Second), Hole: noise(g, 1000)})
			}
			for i := range c.signals {
				x := spanstore.Signals{Start: stub.StartTime.Add(time.Duration(i) * time.Second), Values: map[string]int64{}}
				x.End = x.Start.Add(time.Second)
				for n := range 30 {
					x.Values[fmt.Sprint("signal ", n)] = int64(g.Uint64() >> 1)
				}
				b.Signals = append(b.Signals, x)
			}
			for i := range c.spans {
				b.Spans = append(b.Spans, spanstore.Usage{
					TraceID: stub.SpanContext.TraceID(), SpanID: stub.SpanContext.SpanID(), Samples: 1,
					Stacks: []spanstore.Stack{{Frames: []spanstore.Frame{{Func: fmt.Sprint("f", i)}}, Samples: 1}},
				})
			}
			if err := s.AddUsage(ctx, b); err != nil {
				t.Fatal(err)
			}
			flush(t, s)
			check(t, s)
			tr, err := s.Trace(ctx, stub.SpanContext.TraceID())
			if err != nil {
				t.Fatal(err)
			}
			u := tr.Usage[stub.SpanContext.SpanID()]
			if len(tr.Windows) != c.windows || len(tr.Signals) != c.signals || u.Samples != c.spans || len(u.Stacks) != c.spans {
				t.Errorf("got %d windows, %d signals, %d samples in %d stacks", len(tr.Windows), len(tr.Signals), u.Samples, len(u.Stacks))
			}
			if n := s.Stats().UsageDropped; n > 0 {
				t.Errorf("%d parts of it were dropped", n)
			}
		})
	}
}

// A window that no block holds is counted and told, once until a batch is whole
// again, and takes nothing else with it.
func TestUsageTooLargeIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	s, g := open(t, "", &spanstore.Options{MaxBytes: spanstore.MinMaxBytes, Logger: slog.New(slog.NewTextHandler(&log, nil))}), spangen.New(1)
	stub := longSpan(t, s, g)
	span := spanstore.Usage{TraceID: stub.SpanContext.TraceID(), SpanID: stub.SpanContext.SpanID(), Samples: 1}
	large := spanstore.Window{Start: stub.StartTime, End: stub.EndTime, Hole: noise(g, 1<<20)}
	small := spanstore.Window{Start: stub.StartTime, End: stub.EndTime}
	told := func(want int) {
		t.Helper()
		if n := strings.Count(log.String(), "are dropped"); n != want {
			t.Errorf("it was told %d times; want %d:\n%.500s", n, want, log.String())
		}
	}
	for i, c := range []struct {
		windows []spanstore.Window
		told    int
	}{
		{[]spanstore.Window{small, large}, 1},
		{[]spanstore.Window{large, small}, 1},
		{[]spanstore.Window{small}, 1},
		{[]spanstore.Window{large}, 2},
	} {
		if err := s.AddUsage(ctx, spanstore.UsageBatch{Windows: c.windows, Spans: []spanstore.Usage{span}}); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		told(c.told)
	}
	if n := s.Stats().UsageDropped; n != 3 {
		t.Errorf("%d parts are counted as dropped; want 3", n)
	}
	tr, err := s.Trace(ctx, stub.SpanContext.TraceID())
	if err != nil {
		t.Fatal(err)
	}
	if u := tr.Usage[span.SpanID]; u.Samples != 4 || len(tr.Windows) != 3 {
		t.Errorf("got %d samples and %d windows; want 4 and 3", u.Samples, len(tr.Windows))
	}
}

// The stacks of waits are bounded as those of samples are, and the batch of the
// caller stays as it is.
func TestFramesOfWaitsAreBounded(t *testing.T) {
	const most = 1 << 17
	s, g := open(t, "", nil), spangen.New(1)
	stub := longSpan(t, s, g)
	deep := make([]spanstore.Frame, most/4)
	for i := range deep {
		deep[i] = spanstore.Frame{Func: "f", Line: i % 7}
	}
	e := &spanstore.Exact{
		Start: stub.StartTime, End: stub.EndTime,
		Segments: []spanstore.StateSegment{{To: time.Second, State: "blocked", Wait: 2}},
	}
	for range 3 {
		e.Waits = append(e.Waits, spanstore.Wait{State: "blocked", Total: time.Second, Stack: deep, Waker: deep})
	}
	id, span := stub.SpanContext.TraceID(), stub.SpanContext.SpanID()
	err := s.AddUsage(ctx, spanstore.UsageBatch{Spans: []spanstore.Usage{{TraceID: id, SpanID: span, Exact: e}}})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := s.Trace(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	got := tr.Usage[span].Exact
	if got == nil || len(got.Waits) != 3 || got.Segments[0].Wait != 2 {
		t.Fatalf("the waits are not all there: %+v", got)
	}
	for i, w := range got.Waits {
		want := len(deep)
		if i == 2 {
			want = 0
		}
		if len(w.Stack) != want || len(w.Waker) != want {
			t.Errorf("wait %d has %d and %d frames; want %d each", i, len(w.Stack), len(w.Waker), want)
		}
		if len(e.Waits[i].Stack) != len(deep) {
			t.Errorf("wait %d of the caller was changed", i)
		}
	}
}
