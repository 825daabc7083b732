package bench

import (
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/shared"
	"github.com/spanclock/spanclock/spanstore"
)

// discards is a span processor that does nothing: what a program has that exports
// its spans, but for the export.
type discards struct{}

func (discards) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discards) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discards) Shutdown(context.Context) error                  { return nil }
func (discards) ForceFlush(context.Context) error                { return nil }

// turn is what one turn of an arm took, for each operation.
type turn struct{ wall, cpu float64 }

// arm is one way to do the operation.
type arm struct {
	name  string
	open  func() (trace.Tracer, func() error, error)
	turns []turn
}

func arms() []*arm {
	discarding := func() trace.Tracer {
		return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(discards{})).Tracer("bench")
	}
	nothing := func() error { return nil }
	return []*arm{
		{name: "discarded", open: func() (trace.Tracer, func() error, error) { return discarding(), nothing, nil }},
		{name: "discarded-again", open: func() (trace.Tracer, func() error, error) { return discarding(), nothing, nil }},
		{name: "added-up", open: func() (trace.Tracer, func() error, error) { // without labels and CPU profile
			store, err := spanstore.Open("", nil)
			if err != nil {
				return nil, nil, err
			}
			return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(newTally(store.Processor()))).Tracer("bench"), store.Close, nil
		}},
		{name: "sampled", open: func() (trace.Tracer, func() error, error) { // the CPU profile alone
			m, err := shared.Join(nil, nil)
			return discarding(), m.Leave, err
		}},
		{name: "recorded", open: func() (trace.Tracer, func() error, error) {
			r, err := newRecorder("")
			if err != nil {
				return nil, nil, err
			}
			return r.Provider().Tracer("bench"), r.close, nil
		}},
	}
}

// BenchmarkRecorderCost compares an operation of 20 µs with three spans that a
// recorder records with the same one over the SDK and a processor that throws its
// spans away, and with parts of what the recorder does. They take turns in one
// process; what is reported of each is the median of the ratios of its turns to those
// of the first: of CPU time, which has all that happens in the background, and of
// wall time, which is worth something on an idle machine alone. The second arm is the
// first once more: its ratio is what noise makes. Results are in
// bench/results/recorder.txt.
func BenchmarkRecorderCost(b *testing.B) {
	turns, each := 21, 20_000
	if v, err := strconv.Atoi(os.Getenv("SPANCLOCK_TURNS")); err == nil {
		turns = v
	}
	all := arms()
	tracer, _, _ := all[0].open()
	work := calibrated(tracer, 20*time.Microsecond)
	for b.Loop() {
		for i := range turns {
			for k := range all {
				a := all[(i+k)%len(all)]
				tracer, stop, err := a.open()
				if err != nil {
					b.Fatal(err)
				}
				a.turns = append(a.turns, take(tracer, each, work))
				if err := stop(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	wall, cpu := func(t turn) float64 { return t.wall }, func(t turn) float64 { return t.cpu }
	for _, a := range all {
		b.ReportMetric(median(a.turns, cpu), a.name+"-cpu-ns")
		b.ReportMetric(ratio(a.turns, all[0].turns, cpu), a.name+"-cpu-ratio")
		b.ReportMetric(ratio(a.turns, all[0].turns, wall), a.name+"-wall-ratio")
	}
}

func take(tracer trace.Tracer, n, work int) turn {
	for range n / 20 { // tables and pools grow to their size
		threeSpans(tracer, work)
	}
	runtime.GC()
	begin, before := time.Now(), cpuTime()
	for range n {
		threeSpans(tracer, work)
	}
	wall, cpu := time.Since(begin), cpuTime()-before
	return turn{float64(wall) / float64(n), float64(cpu) / float64(n)}
}

func threeSpans(tracer trace.Tracer, work int) {
	ctx, root := tracer.Start(context.Background(), "root")
	loop(work / 4)
	_, first := tracer.Start(ctx, "first")
	loop(work / 4)
	first.End()
	_, second := tracer.Start(ctx, "second")
	loop(work / 2)
	second.End()
	root.End()
}

//go:noinline
func loop(n int) {
	x := uint64(n) | 1
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink.Store(x)
}

// calibrated returns the work that makes an operation take d.
func calibrated(tracer trace.Tracer, d time.Duration) int {
	work := 1000
	for range 6 {
		var took []time.Duration
		for range 2000 {
			begin := time.Now()
			threeSpans(tracer, work)
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		got := took[len(took)/2]
		if got < d*98/100 || got > d*102/100 {
			work = max(100, int(float64(work)*float64(d)/float64(got)))
		}
	}
	return work
}

func median(turns []turn, of func(turn) float64) float64 {
	var v []float64
	for _, t := range turns {
		v = append(v, of(t))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// ratio is the median of the ratios of neighbouring turns.
func ratio(a, b []turn, of func(turn) float64) float64 {
	var v []float64
	for i := range a {
		v = append(v, of(a[i])/of(b[i]))
	}
	slices.SortFunc(v, cmp.Compare[float64])
	return v[len(v)/2]
}
