package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	runtimetrace "runtime/trace"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// The arms. What is not said is the same in all of them.
const (
	armSDK       = "sdk"        // a span processor that does nothing
	armSDKTraced = "sdk-traced" // and a flight recorder of the program's own
	armPlain     = "plain"      // the profiler, without the exact level
	armArmed     = "armed"      // with it, and nothing is slow
)

const waitForArming = 20 * time.Second

// order is what a child is told to do, answer what that took.
type order struct {
	Do           string // state, run, spans, hand, idle, park or capture
	Rate, N      int
	Work, Length time.Duration
	MeterGCs     bool
}

type answer struct {
	Err   string
	CPU   time.Duration
	N     int64 // of what was done
	Live  int64 // bytes more than before, at most
	Exact profiler.ExactStats
}

// child is another process of this command, in one of the arms.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(arm string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, "-child", arm)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := c.do(order{Do: "state"}); err != nil { // it is ready
		c.stop()
		return nil, fmt.Errorf("%s: %w", arm, err)
	}
	return c, nil
}

func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

func (c *child) do(o order) (a answer, err error) {
	if err := json.NewEncoder(c.in).Encode(o); err != nil {
		return a, err
	}
	if !c.out.Scan() {
		return a, errors.New("the child has ended")
	}
	if err := json.Unmarshal(c.out.Bytes(), &a); err != nil {
		return a, err
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

// beChild does what it is told until nobody tells it any more.
func beChild(arm string) error {
	w, err := newWorker(arm)
	if err != nil {
		return err
	}
	defer w.stop()
	orders := json.NewDecoder(os.Stdin)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return nil
		}
		a, err := w.obey(o)
		if err != nil {
			a.Err = err.Error()
		}
		a.Exact = w.prof.Stats().Exact
		if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
			return err
		}
	}
}

type worker struct {
	prof    *profiler.Profiler // nil in the arms without
	service *service
	stop    func()
	parked  chan struct{}
}

func newWorker(arm string) (*worker, error) {
	if arm == armSDK || arm == armSDKTraced {
		return sdkWorker(arm == armSDKTraced)
	}
	store, err := spanstore.Open("", nil)
	if err != nil {
		return nil, err
	}
	o := &profiler.Options{}
	if arm == armArmed {
		o.Exact, o.Slow = profiler.ExactAuto, time.Hour
	}
	prof, err := profiler.Start(store, o)
	if err != nil {
		return nil, err
	}
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	s, err := newService(tp.Tracer("exactcost"))
	if err != nil {
		return nil, err
	}
	w := &worker{prof: prof, service: s, parked: make(chan struct{}), stop: func() {
		_ = prof.Stop()
		_ = store.Close()
	}}
	for begun := time.Now(); o.Exact == profiler.ExactAuto && !prof.Stats().Exact.Armed; time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > waitForArming {
			return nil, fmt.Errorf("the flight recorder does not run: %s", prof.Stats().Exact.Why)
		}
	}
	return w, nil
}

func sdkWorker(traced bool) (*worker, error) {
	stop := func() {}
	if traced {
		f := runtimetrace.NewFlightRecorder(runtimetrace.FlightRecorderConfig{MinAge: 8 * time.Second, MaxBytes: 16 << 20})
		if err := f.Start(); err != nil {
			return nil, err
		}
		stop = f.Stop
	}
	s, err := newService(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nothing{})).Tracer("exactcost"))
	return &worker{service: s, stop: stop}, err
}

// nothing is the span processor that does nothing: the SDK makes a snapshot of
// each span for it.
type nothing struct{}

func (nothing) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nothing) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nothing) Shutdown(context.Context) error                  { return nil }
func (nothing) ForceFlush(context.Context) error                { return nil }

func (w *worker) obey(o order) (a answer, err error) {
	before := measure.ProcessCPU()
	switch o.Do {
	case "state":
		return a, nil
	case "run":
		a.N = w.service.run(o.Rate, o.Work, o.Length)
	case "spans":
		w.service.spans(o.N)
		a.N = int64(o.N) * spansPerRequest
	case "hand":
		a.N = handOver(o.Rate, o.Length)
	case "idle":
		time.Sleep(o.Length)
	case "park":
		for range o.N {
			go func() { <-w.parked }()
		}
	case "capture":
		a.Live, err = w.capture(o.MeterGCs)
	default:
		return a, fmt.Errorf("order %q", o.Do)
	}
	a.CPU = measure.ProcessCPU() - before
	return a, err
}

// capture takes a snapshot, and says how much more was live on the heap meanwhile
// than before, if asked to: collections in a row make up most of the CPU time then.
func (w *worker) capture(meter bool) (live int64, err error) {
	runtime.GC()
	if !meter {
		return 0, w.captureNow()
	}
	before := liveHeap()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var most atomic.Int64
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
				most.Store(max(most.Load(), liveHeap()-before))
			}
		}
	}()
	err = w.captureNow()
	close(done)
	<-over
	return most.Load(), err
}

func (w *worker) captureNow() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, span := w.service.tracer.Start(ctx, "GET /asked")
	defer span.End()
	return w.prof.Capture(ctx, span.SpanContext().TraceID())
}

// liveHeap is what the last collection found reachable.
func liveHeap() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}
