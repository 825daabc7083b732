package spantest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
	. "github.com/spanclock/spanclock/spanstore/spantest"
)

// TestTraceWaitsForServer asks for traces whose server answers long before its span
// ends.
func TestTraceWaitsForServer(t *testing.T) {
	rec := New(t)
	tracer := rec.Provider().Tracer("server")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, span := tracer.Start(r.Context(), "GET "+r.URL.Path)
		w.Write([]byte("answer"))
		w.(http.Flusher).Flush()
		time.Sleep(2 * time.Millisecond)
		span.End()
	}))
	defer server.Close()
	var last trace.TraceID
	for range 20 {
		resp, err := http.Get(server.URL + "/x")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tr := rec.Trace("GET /x")
		if tr.Trace.ID == last {
			t.Fatalf("got trace %s again; want that of the last request", last)
		}
		last = tr.Trace.ID
	}
}

// TestNewestUnderFakeTime makes several requests in one instant.
func TestNewestUnderFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := New(t)
		tracer := rec.Provider().Tracer("test")
		for range 20 {
			_, span := tracer.Start(t.Context(), "tick")
			span.End()
			if got, want := rec.Trace("tick").Trace.ID, span.SpanContext().TraceID(); got != want {
				t.Fatalf("got trace %s; want the last one, %s", got, want)
			}
		}
	})
}

func TestNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := said(t, func(tb testing.TB) { New(tb).Trace("GET /x") })
		contains(t, tb.said(), `no trace meets entry name="GET /x" after 10s; nothing was recorded at all`, "Recorder.Provider")
		if !tb.fatal {
			t.Error("the test went on; want it to end")
		}
		tb = said(t, func(tb testing.TB) {
			rec := NewWith(tb, &Options{Patience: time.Second})
			checkout.run(t.Context(), rec.Provider().Tracer("test"))
			rec.Trace("GET /x")
		})
		contains(t, tb.said(), "after 1s; there are POST /checkout (7 spans)")
		tb = said(t, func(tb testing.TB) {
			rec := New(tb)
			_, span := rec.Provider().Tracer("test").Start(t.Context(), "endless")
			defer span.End()
			rec.Trace("endless")
		})
		contains(t, tb.said(), "nothing has ended yet; running: endless")
		tb = said(t, func(tb testing.TB) { New(tb).Find("name=") })
		contains(t, tb.said(), "column")
	})
}

// TestSpanThatNeverEnds is a leak that a test shows.
func TestSpanThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := said(t, func(tb testing.TB) {
			rec := New(tb)
			tracer := rec.Provider().Tracer("test")
			ctx, root := tracer.Start(t.Context(), "root")
			tracer.Start(ctx, "leaked")
			root.End()
			rec.Trace("root")
		})
		contains(t, tb.said(), "is not over after 10s: still running: leaked", "root\n")
	})
}

// TestOtherRootsRunOn finds a trace though a consumer's span runs all the time.
func TestOtherRootsRunOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := New(t)
		tracer := rec.Provider().Tracer("test")
		_, consumer := tracer.Start(t.Context(), "consume")
		defer consumer.End()
		checkout.run(t.Context(), tracer)
		rec.Trace("POST /checkout").Expect(Root().Duration().Is(100 * ms))
	})
}

// TestServices records two services in one process.
func TestServices(t *testing.T) {
	rec := New(t)
	ctx, root := rec.ServiceProvider("gateway").Tracer("test").Start(t.Context(), "GET /")
	sc := trace.SpanContextFromContext(ctx).WithRemote(true)
	_, child := rec.ServiceProvider("users").Tracer("test").Start(trace.ContextWithRemoteSpanContext(t.Context(), sc), "GET /user")
	child.End()
	root.End()
	tr := rec.Find(`service=users name="GET /user"`)
	tr.Expect(Span("GET /user").Of("users").Count().Is(1), Span("GET /user").In(Root()).Count().Is(1))
	if got, want := tr.Outline(), "gateway: GET /\n  users: GET /user\n"; got != want {
		t.Errorf("got outline %q; want %q", got, want)
	}
}

// TestOn reads the store of a program that has its own.
func TestOn(t *testing.T) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	rec := On(t, store, nil, tp)
	go func() {
		_, span := tp.Tracer("test").Start(context.Background(), "job")
		time.Sleep(5 * time.Millisecond)
		span.End()
	}()
	tr := rec.Trace("job")
	tr.Expect(Root().Duration().AtLeast(5 * ms))
	if err := tr.Check(Root().CPU().Under(time.Second)); err == nil || !strings.Contains(err.Error(), "no profiler runs") {
		t.Errorf("got %v; want it to say that no profiler runs", err)
	}
}

// TestFileOfFailure reads the file that a failure leaves.
func TestFileOfFailure(t *testing.T) {
	tb := &recordingTB{TB: t}
	rec := New(t)
	checkout.run(t.Context(), rec.Provider().Tracer("test"))
	tr := Of(tb, rec.Trace("POST /checkout").Trace)
	tr.Expect(Root().Duration().Under(1))
	tr.Expect(Root().Duration().Under(2)) // the same file

	files, err := filepath.Glob(filepath.Join(t.ArtifactDir(), "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got files %q, %v; want one", files, err)
	}
	if !strings.Contains(tb.said(), "spanclock view "+files[0]) {
		t.Errorf("got %s\nwant the line that opens %s", tb.said(), files[0])
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	traces, err := otlp.Read(f, nil)
	if err != nil || len(traces) != 1 {
		t.Fatalf("got %d traces, %v; want one", len(traces), err)
	}
	if got, want := Of(t, traces[0]).Outline("rows"), tr.Outline("rows"); got != want {
		t.Errorf("got from the file\n%s\nwant\n%s", got, want)
	}
}

// TestCPU measures CPU time in tests that run in parallel, and share a profiler.
func TestCPU(t *testing.T) {
	for _, name := range []string{"one", "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := NewWith(t, &Options{CPU: true})
			tracer := rec.Provider().Tracer("test")
			ctx, root := tracer.Start(t.Context(), name)
			_, busy := tracer.Start(ctx, "busy")
			burn()
			busy.End()
			_, idle := tracer.Start(ctx, "idle")
			time.Sleep(50 * time.Millisecond)
			idle.End()
			root.End()

			tr := rec.Trace(name)
			tr.Expect(
				Span("busy").CPU().Over(20*ms),
				Span("idle").CPU().Under(40*ms),
				Span("idle").StallShare().Over(0.2),
				Root().TotalCPU().Over(20*ms),
				Root().CPU().Over(time.Minute).Not(),
			)
			if err := tr.Check(Span("busy").InState(stall.StateLock).Under(1)); err == nil || !strings.Contains(err.Error(), "Options.Exact") {
				t.Errorf("got %v; want it to ask for Options.Exact", err)
			}
		})
	}
}

// TestExact asserts what a span waited for.
func TestExact(t *testing.T) {
	rec := NewWith(t, &Options{Exact: true})
	tracer := rec.Provider().Tracer("test")
	var mu sync.Mutex
	mu.Lock()
	time.AfterFunc(30*time.Millisecond, mu.Unlock)
	ctx, root := tracer.Start(t.Context(), "root")
	_, waits := tracer.Start(ctx, "waits")
	mu.Lock()
	waits.End()
	root.End()
	rec.Trace("root").Expect(Span("waits").InState(stall.StateLock).Over(15*ms), Span("waits").InState(stall.StateSleep).Is(0))
}

// TestSecondProfiler says what to do when the program has its own.
func TestSecondProfiler(t *testing.T) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	prof, err := profiler.Start(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	tb := said(t, func(tb testing.TB) { NewWith(tb, &Options{CPU: true}) })
	contains(t, tb.said(), "one is running in this process already", "use spantest.On")
}

func TestProfilerInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := said(t, func(tb testing.TB) { NewWith(tb, &Options{CPU: true}) })
		contains(t, tb.said(), "CPU time cannot be had inside a synctest bubble")
	})
}

// TestCPUOfSpansInBubble: a recorder with a profiler, made outside of the bubble that its
// spans are in, has no CPU time of them; nor has one in a bubble, on the profiler of a
// program outside.
func TestCPUOfSpansInBubble(t *testing.T) {
	rec := NewWith(t, &Options{CPU: true})
	refused := func(tr *Trace) {
		for _, c := range []Claim{Root().CPU().Under(time.Hour), Root().StallShare().AtMost(1)} {
			if err := tr.Check(c); err == nil || !strings.Contains(err.Error(), "inside a synctest bubble") {
				t.Errorf("%s: got %v; want that it cannot be known", c, err)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		checkout.run(t.Context(), rec.Provider().Tracer("test"))
	})
	tr := rec.Trace(checkout.name)
	refused(tr)
	tr.Expect(Root().Duration().Is(100 * ms))
	synctest.Test(t, func(t *testing.T) {
		refused(On(t, rec.Store(), rec.Profiler()).Trace(checkout.name))
	})
}

func TestNothingIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("test", func(t *testing.T) {
		rec := NewWith(t, &Options{CPU: true})
		checkout.run(t.Context(), rec.Provider().Tracer("test"))
		rec.Trace("POST /checkout")
	})
	goleak.VerifyNone(t, before)
}

var sink atomic.Uint64

// burn uses some 150 ms of CPU time, however long others keep it from that.
func burn() {
	x := uint64(1)
	for range 100_000_000 {
		x = x*31 + 7
	}
	sink.Store(x)
}
