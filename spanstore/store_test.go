package spanstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

var ctx = context.Background()

func TestEverythingComesBackEqual(t *testing.T) {
	t.Logf("seed %d", *seed)
	for _, dir := range []string{"", t.TempDir()} {
		g := spangen.New(*seed)
		s := open(t, dir, nil)
		traces := map[trace.TraceID][]tracetest.SpanStub{}
		check := func(when string) {
			t.Helper()
			for id, want := range traces {
				wantSpans(t, s, id, want)
			}
			t.Logf("%q, %s: %d traces are equal", dir, when, len(traces))
		}
		for range 40 { // parts of a trace come in different batches
			var batch []tracetest.SpanStub
			for range g.IntN(80) {
				w := g.Wild()
				for id := range traces {
					if g.IntN(3) == 0 {
						w.SpanContext = w.SpanContext.WithTraceID(id)
					}
					break
				}
				id := w.SpanContext.TraceID()
				traces[id] = append(traces[id], w)
				batch = append(batch, w)
			}
			export(t, s, batch...)
		}
		check("before any flush")
		flush(t, s)
		check("flushed")
		if dir != "" {
			s = reopen(t, s, nil)
			check("reopened")
		}
	}
}

func TestListIsNewestFirstAndPages(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	s := open(t, t.TempDir(), &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	base := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	const n = 3000
	type made struct {
		id    trace.TraceID
		start time.Time
		d     time.Duration
		name  string
		bad   bool
	}
	var all []made
	for i := range n {
		stubs := g.Request(base.Add(time.Duration(i)*time.Millisecond), 4)
		root := stubs[3]
		all = append(all, made{root.SpanContext.TraceID(), root.StartTime, root.EndTime.Sub(root.StartTime), root.Name, root.Status.Code == codes.Error})
		export(t, s, stubs...)
		if i == n/2 {
			s = reopen(t, s, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
		}
	}
	for _, tc := range []struct {
		name string
		q    spanstore.Query
		keep func(made) bool
	}{
		{"all", spanstore.Query{}, func(made) bool { return true }},
		{"pages of 7", spanstore.Query{Limit: 7, From: base.Add(2900 * time.Millisecond)}, func(m made) bool { return m.start.Sub(base) >= 2900*time.Millisecond }},
		{"to", spanstore.Query{To: base.Add(time.Second)}, func(m made) bool { return m.start.Sub(base) < time.Second }},
		{"slow", spanstore.Query{MinDuration: 40 * time.Millisecond}, func(m made) bool { return m.d >= 40*time.Millisecond }},
		{"errors", spanstore.Query{Errors: true, Limit: 10}, func(m made) bool { return m.bad }},
		{"route", spanstore.Query{Service: "gateway", Name: "GET /api/route3"}, func(m made) bool { return m.name == "GET /api/route3" }},
		{"a child", spanstore.Query{Service: "orders", Name: "redis.GET", Limit: 1000}, func(made) bool { return true }},
		{"name of another service", spanstore.Query{Service: "orders", Name: "GET /api/route3"}, func(made) bool { return false }},
		{"no such service", spanstore.Query{Service: "nobody"}, func(made) bool { return false }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := list(t, s, tc.q)
			var want []trace.TraceID
			for i := n - 1; i >= 0; i-- {
				if tc.keep(all[i]) {
					want = append(want, all[i].id)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("got %d traces; want %d", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("place %d: got %s; want %s", i, got[i], want[i])
				}
			}
		})
	}
}

// A page's place must hold while spans arrive: no trace twice, none left out.
func TestPagingWhileSpansArrive(t *testing.T) {
	g := spangen.New(1)
	s := open(t, "", nil)
	base := time.Now()
	want := map[trace.TraceID]bool{}
	for i := range 100 {
		stubs := g.Request(base.Add(time.Duration(i)*time.Millisecond), 2)
		want[stubs[0].SpanContext.TraceID()] = true
		export(t, s, stubs...)
	}
	q := spanstore.Query{Limit: 9}
	for n := 0; ; n++ {
		p, err := s.Traces(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range p.Traces {
			if n > 0 && !want[tr.TraceID] {
				t.Fatalf("page %d holds trace %s twice or for the first time", n, tr.TraceID)
			}
			delete(want, tr.TraceID)
		}
		export(t, s, g.Request(base.Add(time.Hour+time.Duration(n)), 3)...)
		if q.Cursor = p.Cursor; q.Cursor == "" {
			break
		}
	}
	if len(want) != 0 {
		t.Errorf("%d traces were on no page", len(want))
	}
}

func TestSummary(t *testing.T) {
	s := open(t, "", nil)
	g := spangen.New(2)
	stubs := g.Request(time.Unix(100, 5), 3)
	root := &stubs[2]
	root.Status = sdktrace.Status{Code: codes.Error}
	export(t, s, stubs[:2]...)
	sum := func() spanstore.Summary {
		p, err := s.Traces(ctx, spanstore.Query{})
		if err != nil || len(p.Traces) != 1 {
			t.Fatalf("got %d traces, %v; want 1", len(p.Traces), err)
		}
		return p.Traces[0]
	}
	if got := sum(); !got.Rootless || got.Spans != 2 || got.Service != "orders" || got.Name != stubs[0].Name ||
		got.Duration != stubs[1].EndTime.Sub(stubs[0].StartTime) {
		t.Errorf("before the root has ended: got %+v", got)
	}
	export(t, s, *root)
	want := spanstore.Summary{
		TraceID: root.SpanContext.TraceID(), Service: "gateway", Name: root.Name, Start: root.StartTime, Duration: root.EndTime.Sub(root.StartTime),
		Spans: 3, Errors: 1, Services: []string{"gateway", "orders"}, Usage: spanstore.Usage{TraceID: root.SpanContext.TraceID()},
	}
	if diff := spangen.Diff(sum(), want); diff != "" {
		t.Error(diff)
	}
}

func TestBudgetHoldsWhileTheRingTurns(t *testing.T) {
	dir := t.TempDir()
	const budget = 6 << 20
	s := open(t, dir, &spanstore.Options{MaxBytes: budget})
	g := spangen.New(4)
	start := time.Now()
	var first, last trace.TraceID
	for i := range 400 {
		var batch []tracetest.SpanStub
		for k := range 128 {
			stubs := g.Request(start.Add(time.Duration(i*128+k)*time.Millisecond), 8)
			for j := range stubs { // nothing that compresses
				stubs[j].Attributes = append(stubs[j].Attributes, attribute.String("noise", g.SpanID().String()+g.TraceID().String()))
			}
			last = stubs[0].SpanContext.TraceID()
			if first == (trace.TraceID{}) {
				first = last
			}
			batch = append(batch, stubs...)
		}
		export(t, s, batch...)
		if i%10 == 0 {
			flush(t, s)
		}
		if used := dirBytes(t, dir); used > budget {
			t.Fatalf("after %d batches the directory has %d bytes; the budget is %d", i, used, budget)
		}
	}
	flush(t, s)
	st := s.Stats()
	if st.EvictedSegments < 16 || st.Dropped() != 0 {
		t.Fatalf("the ring did not turn twice without loss: %+v", st)
	}
	if live := float64(dirBytes(t, dir)) / budget; live < 0.75 {
		t.Errorf("only %.2f of the budget is used", live)
	}
	if st.Spans+st.EvictedSpans != st.Accepted {
		t.Errorf("%d spans held + %d evicted; want the %d accepted", st.Spans, st.EvictedSpans, st.Accepted)
	}
	if _, err := s.Trace(ctx, last); err != nil {
		t.Errorf("the newest trace: %v", err)
	}
	if _, err := s.Trace(ctx, first); !errors.Is(err, spanstore.ErrNotFound) {
		t.Errorf("the oldest trace: got %v; want ErrNotFound", err)
	}
	if ev, ok := s.Evicted(last); ok {
		t.Errorf("the newest trace is said to be evicted: %+v", ev)
	}
	// The log of evictions is bounded: it knows, or says how far back it knows.
	if ev, ok := s.Evicted(first); !ok && ev.Since.IsZero() {
		t.Error("nothing is known of an evicted trace, and nothing said of it")
	}
	gone := evictedSoon(t, s, g, start.Add(time.Hour))
	ev, ok := s.Evicted(gone)
	if !ok || ev.When.IsZero() || !strings.Contains(ev.Why, "budget of 6 MiB") {
		t.Errorf("a trace evicted just now: got %+v, %v", ev, ok)
	}
	s = reopen(t, s, &spanstore.Options{MaxBytes: budget})
	if again, ok := s.Evicted(gone); !ok || again.Why != ev.Why {
		t.Errorf("after reopening: got %+v, %v; want %+v", again, ok, ev)
	}
	if st := s.Stats(); st.Spans == 0 || dirBytes(t, dir) > budget {
		t.Errorf("after reopening: %d spans in %d bytes", st.Spans, dirBytes(t, dir))
	}
}

// evictedSoon writes until the oldest trace of the moment is gone.
func evictedSoon(t *testing.T, s *spanstore.Store, g *spangen.Gen, at time.Time) trace.TraceID {
	t.Helper()
	ids := list(t, s, spanstore.Query{Limit: 1000})
	oldest := ids[len(ids)-1]
	for range 1000 {
		if _, err := s.Trace(ctx, oldest); err != nil {
			return oldest
		}
		var batch []tracetest.SpanStub
		for range 200 {
			batch = append(batch, g.Request(at, 5)...)
		}
		export(t, s, batch...)
		flush(t, s)
	}
	t.Fatal("the oldest trace is never evicted")
	return oldest
}

func dirBytes(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if fi, err := e.Info(); err == nil {
			n += fi.Size()
		}
	}
	return n
}

func TestMaxAge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := spanstore.Open(dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes, MaxAge: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		g := spangen.New(5)
		fill := func() (id trace.TraceID) { // more than one segment
			for range 60 {
				var batch []tracetest.SpanStub
				for range 100 {
					r := g.Request(time.Now(), 5)
					id = r[0].SpanContext.TraceID()
					batch = append(batch, r...)
				}
				export(t, s, batch...)
				flush(t, s)
			}
			return id
		}
		fill()
		old := s.Stats().Segments
		time.Sleep(2 * time.Hour)
		young := fill()
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		st := s.Stats()
		if old < 2 || st.EvictedSegments < int64(old-1) {
			t.Errorf("%d segments were too old; %d were evicted", old-1, st.EvictedSegments)
		}
		if _, err := s.Trace(ctx, young); err != nil {
			t.Errorf("a young trace: %v", err)
		}
	})
}

// Spans are durable two seconds after they were accepted, without a flush.
func TestDurableWithinTwoSeconds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := spanstore.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		g := spangen.New(6)
		for i := range 5 {
			export(t, s, g.Request(time.Now(), 3)...)
			time.Sleep(2*time.Second + time.Millisecond)
			synctest.Wait()
			if got, want := s.Stats().Durable, int64(3*(i+1)); got != want {
				t.Fatalf("%d spans are durable after two seconds; want %d", got, want)
			}
		}
	})
}

const killEnv = "SPANCLOCK_TEST_KILL_DIR"

// TestMain turns the test binary into the children that tests start.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		writeUntilKilled(dir)
		return
	}
	if spanstore.RunChild() {
		return
	}
	os.Exit(m.Run())
}

func writeUntilKilled(dir string) {
	s, err := spanstore.Open(dir, nil)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	g := spangen.New(uint64(time.Now().UnixNano()))
	for {
		stubs := g.Request(time.Now(), 5)
		spans := make([]sdktrace.ReadOnlySpan, len(stubs))
		for i := range stubs {
			spans[i] = stubs[i].Snapshot()
		}
		if err := s.ExportSpans(ctx, spans); err != nil {
			fmt.Println("error", err)
			return
		}
		if g.IntN(10) == 0 {
			if err := s.Flush(ctx); err != nil {
				fmt.Println("error", err)
				return
			}
			fmt.Println("durable", stubs[0].SpanContext.TraceID())
		}
	}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	var promised []string
	for range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), killEnv+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := make(chan string, 1<<16)
		go func() {
			defer close(lines)
			for {
				var word, id string
				if _, err := fmt.Fscanln(out, &word, &id); err != nil {
					return
				}
				lines <- word + " " + id
			}
		}()
		for range 20 {
			if l, ok := <-lines; ok {
				promised = append(promised, l)
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for l := range lines {
			promised = append(promised, l)
		}
		_ = child.Wait() // killed, as it should be

		s := open(t, dir, nil)
		for _, l := range promised {
			hex, ok := strings.CutPrefix(l, "durable ")
			id, err := trace.TraceIDFromHex(hex)
			if !ok || err != nil {
				t.Fatalf("the child said %q", l)
			}
			tr, err := s.Trace(ctx, id)
			if err != nil || len(tr.Spans) != 5 {
				t.Fatalf("a trace that was flushed before the kill: %v", err)
			}
		}
		for _, id := range list(t, s, spanstore.Query{Limit: 1000}) {
			// A trace that was not flushed may be there in part, at a block's end,
			// but no span is.
			tr, err := s.Trace(ctx, id)
			if err != nil || len(tr.Problems) > 0 {
				t.Fatalf("trace %s: %v %+v", id, err, tr)
			}
			for _, span := range tr.Spans {
				if span.Name == "" || span.Start.IsZero() || span.Duration() <= 0 || len(span.Attributes) == 0 || span.Resource == nil {
					t.Fatalf("span %s was half written: %+v", span.SpanID(), span)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d traces promised in %d rounds, all there", len(promised), rounds)
}

func TestUsage(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := open(t, dir, nil)
		g := spangen.New(8)
		start := time.Now().Truncate(0)
		stubs := g.Request(start, 3)
		id := stubs[0].SpanContext.TraceID()
		burnt := spanstore.Usage{TraceID: id, SpanID: stubs[1].SpanContext.SpanID(), Samples: 3, CPU: 30 * time.Millisecond, LateSamples: 1,
			Stacks: []spanstore.Stack{
				{Samples: 2, Frames: []spanstore.Frame{{Func: "main.leaf", File: "a.go", Line: 1}, {Func: "main.main", File: "a.go", Line: 9}}},
				{Samples: 1, Frames: []spanstore.Frame{{Func: "main.other", File: "b.go", Line: 2}}},
			}}
		stranger := burnt
		stranger.SpanID = g.SpanID()
		w := spanstore.Window{Start: start.Add(-time.Second), End: start.Add(9 * time.Second), Period: 10 * time.Millisecond, Samples: 900, Labeled: 4, Process: 9 * time.Second}
		hole := spanstore.Window{Start: w.End, End: w.End.Add(time.Second), Hole: "paused"}
		// More signals than a block takes: an hour, of which the trace has little.
		var hour []spanstore.Signals
		for i := range 3600 {
			at := start.Add(time.Duration(i-1800) * time.Second)
			hour = append(hour, spanstore.Signals{Start: at, End: at.Add(time.Second), Values: map[string]int64{"run_delay_ns": int64(i)}})
		}
		if err := s.AddUsage(ctx, spanstore.UsageBatch{Windows: []spanstore.Window{hole, w}, Signals: hour, Spans: []spanstore.Usage{burnt, stranger}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Trace(ctx, id); !errors.Is(err, spanstore.ErrNotFound) {
			t.Fatalf("usage without spans: got %v; want ErrNotFound", err)
		}
		export(t, s, stubs...)
		if err := s.AddUsage(ctx, spanstore.UsageBatch{Spans: []spanstore.Usage{burnt}}); err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			tr, err := s.Trace(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			want := burnt
			want.Samples, want.CPU, want.LateSamples = 6, 60*time.Millisecond, 2
			want.Stacks = []spanstore.Stack{{Frames: burnt.Stacks[0].Frames, Samples: 4}, {Frames: burnt.Stacks[1].Frames, Samples: 2}}
			if len(tr.Usage) != 1 {
				t.Errorf("%s: usage of %d spans; want 1", when, len(tr.Usage))
			}
			if diff := spangen.Diff(tr.Usage[burnt.SpanID], want); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
			if diff := spangen.Diff(tr.Windows, []spanstore.Window{w}); diff != "" {
				t.Errorf("%s: windows %s", when, diff)
			}
			var least, greatest time.Time
			for i, sp := range tr.Spans {
				if i == 0 || sp.Start.Before(least) {
					least = sp.Start
				}
				if sp.End.After(greatest) {
					greatest = sp.End
				}
			}
			var during []spanstore.Signals
			for _, x := range hour {
				if !x.Start.After(greatest) && !x.End.Before(least) {
					during = append(during, x)
				}
			}
			if diff := spangen.Diff(tr.Signals, during); diff != "" || len(during) == 0 {
				t.Errorf("%s: of %d signals %s", when, len(during), diff)
			}
			p, err := s.Traces(ctx, spanstore.Query{})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Traces[0].Usage; got.Samples != 9 || got.CPU != 90*time.Millisecond || got.Stacks != nil {
				t.Errorf("%s: the summary has %+v; want 9 samples, 90ms, no stacks", when, got)
			}
			if len(p.Traces[0].Windows) != 1 {
				t.Errorf("%s: the summary has %d windows; want 1", when, len(p.Traces[0].Windows))
			}
		}
		check("at once")
		flush(t, s)
		check("flushed")
		if dir != "" {
			s = reopen(t, s, nil)
			check("reopened")
		}
	}
}

func TestProcessorAndRecordAll(t *testing.T) {
	s := open(t, "", nil)
	other := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(spanstore.RecordAll(sdktrace.ParentBased(sdktrace.NeverSample()))),
		sdktrace.WithSpanProcessor(s.Processor()), sdktrace.WithBatcher(other))
	ctx1, root := tp.Tracer("t").Start(ctx, "root")
	_, child := tp.Tracer("t").Start(ctx1, "child")
	child.End()
	root.End()
	if root.SpanContext().IsSampled() {
		t.Error("a span that the base sampler dropped is sampled")
	}
	tr, err := s.Trace(ctx, root.SpanContext().TraceID()) // at once, without a flush
	if err != nil || len(tr.Spans) != 2 {
		t.Fatalf("got %+v, %v; want both spans", tr, err)
	}
	if err := tp.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if got := len(other.GetSpans()); got != 0 {
		t.Errorf("another exporter got %d spans that were not sampled", got)
	}
	// Shutdown must not have closed the store.
	export(t, s, spangen.New(1).Request(time.Now(), 1)...)
	if got := s.Stats(); got.Accepted != 3 || got.Dropped() != 0 {
		t.Errorf("got %+v; want 3 spans accepted", got)
	}
}

func TestProcessorCountsWhatItDrops(t *testing.T) {
	s := open(t, "", nil)
	p := s.Processor()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.OnEnd(tracetest.SpanStub{Name: "late"}.Snapshot())
	if got := s.Stats().Dropped(); got != 1 {
		t.Errorf("%d spans dropped after Close; want 1", got)
	}
	if err := s.ExportSpans(ctx, []sdktrace.ReadOnlySpan{tracetest.SpanStub{}.Snapshot()}); !errors.Is(err, spanstore.ErrClosed) {
		t.Errorf("export after Close: got %v; want ErrClosed", err)
	}
	if _, err := s.Traces(ctx, spanstore.Query{}); !errors.Is(err, spanstore.ErrClosed) {
		t.Errorf("query after Close: got %v; want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestRedact(t *testing.T) {
	const secret = "hunter2"
	dir := t.TempDir()
	s := open(t, dir, &spanstore.Options{Redact: func(f spanstore.Field, v attribute.Value) (attribute.Value, bool) {
		switch {
		case f.Key == "panic":
			panic("redactor is broken")
		case f.Key == "drop":
			return v, false
		case strings.Contains(v.String(), secret):
			return attribute.StringValue("***"), true
		}
		return v, true
	}})
	kvs := []attribute.KeyValue{attribute.String("a", secret), attribute.String("drop", secret), attribute.Int("n", 1), attribute.String("panic", secret)} // sorted, as sets sort in place
	span := spangen.New(1).Request(time.Now(), 1)[0]
	span.Name, span.Attributes = "login "+secret, kvs
	span.Events = []sdktrace.Event{{Name: secret, Attributes: kvs}}
	span.Links = []sdktrace.Link{{Attributes: kvs}}
	span.Status = sdktrace.Status{Code: codes.Error, Description: secret}
	span.Resource = resource.NewSchemaless(kvs...)
	span.InstrumentationScope.Attributes = attribute.NewSet(kvs...)
	export(t, s, span)
	s = reopen(t, s, nil)
	tr, err := s.Trace(ctx, span.SpanContext.TraceID())
	if err != nil {
		t.Fatal(err)
	}
	got := tr.Spans[0]
	if text := fmt.Sprintf("%+v %v %v", stub(got), got.Resource, got.Scope.Attributes.ToSlice()); strings.Contains(text, secret) {
		t.Errorf("the secret is in %s", text)
	}
	want := []attribute.KeyValue{attribute.String("a", "***"), attribute.Int("n", 1), attribute.String("panic", "(redaction failed)")}
	if diff := spangen.Diff(got.Attributes, want); diff != "" {
		t.Error(diff)
	}
	if got.Name != "***" || got.Events[0].Name != "***" || got.Status.Description != "***" {
		t.Errorf("texts are %q, %q, %q; want ***", got.Name, got.Events[0].Name, got.Status.Description)
	}
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("Windows has no such modes")
		return
	}
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, nil)
	export(t, s, spangen.New(1).Request(time.Now(), 1)...)
	flush(t, s)
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, %v; want 0700", fi.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Errorf("got %d files; want a segment and the lock", len(entries))
	}
	for _, e := range entries {
		if fi, _ := e.Info(); fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v; want 0600", e.Name(), fi.Mode())
		}
	}
}

func TestRunRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	run := s.Stats().Run
	if run.ID == "" || run.PID != os.Getpid() || run.GoVersion != runtime.Version() || run.Start.IsZero() {
		t.Errorf("got %+v", run)
	}
	export(t, s, spangen.New(1).Request(time.Now(), 1)...)
	s = reopen(t, s, nil)
	export(t, s, spangen.New(2).Request(time.Now(), 1)...)
	flush(t, s)
	second := s.Stats().Run
	runs, err := s.Runs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 2 || runs[0].ID != run.ID || runs[1].ID != second.ID || run.ID == second.ID {
		t.Errorf("got %+v; want the runs %s and %s", runs, run.ID, second.ID)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := open(t, t.TempDir(), &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	p := s.Processor()
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			g := spangen.New(uint64(n))
			for i := range 300 {
				for _, stub := range g.Request(time.Now(), 6) {
					p.OnEnd(stub.Snapshot())
				}
				switch {
				case i%50 == 0:
					if err := s.Flush(ctx); err != nil {
						t.Error(err)
					}
				case i%20 == 0:
					page, err := s.Traces(ctx, spanstore.Query{Limit: 5})
					if err != nil || len(page.Problems) > 0 {
						t.Errorf("%v, %q", err, page.Problems)
						return
					}
					for _, sum := range page.Traces {
						tr, err := s.Trace(ctx, sum.TraceID)
						if err != nil && !errors.Is(err, spanstore.ErrNotFound) || err == nil && len(tr.Problems) > 0 {
							t.Errorf("trace of the list: %v %+v", err, tr)
						}
					}
				case i%7 == 0:
					s.Stats()
					_ = s.AddUsage(ctx, spanstore.UsageBatch{Windows: []spanstore.Window{{Start: time.Now(), End: time.Now()}}})
				}
			}
		})
	}
	wg.Wait()
	st := s.Stats()
	if st.Accepted+st.Queued+st.DroppedQueue != 4*300*6 {
		t.Errorf("accepted %d, queued %d, dropped %d; want %d together", st.Accepted, st.Queued, st.DroppedQueue, 4*300*6)
	}
}
