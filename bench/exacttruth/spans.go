//go:build linux

package main

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// manner is how the spans of a row work.
type manner struct {
	name       string
	goroutines int
	burst      time.Duration // after which others have the thread; 0: never
	waits      bool          // in between they wait for another goroutine
}

var manners = []manner{
	{"1", 1, 0, false},
	{"2", 2, 0, false},
	{"2, waiting", 2, 0, true},
	{"16 shared", 16, 200 * time.Microsecond, false},
}

// A round has spans of about aim of CPU time, which the flight recorder holds also
// where that takes three times as long, but not more than most of them.
const aim, most = 1200 * time.Millisecond, 300

// truth is what one span used.
type truth struct{ cpu, wall time.Duration }

// result is what the spans of a row come to, times in ms.
type result struct {
	spans, exact, whole, inside int
	shown, running, burnt       float64 // of those with exact states
	errors                      []float64
	worst                       float64 // share of a span's wall time that no state explains
	alone                       struct{ wall, cpu, stolen, runnable, syscall float64 }
}

// share is of the spans with exact states.
func (r *result) share(n int) float64 { return 100 * float64(n) / float64(max(1, r.exact)) }

// round makes the spans of a snapshot and looks at what is shown of them.
func (r *result) round(length time.Duration, as manner) error {
	s, err := start(&profiler.Options{Exact: profiler.ExactAuto, Slow: time.Hour})
	if err != nil {
		return err
	}
	defer s.stop()
	n := max(min(int(aim/length), most)/as.goroutines, 1) * as.goroutines
	ctx, root := s.tracer.Start(context.Background(), "round")
	truth := workAll(ctx, s.tracer, length, n, as)
	root.End()
	id := root.SpanContext().TraceID()
	wait, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.prof.Capture(wait, id); err != nil {
		return err
	}
	t, err := s.store.Trace(context.Background(), id)
	if err != nil {
		return err
	}
	a := stall.Analyze(t)
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if tr, ok := truth[n.Span.SpanID()]; ok {
			r.add(n, tr, as)
		}
	}
	return nil
}

// add counts a span. One that began before the flight recorder reaches back, as
// happens where everything takes very long, has no exact states to be compared.
func (r *result) add(n *stall.Node, t truth, as manner) {
	r.spans++
	e := n.Usage.Exact
	if e == nil || e.Start.Sub(n.Span.Start) > time.Second {
		return
	}
	r.exact++
	missing := unknown(n)
	r.worst = max(r.worst, missing)
	if missing <= 0.01 {
		r.whole++
	}
	shown := e.Running - e.Stolen
	r.shown += inMS(shown)
	r.running += inMS(e.Running)
	r.burnt += inMS(t.cpu)
	r.errors = append(r.errors, math.Abs(inMS(shown-t.cpu)))
	if e.Running-e.StolenHigh-slack <= t.cpu && t.cpu <= e.Running-e.StolenLow+slack {
		r.inside++
	}
	if as.burst == 0 && !as.waits {
		r.alone.wall += inMS(t.wall)
		r.alone.cpu += inMS(t.cpu)
		r.alone.stolen += inMS(stateTime(n, stall.StateSteal))
		r.alone.runnable += inMS(stateTime(n, stall.StateRunnable))
		r.alone.syscall += inMS(stateTime(n, stall.StateSyscall))
	}
}

// slack is what a span's start and end, and reading the clock, may take themselves.
const slack = 50 * time.Microsecond

// unknown is the share of a span's wall time that no state explains.
func unknown(n *stall.Node) float64 {
	return float64(stateTime(n, stall.StateUnknown)) / float64(max(1, n.Wall()))
}

func stateTime(n *stall.Node, of stall.State) time.Duration {
	for _, s := range n.States {
		if s.State == of {
			return s.Time
		}
	}
	return 0
}

// service is a profiler with what it needs.
type service struct {
	store  *spanstore.Store
	prof   *profiler.Profiler
	tracer trace.Tracer
}

// start returns when the flight recorder runs.
func start(o *profiler.Options) (*service, error) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		return nil, err
	}
	prof, err := profiler.Start(store, o)
	if err != nil {
		return nil, err
	}
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	s := &service{store, prof, tp.Tracer("exacttruth")}
	for range 600 {
		if prof.Stats().Exact.Armed {
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	defer s.stop()
	return nil, fmt.Errorf("the flight recorder does not run: %s", prof.Stats().Exact.Why)
}

func (s *service) stop() {
	_ = s.prof.Stop()
	_ = s.store.Close()
}

func workAll(ctx context.Context, tracer trace.Tracer, length time.Duration, spans int, as manner) map[trace.SpanID]truth {
	used := map[trace.SpanID]truth{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range as.goroutines {
		wg.Go(func() {
			if as.burst == 0 {
				runtime.LockOSThread() // the thread's clock is the span's only for as long as it stays
				defer runtime.UnlockOSThread()
			}
			w := newWorker(as)
			defer w.stop()
			for range spans / as.goroutines {
				_, span := tracer.Start(ctx, "work")
				begun := time.Now()
				cpu := w.work(length)
				t := truth{cpu, time.Since(begun)}
				span.End()
				mu.Lock()
				used[span.SpanContext().SpanID()] = t
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return used
}

// worker does what services do: hashing, sorting, compressing.
type worker struct {
	as       manner
	text     []byte
	numbers  []int
	flate    *flate.Writer
	ask, got chan struct{}
}

func newWorker(as manner) *worker {
	w := &worker{as: as, text: bytes.Repeat([]byte("the quick brown fox "), 100), numbers: make([]int, 500), ask: make(chan struct{}), got: make(chan struct{})}
	w.flate, _ = flate.NewWriter(io.Discard, flate.BestSpeed)
	go func() {
		for range w.ask {
			time.Sleep(200 * time.Microsecond)
			w.got <- struct{}{}
		}
	}()
	return w
}

func (w *worker) stop() { close(w.ask) }

// work uses about d of CPU time and returns how much.
func (w *worker) work(d time.Duration) (used time.Duration) {
	switch {
	case w.as.burst > 0:
		for used < d {
			runtime.LockOSThread() // for the burst only
			used += w.compute(min(w.as.burst, d-used))
			runtime.UnlockOSThread()
			runtime.Gosched()
		}
		return used
	case w.as.waits:
		for range 4 {
			used += w.compute(d / 4)
			w.ask <- struct{}{}
			<-w.got
		}
		return used
	}
	return w.compute(d)
}

// compute looks at the clock twenty times at most: that is a system call, of which
// real work has fewer.
func (w *worker) compute(d time.Duration) time.Duration {
	begin := measure.ThreadCPU()
	for {
		for range max(1, d/20/stepTime) {
			w.step()
		}
		if used := measure.ThreadCPU() - begin; used >= d {
			return used
		}
	}
}

// stepTime is what a step takes, about.
const stepTime = 30 * time.Microsecond

func (w *worker) step() {
	sum := sha256.Sum256(w.text)
	r := rand.New(rand.NewPCG(uint64(sum[0]), uint64(sum[1])))
	for i := range w.numbers {
		w.numbers[i] = r.IntN(1 << 20)
	}
	slices.Sort(w.numbers)
	w.flate.Reset(io.Discard)
	_, _ = w.flate.Write(w.text)
	_ = w.flate.Flush()
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
