package profiler_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

const foreign = "another CPU profile was running"

// The CPU time of a span is what the process burnt in it, no more than that and
// not a small part of it: bounds that hold while others use the machine.
func TestSpanOwnsItsCPU(t *testing.T) {
	s := newService(t, quick)
	ctx, parent := s.Start(context.Background(), "parent")
	burnCPU(200 * time.Millisecond)
	_, child := s.Start(ctx, "child")
	burnCPU(400 * time.Millisecond)
	child.End()
	s.refresh(t)
	parent.End()
	s.refresh(t)

	tr := s.trace(t, child)
	var process time.Duration
	samples, labeled := 0, 0
	for _, w := range tr.Windows {
		if w.Hole != "" {
			t.Errorf("got a hole, %q; want none", w.Hole)
		}
		if w.Period != 10*time.Millisecond {
			t.Errorf("got a period of %v; want 10ms", w.Period)
		}
		process += w.Process
		samples += w.Samples
		labeled += w.Labeled
	}
	own, inner := tr.Usage[parent.SpanContext().SpanID()], tr.Usage[child.SpanContext().SpanID()]
	if sum := own.Samples + inner.Samples; sum != labeled {
		t.Errorf("got %d samples in the spans; want the %d that the windows say are labeled", sum, labeled)
	}
	if labeled > samples || 2*labeled < samples {
		t.Errorf("got %d of %d samples labeled; want most, for the process did little else", labeled, samples)
	}
	if plain := time.Duration(inner.Samples) * 10 * time.Millisecond; inner.CPU < plain*4/5 || inner.CPU > plain*2 {
		t.Errorf("got %v of CPU for %d samples; want about 10ms each", inner.CPU, inner.Samples)
	}
	if own.Samples == 0 || inner.Samples <= own.Samples/2 {
		t.Errorf("got %d samples in the parent and %d in the child; want both, in a ratio of about 1 to 2", own.Samples, inner.Samples)
	}
	if runtime.GOOS != "windows" {
		if all := own.CPU + inner.CPU; all > process*5/4+50*time.Millisecond || all < process/3 {
			t.Errorf("got %v of CPU in both spans; want nearly all of the %v that the process used by getrusage", all, process)
		}
	}
}

func TestStacksShowTheBurner(t *testing.T) {
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "span")
	burnCPU(300 * time.Millisecond)
	span.End()
	s.refresh(t)

	u := s.usage(t, span)
	sum, burnt := 0, 0
	for i, st := range u.Stacks {
		sum += st.Samples
		if i > 0 && st.Samples > u.Stacks[i-1].Samples {
			t.Errorf("got %d samples in stack %d and %d in the one before; want the most frequent first", st.Samples, i, u.Stacks[i-1].Samples)
		}
		at := -1
		for j, f := range st.Frames {
			if strings.HasSuffix(f.Func, "profiler_test.burnCPU") && strings.HasSuffix(f.File, "helper_test.go") && f.Line > 0 {
				at = j
			}
		}
		if at < 0 {
			continue
		}
		burnt += st.Samples
		if below := st.Frames[at+1:]; len(below) == 0 || !strings.Contains(below[0].Func, "TestStacksShowTheBurner") {
			t.Errorf("got %v after burnCPU; want its caller: frames run from the leaf on", below)
		}
	}
	if sum != u.Samples {
		t.Errorf("got %d samples in the stacks; want all %d of the span", sum, u.Samples)
	}
	if burnt*2 <= u.Samples {
		t.Errorf("got burnCPU in %d of %d samples; want it in most", burnt, u.Samples)
	}
}

func TestFewStacksKeptAllSamplesCounted(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 100 * time.Millisecond, MaxStacks: 1, MaxDepth: 2})
	_, span := s.Start(context.Background(), "span")
	burnSome(1000)
	deep(200, func() { burnSome(1000) })
	span.End()
	s.refresh(t)
	u := s.usage(t, span)
	if len(u.Stacks) != 1 || len(u.Stacks[0].Frames) > 2 {
		t.Fatalf("got %d stacks, the first %v; want one of at most two frames", len(u.Stacks), u.Stacks)
	}
	if u.Samples < 3 {
		t.Errorf("got %d samples; want all of them, kept stack or not", u.Samples)
	}
}

func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
}

// The usage of a span that is still in flight is handed over all the same.
func TestUsageComesBeforeTheSpan(t *testing.T) {
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "long")
	burnCPU(200 * time.Millisecond)
	s.refresh(t)
	if st := s.prof.Stats(); st.Labeled == 0 || st.Unattributed != 0 || st.LiveSpans != 1 {
		t.Errorf("got %d samples labeled, %d unattributed, %d live spans; want some, none, one", st.Labeled, st.Unattributed, st.LiveSpans)
	}
	span.End()
}

func TestForeignProfileFirst(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(pprof.StopCPUProfile)
	defer stop()
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "span")
	if st := s.prof.Stats(); st.Running || st.State != foreign || !st.CoveredUntil.IsZero() {
		t.Errorf("got running %v, %q, covered until %v; want not running, %q, not covered", st.Running, st.State, st.CoveredUntil, foreign)
	}
	s.refresh(t) // returns: there is nothing to wait for

	stop()
	eventually(t, "the profiler takes the CPU profile", func() bool { return s.prof.Stats().Running })
	burnCPU(200 * time.Millisecond)
	span.End()
	s.refresh(t)

	holes, windows := 0, 0
	for _, w := range s.trace(t, span).Windows {
		switch w.Hole {
		case foreign:
			holes++
			if w.Period != 0 || w.Samples != 0 || !w.Start.Before(w.End) {
				t.Errorf("got hole %+v; want a stretch of time without figures", w)
			}
		case "":
			windows++
		default:
			t.Errorf("got hole %q; want %q", w.Hole, foreign)
		}
	}
	if holes == 0 || windows == 0 {
		t.Errorf("got %d holes and %d windows; want both", holes, windows)
	}
	if u := s.usage(t, span); u.Samples == 0 {
		t.Error("got no samples after the other profile ended; want some")
	}
}

// Somebody may stop a profile that he did not start. What was sampled is kept,
// sampling goes on, and a profile of his that follows is not stopped by us.
func TestStoppedBySomebodyElse(t *testing.T) {
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "span")
	burnCPU(200 * time.Millisecond)
	pprof.StopCPUProfile()
	eventually(t, "the window that was stopped is stored", func() bool { return s.prof.Stats().Windows == 1 })
	eventually(t, "the next window runs", func() bool { return s.prof.Stats().Running })
	span.End()
	s.refresh(t)
	if u := s.usage(t, span); u.Samples == 0 {
		t.Error("got no samples; want those from before the stop")
	}
}

func TestPauseFreesTheProfile(t *testing.T) {
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "span")
	burnCPU(100 * time.Millisecond)
	for range 3 {
		s.prof.Pause()
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			t.Fatalf("StartCPUProfile in a pause: %v", err)
		}
		if st := s.prof.Stats(); st.Running || !st.Paused {
			t.Errorf("got running %v, paused %v in a pause; want false, true", st.Running, st.Paused)
		}
		s.refresh(t) // returns: paused
		carries(t, "in a pause", span)
		pprof.StopCPUProfile()
		s.prof.Resume()
		eventually(t, "the profiler takes the CPU profile again", func() bool { return s.prof.Stats().Running })
	}
	span.End()
	s.refresh(t)
	paused := 0
	for _, w := range s.trace(t, span).Windows {
		if w.Hole == "paused" {
			paused++
		}
	}
	if paused != 3 {
		t.Errorf("got %d holes named paused; want 3", paused)
	}
}

// However soon after a Resume, when Pause returns the profile is free.
func TestPauseRightAfterResume(t *testing.T) {
	s := newService(t, quick)
	s.prof.Pause()
	for i := range 300 {
		s.prof.Resume()
		time.Sleep(time.Duration(i%40) * 25 * time.Microsecond) // so that the sampler is here or there
		s.prof.Pause()
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			t.Fatalf("turn %d: StartCPUProfile in a pause: %v", i, err)
		}
		pprof.StopCPUProfile()
	}
}

func TestRefresh(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 300 * time.Millisecond})
	_, span := s.Start(context.Background(), "span")
	burnCPU(100 * time.Millisecond)
	span.End()
	burnt := time.Now()
	s.refresh(t)
	if st := s.prof.Stats(); st.CoveredUntil.Before(burnt.Round(0)) || st.Windows == 0 {
		t.Errorf("got %d windows up to %v; want all until %v", st.Windows, st.CoveredUntil, burnt)
	}
	for _, w := range s.trace(t, span).Windows {
		if d := w.End.Sub(w.Start); d < 250*time.Millisecond {
			t.Errorf("got a window of %v; want none below MinWindow, which is 300ms", d)
		}
	}

	// With a context that is done it leaves its wish and returns.
	done, cancel := context.WithCancel(context.Background())
	cancel()
	windows := s.prof.Stats().Windows
	if err := s.prof.Refresh(done); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the context's error", err)
	}
	eventually(t, "the window ends early", func() bool { return s.prof.Stats().Windows > windows })
}

// Many ask at once, and all are served by the same few windows.
func TestRefreshTogether(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 200 * time.Millisecond})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { s.refresh(t) })
	}
	wg.Wait()
	if st := s.prof.Stats(); st.Windows > 5 {
		t.Errorf("got %d windows for 50 requests at once; want a few", st.Windows)
	}
}

func TestStartStopLoop(t *testing.T) {
	for range 5 {
		s := newService(t, nil)
		_, span := s.Start(context.Background(), "span")
		burnSome(400)
		if err := s.prof.Stop(); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if err := s.prof.Stop(); err != nil {
			t.Fatalf("second Stop: %v", err)
		}
		if st := s.prof.Stats(); st.State != "stopped" || st.Running || st.Windows != 1 {
			t.Errorf("got %q, running %v, %d windows after Stop; want stopped, false, 1", st.State, st.Running, st.Windows)
		}
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			t.Errorf("StartCPUProfile after Stop: %v", err)
		}
		pprof.StopCPUProfile()

		s.refresh(t) // returns
		s.prof.Pause()
		s.prof.Resume()
		_, later := s.Start(context.Background(), "later")
		later.End()
		span.End()
		carries(t, "after Stop and the end of the span", nil)
		if u := s.usage(t, span); u.Samples == 0 {
			t.Error("got no samples; want those of the last window")
		}
	}
}

func TestOneProfilerPerProcess(t *testing.T) {
	s := newService(t, quick)
	second, err := profiler.Start(s.store, nil)
	if second != nil || err == nil || !strings.Contains(err.Error(), "Stop") {
		t.Errorf("got %v, %v; want nil and an error that says what to do", second, err)
	}
}

// Shutting a provider down neither stops the profiler, which others may share,
// nor waits.
func TestShutdownOfOneProvider(t *testing.T) {
	s := newService(t, quick)
	other := s.prof.TracerProvider(sdktrace.NewTracerProvider())
	if err := other.Shutdown(context.Background()); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	_, span := s.Start(context.Background(), "span")
	carries(t, "in a span of the other provider", span)
	span.End()
	if st := s.prof.Stats(); !st.Running {
		t.Errorf("got %q; want the profiler running", st.State)
	}
	if err := s.tp.ForceFlush(context.Background()); err != nil {
		t.Errorf("ForceFlush: %v", err)
	}
}

func TestManyShortSpansEndTheWindowEarly(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 100 * time.Millisecond, MaxEnded: 512})
	for range 512 {
		_, span := s.Start(context.Background(), "span")
		span.End()
	}
	eventually(t, "the window ends before its 10 s are over", func() bool { return s.prof.Stats().Windows > 0 })
}

func TestSpansThatNeverEnd(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 100 * time.Millisecond, MaxLive: 640})
	const started = 5000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range started {
			s.Start(context.Background(), "leak")
		}
		_, span := s.Start(context.Background(), "span")
		carries(t, "in a span among leaks", span)
		span.End()
	}()
	<-done

	// A span that had to make room leaves no label behind either.
	first, begun, others := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(first)
		_, span := s.Start(context.Background(), "dropped")
		close(begun)
		<-others
		span.End()
		if s.prof.Stats().LabelsReadable {
			carries(t, "after the end of a span that made room", nil)
		}
	}()
	<-begun
	for range started {
		s.Start(context.Background(), "leak")
	}
	close(others)
	<-first
	st := s.prof.Stats()
	if st.LiveSpans > 640 {
		t.Errorf("got %d live spans; want at most 640", st.LiveSpans)
	}
	if got := int64(st.LiveSpans) + st.DroppedSpans; got != 2*started+1 {
		t.Errorf("got %d live and %d dropped spans; want %d together", st.LiveSpans, st.DroppedSpans, 2*started+1)
	}
}

func TestInert(t *testing.T) {
	for _, prof := range []*profiler.Profiler{nil, refused(t), disabled(t)} {
		if prof != nil {
			t.Fatalf("got profiler %v; want nil", prof)
		}
		sdk := sdktrace.NewTracerProvider()
		tp := prof.TracerProvider(sdk)
		if tp.TracerProvider != sdk {
			t.Error("got another SDK provider; want the one given")
		}
		if got := prof.Wrap(sdk); got != sdk {
			t.Errorf("got %v from Wrap; want the provider given", got)
		}
		_, span := tp.Tracer("test").Start(context.Background(), "span")
		carries(t, "without a profiler", nil)
		span.End()
		prof.OnStart(context.Background(), nil)
		prof.OnEnd(nil)
		prof.Pause()
		prof.Resume()
		if err := errors.Join(prof.Refresh(context.Background()), prof.ForceFlush(context.Background()),
			prof.Shutdown(context.Background()), prof.Stop()); err != nil {
			t.Errorf("got %v; want no error", err)
		}
		if st := prof.Stats(); st.State != "off" || st.Running {
			t.Errorf("got %q, running %v; want off, false", st.State, st.Running)
		}
	}
}

func refused(t *testing.T) *profiler.Profiler {
	t.Helper()
	prof, err := profiler.Start(nil, nil)
	if err == nil || !strings.Contains(err.Error(), "spanstore.Open") {
		t.Errorf("got %v for a nil store; want an error that says where to get one", err)
	}
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := profiler.Start(store, &profiler.Options{Window: -1}); err == nil || !strings.Contains(err.Error(), "Window") {
		t.Errorf("got %v for a negative window; want an error that names it", err)
	}
	return prof
}

func disabled(t *testing.T) *profiler.Profiler {
	t.Helper()
	t.Setenv("OTEL_SDK_DISABLED", "True")
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	prof, err := profiler.Start(store, nil)
	if err != nil {
		t.Errorf("got %v with OTEL_SDK_DISABLED; want no error", err)
	}
	return prof
}
