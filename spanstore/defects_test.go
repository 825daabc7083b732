package spanstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// A trace in many blocks is counted once, however many queries read at once and
// however small the cache is.
func TestEachSpanCountsOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	g := spangen.New(1)
	long := g.Request(time.Now(), 1)[0]
	for i := range 60 {
		part := g.Request(long.StartTime.Add(time.Duration(i)*time.Second), 1)[0]
		part.SpanContext = part.SpanContext.WithTraceID(long.SpanContext.TraceID())
		part.Parent = long.SpanContext
		batch := []tracetest.SpanStub{part}
		for len(batch) < 2048 {
			batch = append(batch, g.Request(part.StartTime, 8)...)
		}
		export(t, s, batch...)
	}
	export(t, s, long)
	s = reopen(t, s, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, id := range list(t, s, spanstore.Query{Limit: 5000}) {
				_ = id
			}
			q := spanstore.Query{Limit: 5000}
			for {
				p, err := s.Traces(ctx, q)
				if err != nil {
					t.Error(err)
					return
				}
				for _, sum := range p.Traces {
					want := 8
					if sum.TraceID == long.SpanContext.TraceID() {
						want = 61
					}
					if sum.Spans != want {
						t.Errorf("trace %s has %d spans; want %d", sum.TraceID, sum.Spans, want)
						return
					}
				}
				if q.Cursor = p.Cursor; q.Cursor == "" {
					return
				}
			}
		})
	}
	wg.Wait()
}

// Every span for which ExportSpans returned nil while the store was closed is
// there after reopening, or was counted as dropped.
func TestCloseLosesNothing(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		s := open(t, dir, nil)
		var accepted, refused int64
		var mu sync.Mutex
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				g := spangen.New(uint64(n))
				for range 100 {
					spans := []sdktrace.ReadOnlySpan{}
					for _, stub := range g.Request(time.Now(), 50) {
						spans = append(spans, stub.Snapshot())
					}
					err := s.ExportSpans(ctx, spans)
					mu.Lock()
					if err == nil {
						accepted += 50
					} else {
						refused += 50
					}
					mu.Unlock()
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		st := s.Stats()
		s = open(t, dir, nil)
		if held := s.Stats().Spans; held != accepted || st.Accepted != accepted || st.DroppedClosed != refused {
			t.Errorf("%d spans were accepted (%d by Stats), %d refused (%d); %d are there after reopening",
				accepted, st.Accepted, refused, st.DroppedClosed, held)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Coarse clocks give many traces the same start.
func TestPagingThroughEqualStarts(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	g := spangen.New(1)
	at := time.Now()
	for range 3 {
		var batch []tracetest.SpanStub
		for range 2000 {
			one := g.Request(at, 1)[0]
			one.EndTime = at
			batch = append(batch, one)
		}
		export(t, s, batch...)
		flush(t, s)
	}
	seen := map[trace.TraceID]bool{}
	for _, id := range list(t, s, spanstore.Query{Limit: 300}) {
		seen[id] = true
	}
	if len(seen) != 6000 {
		t.Errorf("paging finds %d traces; want 6000", len(seen))
	}
}

// A segment of a newer format is refused and left as it is, be it the newest.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	export(t, s, spangen.New(1).Request(time.Now(), 3)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := segments(t, dir)[0]
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{99, 0xff ^ 99})
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spanstore.Open(dir, nil); err == nil || !strings.Contains(err.Error(), "newer version") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v; want an error that names the file and a newer version", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed, or is gone: %v", err)
	}
}

func TestReopenWithASmallerBudget(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &spanstore.Options{MaxBytes: 32 << 20})
	g := spangen.New(1)
	for dirBytes(t, dir) < 20<<20 {
		export(t, s, heavy(g, 200)...)
		flush(t, s)
	}
	s = reopen(t, s, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	if n := dirBytes(t, dir); n > spanstore.MinMaxBytes {
		t.Errorf("the directory has %d bytes; want at most %d", n, spanstore.MinMaxBytes)
	}
	if ids := list(t, s, spanstore.Query{Limit: 1000}); len(ids) == 0 {
		t.Error("nothing is left")
	}
}

// No single span, however large, costs others their place.
func TestOversizedSpan(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	state := func() trace.TraceState {
		members := make([]string, 32)
		for i := range members {
			members[i] = strings.Repeat("k", 200) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "=" + strings.Repeat("v", 250)
		}
		ts, err := trace.ParseTraceState(strings.Join(members, ","))
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}()
	for name, grow := range map[string]func(*tracetest.SpanStub){
		"key":    func(s *tracetest.SpanStub) { s.Attributes = []attribute.KeyValue{attribute.String(big, "v")} },
		"value":  func(s *tracetest.SpanStub) { s.Attributes = []attribute.KeyValue{attribute.String("k", big)} },
		"name":   func(s *tracetest.SpanStub) { s.Name = big },
		"scope":  func(s *tracetest.SpanStub) { s.InstrumentationScope.Name, s.InstrumentationScope.SchemaURL = big, big },
		"events": func(s *tracetest.SpanStub) { s.Events = make([]sdktrace.Event, 100_000) },
		"attributes": func(s *tracetest.SpanStub) {
			for i := range 10_000 {
				s.Attributes = append(s.Attributes, attribute.Int(strings.Repeat("k", i%100)+string(rune(i)), i))
			}
		},
		"trace states": func(s *tracetest.SpanStub) {
			for range 128 {
				s.Links = append(s.Links, sdktrace.Link{SpanContext: s.SpanContext.WithTraceState(state)})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
			stubs := spangen.New(1).Request(time.Now(), 101)
			grow(&stubs[50])
			export(t, s, stubs...)
			s = reopen(t, s, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
			tr, err := s.Trace(ctx, stubs[0].SpanContext.TraceID())
			if err != nil || len(tr.Spans) != 101 {
				t.Fatalf("got %v; want all 101 spans", err)
			}
			if st := s.Stats(); st.Segments != 1 {
				t.Errorf("%d segments; want 1", st.Segments)
			}
		})
	}
}

// panicking is a span one of whose methods panics.
type panicking struct{ sdktrace.ReadOnlySpan }

func (panicking) Links() []sdktrace.Link { panic("no links") }

func TestSpanThatPanics(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	g := spangen.New(1)
	var all []tracetest.SpanStub
	for range 50 {
		good := g.Wild()
		bad := panicking{g.Wild().Snapshot()}
		all = append(all, good)
		if err := s.ExportSpans(ctx, []sdktrace.ReadOnlySpan{bad, good.Snapshot(), nil, bad}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, s)
	for _, w := range all {
		wantSpans(t, s, w.SpanContext.TraceID(), []tracetest.SpanStub{w})
	}
	if st := s.Stats(); st.Accepted != 50 || st.Spans != 50 || st.DroppedBroken != 100 {
		t.Errorf("accepted %d, held %d, dropped %d; want 50, 50, 100", st.Accepted, st.Spans, st.DroppedBroken)
	}
}

// callback is a log handler that uses the store it logs for.
type callback struct {
	slog.Handler
	f func()
}

func (c callback) Handle(context.Context, slog.Record) error { c.f(); return nil }

// The program's own code is never called with a lock held that it may need.
func TestRedactAndLoggerMayUseTheStore(t *testing.T) {
	var s *spanstore.Store
	use := func() {
		s.Stats()
		_, _ = s.Traces(ctx, spanstore.Query{Limit: 1})
	}
	s = open(t, "", &spanstore.Options{
		Logger: slog.New(callback{slog.DiscardHandler, use}),
		Redact: func(spanstore.Field, attribute.Value) (attribute.Value, bool) {
			s.Stats()
			panic("always")
		},
	})
	export(t, s, spangen.New(1).Request(time.Now(), 3)...)
	if st := s.Stats(); st.Accepted != 3 || st.RedactFailed == 0 {
		t.Errorf("got %+v; want 3 spans and failures of Redact", st)
	}
}

// A batch of usage far larger than a block is split, not lost.
func TestLargeUsage(t *testing.T) {
	s := open(t, t.TempDir(), &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	g := spangen.New(1)
	stubs := g.Request(time.Now(), 400)
	export(t, s, stubs...)
	var b spanstore.UsageBatch
	b.Windows = []spanstore.Window{{Start: stubs[399].StartTime, End: stubs[399].EndTime, Period: 10 * time.Millisecond}}
	frames := func(n int) (fs []spanstore.Frame) {
		for range n {
			fs = append(fs, spanstore.Frame{Func: g.TraceID().String(), File: g.TraceID().String(), Line: g.IntN(1000)})
		}
		return fs
	}
	for _, stub := range stubs {
		b.Spans = append(b.Spans, spanstore.Usage{TraceID: stub.SpanContext.TraceID(), SpanID: stub.SpanContext.SpanID(), Samples: 2,
			Stacks: []spanstore.Stack{{Frames: frames(20), Samples: 1}, {Frames: frames(20), Samples: 1}}})
	}
	for range 2000 { // more than one block can name
		b.Spans[0].Stacks = append(b.Spans[0].Stacks, spanstore.Stack{Frames: frames(128), Samples: 1})
	}
	if err := s.AddUsage(ctx, b); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	tr, err := s.Trace(ctx, stubs[0].SpanContext.TraceID())
	if err != nil || len(tr.Problems) > 0 {
		t.Fatalf("%v %q", err, tr.Problems)
	}
	if len(tr.Usage) != 400 || len(tr.Windows) != 1 {
		t.Errorf("usage of %d spans, %d windows; want 400, 1", len(tr.Usage), len(tr.Windows))
	}
	if u := tr.Usage[stubs[7].SpanContext.SpanID()]; len(u.Stacks) != 2 || u.Samples != 2 {
		t.Errorf("a span in the middle has %d stacks, %d samples; want 2, 2", len(u.Stacks), u.Samples)
	}
}

func TestTimesOutOfRange(t *testing.T) {
	s := open(t, "", nil)
	stubs := spangen.New(1).Request(time.Now(), 1)
	export(t, s, stubs...)
	for name, q := range map[string]spanstore.Query{
		"far to":   {To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		"far from": {From: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)},
	} {
		if got := list(t, s, q); len(got) != 1 {
			t.Errorf("%s: got %d traces; want 1", name, len(got))
		}
	}
	zero := spangen.New(2).Request(time.Now(), 1)[0]
	zero.EndTime = time.Time{}
	export(t, s, zero)
	p, err := s.Traces(ctx, spanstore.Query{MinDuration: time.Hour})
	if err != nil || len(p.Traces) != 0 {
		t.Errorf("a span without an end is in the list of the slow: %+v, %v", p.Traces, err)
	}
}

// A quiet service keeps MaxAge too: its last spans go without new ones coming.
func TestMaxAgeOfAQuietService(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := spanstore.Open(dir, &spanstore.Options{MaxAge: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		stubs := spangen.New(1).Request(time.Now(), 3)
		id := stubs[0].SpanContext.TraceID()
		export(t, s, stubs...)
		time.Sleep(50 * time.Minute)
		if _, err := s.Trace(ctx, id); err != nil {
			t.Errorf("after 50 minutes: %v", err)
		}
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if _, err := s.Trace(ctx, id); !errors.Is(err, spanstore.ErrNotFound) {
			t.Errorf("after 65 minutes: got %v; want ErrNotFound", err)
		}
		if ev, ok := s.Evicted(id); !ok || !strings.Contains(ev.Why, "older than 1h") {
			t.Errorf("got %+v, %v; want that it was too old", ev, ok)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = spanstore.Open(dir, nil); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Evicted(id); !ok {
			t.Error("after reopening nobody knows of the eviction")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A context that ends in the middle of things loses no span.
func TestFlushWithAShortContext(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	p := s.Processor()
	g := spangen.New(1)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range 100 {
		for _, stub := range g.Request(time.Now(), 5) {
			p.OnEnd(stub.Snapshot())
		}
		_ = p.ForceFlush(gone)
	}
	flush(t, s)
	if st := s.Stats(); st.Durable != 500 || st.Dropped() != 0 {
		t.Errorf("%d durable, %d dropped; want 500, 0", st.Durable, st.Dropped())
	}
}
