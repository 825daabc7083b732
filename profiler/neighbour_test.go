package profiler_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	httppprof "net/http/pprof"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

var quiet = slog.New(slog.DiscardHandler)

// Everybody wants the one CPU profile at once, while profilers come and go and
// spans end in every wrong way: no panic, no hang, no goroutine, no label left.
func TestHammer(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()

	var current atomic.Pointer[profiler.Profiler]
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	defer sdk.Shutdown(context.Background())
	var tp atomic.Pointer[profiler.TracerProvider]
	tp.Store((*profiler.Profiler)(nil).TracerProvider(sdk))

	quit := make(chan struct{})
	readable := false // goroutine labels; known in the end
	var wg sync.WaitGroup
	loop := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					f()
				}
			}
		})
	}

	// The standard endpoint, over HTTP; and somebody who stops what he may not have.
	standard := httptest.NewServer(http.HandlerFunc(httppprof.Profile))
	defer standard.Close()
	client := standard.Client()
	defer client.CloseIdleConnections()
	loop(func() {
		resp, err := client.Get(standard.URL + "?seconds=1")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	loop(func() {
		if pprof.StartCPUProfile(io.Discard) == nil {
			runtime.Gosched()
			pprof.StopCPUProfile()
		}
		time.Sleep(3 * time.Millisecond)
	})
	loop(func() {
		time.Sleep(50 * time.Millisecond)
		pprof.StopCPUProfile()
	})

	// Ours, by every way in.
	loop(func() {
		w := httptest.NewRecorder()
		current.Load().ProfileHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?seconds=0.05", nil))
	})
	loop(func() {
		p := current.Load()
		p.Pause()
		p.Resume()
		_, _ = p.Live(context.Background())
		p.Stats()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_ = p.Refresh(ctx)
	})

	// Spans that end twice, never, elsewhere, after their profiler.
	elsewhere := make(chan trace.Span, 64)
	loop(func() {
		select {
		case span := <-elsewhere:
			span.End()
		case <-quit:
		}
	})
	// Spans end in every wrong way; never has those that stay in flight, of which the
	// goroutine may keep a label.
	over := make(chan struct{})
	var workers sync.WaitGroup
	var one sync.Mutex // to look at labels: labelsHere takes any goroutine in it
	for range 4 {
		var unended []trace.SpanID
		work := func() {
			ctx, a := tp.Load().Tracer("t").Start(context.Background(), "a")
			_, b := tp.Load().Tracer("t").Start(ctx, "b")
			_, never := tp.Load().Tracer("t").Start(ctx, "never")
			a.End()
			b.End()
			b.End()
			unended = append(unended, never.SpanContext().SpanID())
			_, c := tp.Load().Tracer("t").Start(ctx, "c")
			select {
			case elsewhere <- c:
			case <-quit:
				c.End()
			}
			trace.SpanFromContext(ctx).End()
		}
		wg.Add(1)
		workers.Go(func() {
			for done := false; !done; {
				select {
				case <-quit:
					done = true
				default:
					work()
				}
			}
			wg.Done()
			<-over
			_, last := tp.Load().Tracer("t").Start(context.Background(), "last") // puts the goroutine right
			last.End()
			one.Lock()
			defer one.Unlock()
			if got := labelsHere(t)["span_id"]; readable && got != "" && !slices.ContainsFunc(unended, func(id trace.SpanID) bool { return id.String() == got }) {
				t.Errorf("got span_id %q on a worker; want none but that of a span in flight", got)
			}
		})
	}

	for range 12 {
		p, err := profiler.Start(store, &profiler.Options{MinWindow: 100 * time.Millisecond, MaxLive: 1024, Logger: quiet})
		if err != nil {
			t.Errorf("Start: %v", err)
			break
		}
		wrapped := p.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
		tp.Store(wrapped)
		current.Store(p)
		time.Sleep(100 * time.Millisecond)
		if err := p.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if st := p.Stats(); st.Panics != 0 || st.State != "stopped" {
			t.Errorf("got %d panics, %q; want none, stopped", st.Panics, st.State)
		}
	}
	readable = current.Load().Stats().LabelsReadable
	close(quit)
	wg.Wait()
	for len(elsewhere) > 0 {
		(<-elsewhere).End()
	}
	close(over)
	workers.Wait()
	pprof.StopCPUProfile()
	carries(t, "after it all", nil)
}

// 10,000 goroutines start and end spans of their own, with somebody looking.
func TestTenThousandGoroutines(t *testing.T) {
	s := newService(t, quick)
	const goroutines = 10_000
	start := make(chan struct{})
	var begun, wg sync.WaitGroup
	begun.Add(goroutines)
	for range goroutines {
		wg.Go(func() {
			ctx, span := s.Start(context.Background(), "request")
			begun.Done()
			<-start
			_, child := s.Start(ctx, "child")
			child.End()
			span.End()
		})
	}
	begun.Wait()
	v, err := s.prof.Live(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(v.Spans) + v.Omitted; n != goroutines {
		t.Errorf("got %d spans in flight; want %d", n, goroutines)
	}
	for _, sp := range v.Spans {
		if sp.Goroutines != 1 {
			t.Errorf("got %d goroutines of %v; want its one", sp.Goroutines, sp.SpanID)
			break
		}
	}
	close(start)
	wg.Wait()
	s.refresh(t)
	if st := s.prof.Stats(); st.LiveSpans != 0 || st.DroppedSpans != 0 {
		t.Errorf("got %d live and %d dropped spans; want none", st.LiveSpans, st.DroppedSpans)
	}
}

// A program that imports the packages and calls nothing has no goroutine of
// theirs, and its CPU profile is free.
func TestNothingStartsOnImport(t *testing.T) {
	if os.Getenv("SPANCLOCK_IMPORTED") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNothingStartsOnImport$")
		cmd.Env = append(os.Environ(), "SPANCLOCK_IMPORTED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Errorf("StartCPUProfile: %v", err)
	}
	pprof.StopCPUProfile()
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "spanclock/spanclock/") && !strings.Contains(stack, "TestNothingStartsOnImport") {
			t.Errorf("got a goroutine:\n%s", stack)
		}
	}
}

// go test -cpuprofile comes first: nothing fails, the profile is whole, and what
// could not be sampled is a hole.
func TestUnderCPUProfileOfGoTest(t *testing.T) {
	if os.Getenv("SPANCLOCK_PROFILED") == "" {
		path := t.TempDir() + "/cpu.pprof"
		cmd := exec.Command(os.Args[0], "-test.run=^TestUnderCPUProfileOfGoTest$", "-test.cpuprofile="+path)
		cmd.Env = append(os.Environ(), "SPANCLOCK_PROFILED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(b, []byte("\x1f\x8b")) {
			t.Errorf("got a profile of %d bytes, %v; want it written", len(b), err)
		}
		return
	}
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "span")
	burnCPU(50 * time.Millisecond)
	span.End()
	if err := s.prof.Stop(); err != nil {
		t.Fatal(err)
	}
	tr := s.trace(t, span)
	if len(tr.Windows) == 0 || tr.Windows[0].Hole != foreign {
		t.Errorf("got windows %+v; want a hole named %q", tr.Windows, foreign)
	}
}
