package bench

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// operation is a request of three spans that uses some CPU time: 3 parts of 4 in
// encode.
func operation(tracer trace.Tracer, work int) {
	ctx, root := tracer.Start(context.Background(), "GET /x y")
	_, query := tracer.Start(ctx, "query")
	spin(work)
	query.End()
	_, encode := tracer.Start(ctx, "encode")
	spin(3 * work)
	encode.End()
	root.End()
}

var sink atomic.Uint64

// spin uses about n µs of CPU time.
//
//go:noinline
func spin(n int) {
	x := uint64(n) | 1
	for range n * 600 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink.Store(x)
}

// run runs a benchmark inside a test.
func run(t *testing.T, time string, f func(b *testing.B)) testing.BenchmarkResult {
	t.Helper()
	was := flag.Lookup("test.benchtime").Value.String()
	if err := flag.Set("test.benchtime", time); err != nil {
		t.Fatal(err)
	}
	defer flag.Set("test.benchtime", was)
	r := testing.Benchmark(f)
	if r.N == 0 {
		t.Fatal("the benchmark failed")
	}
	return r
}

// TestMetrics runs benchmarks of each form.
func TestMetrics(t *testing.T) {
	for name, f := range map[string]func(b *testing.B){
		"b.Loop": func(b *testing.B) {
			tracer := New(b).Provider().Tracer("test")
			for b.Loop() {
				operation(tracer, 100)
			}
		},
		"b.N": func(b *testing.B) {
			tracer := New(b).Provider().Tracer("test")
			for range b.N {
				operation(tracer, 100)
			}
		},
		"warmed up": func(b *testing.B) {
			rec := New(b)
			tracer := rec.Provider().Tracer("test")
			operation(tracer, 100)
			rec.Reset()
			for b.Loop() {
				operation(tracer, 100)
			}
		},
		"timer stopped": func(b *testing.B) {
			b.StopTimer()
			tracer := New(b).Provider().Tracer("test")
			b.StartTimer()
			for b.Loop() {
				operation(tracer, 100)
			}
		},
		"RunParallel": func(b *testing.B) {
			tracer := New(b).Provider().Tracer("test")
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					operation(tracer, 100)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, "1000x", f)
			got := r.Extra
			for _, name := range []string{"GET_/x_y", "query", "encode"} {
				if v := got["spans/op:"+name]; v != 1 {
					t.Errorf("got %v spans/op of %s; want 1", v, name)
				}
			}
			root, query, encode := got["wall-ns/op:GET_/x_y"], got["wall-ns/op:query"], got["wall-ns/op:encode"]
			if root < query+encode || query <= 0 || encode <= 0 {
				t.Errorf("got wall-ns/op %v of the root, %v of query, %v of encode; want the root to be as long as both", root, query, encode)
			}
			if self, ok := got["self-ns/op:GET_/x_y"]; !ok || self <= 0 || self > root {
				t.Errorf("got self-ns/op %v of the root; want about %v", self, root-query-encode)
			}
			if _, ok := got["self-ns/op:query"]; ok {
				t.Error("got self-ns/op of a span without children; want none: it is its wall time")
			}
			if cpu, stall := got["cpu-ns/op:encode"], got["stall-share:encode"]; cpu < 20_000 || stall < 0 || stall > 1 || math.IsNaN(stall) {
				t.Errorf("got %v cpu-ns/op and a stall share of %v of encode; want some 300,000 and a share", cpu, stall)
			}
			for unit := range got {
				if strings.ContainsAny(unit, " \t\n") {
					t.Errorf("got unit %q; want one without blanks", unit)
				}
			}
		})
	}
}

// TestStall has a span that waits.
func TestStall(t *testing.T) {
	r := run(t, "50x", func(b *testing.B) {
		tracer := New(b).Provider().Tracer("test")
		for b.Loop() {
			_, span := tracer.Start(b.Context(), "wait")
			time.Sleep(5 * time.Millisecond)
			span.End()
		}
	})
	if got := r.Extra["stall-share:wait"]; got < 0.5 || got > 1 {
		t.Errorf("got a stall share of %v; want nearly 1", got)
	}
}

// TestTooLittleToTell has spans that compute for less time than a sample needs: that
// there was none does not mean that they waited.
func TestTooLittleToTell(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		f    figures
		self float64
		sure bool
	}{
		{figures{sum: sum{spans: 1, labelled: 1, wall: 4 * ms}}, 1, false},
		{figures{sum: sum{spans: 10, labelled: 10, wall: 149 * ms}}, 1, false},
		{figures{sum: sum{spans: 10, labelled: 10, wall: 150 * ms}}, 1, true},
		{figures{sum: sum{spans: 10, labelled: 10, wall: 200 * ms}}, 0.5, false}, // children have the rest
		{figures{sum: sum{spans: 10, labelled: 5, wall: 200 * ms}}, 1, false},    // half were not sampled
	} {
		if got := c.f.sampled(c.self, true); got >= leastSampled != c.sure {
			t.Errorf("%+v with a self share of %v: got %v sampled; want enough to be %v", c.f, c.self, got, c.sure)
		}
	}
	r := run(t, "1x", func(b *testing.B) {
		tracer := New(b).Provider().Tracer("test")
		for range b.N {
			_, span := tracer.Start(b.Context(), "short")
			spin(100)
			span.End()
		}
	})
	for _, unit := range []string{"cpu-ns/op:short", "stall-share:short"} {
		if v, ok := r.Extra[unit]; ok {
			t.Errorf("got %v %s of a span of 0.1 ms; want none", v, unit)
		}
	}
	if r.Extra["wall-ns/op:short"] <= 0 {
		t.Error("got no wall time; want it")
	}
}

// TestNamesOfOneUnit adds up names that differ in blanks alone.
func TestNamesOfOneUnit(t *testing.T) {
	r := run(t, "3x", func(b *testing.B) {
		tracer := New(b).Provider().Tracer("test")
		for range b.N {
			for _, name := range []string{"a b", "a_b", "a\tb"} {
				_, span := tracer.Start(b.Context(), name)
				span.End()
			}
		}
	})
	if got := r.Extra["spans/op:a_b"]; got != 3 {
		t.Errorf("got %v spans/op of a_b; want 3", got)
	}
}

// TestResetIsNotTimed resets behind b.ResetTimer, where it waits for the CPU profile.
func TestResetIsNotTimed(t *testing.T) {
	r := run(t, "1x", func(b *testing.B) {
		rec := New(b)
		operation(rec.Provider().Tracer("test"), 100)
		b.ResetTimer()
		before := b.Elapsed()
		rec.Reset()
		after := b.Elapsed() // the timer was stopped meanwhile, but for a moment
		begin := time.Now()
		_ = rec.refresh()
		if took, waited := after-before, time.Since(begin); took > waited/2 {
			b.Errorf("got %v of Reset timed, which waits for about %v; want none of it", took, waited)
		}
		for range b.N {
			operation(rec.Provider().Tracer("test"), 100)
		}
	})
	if r.Extra["spans/op:query"] != 1 {
		t.Errorf("got %v spans/op; want 1", r.Extra["spans/op:query"])
	}
}

// TestSample keeps few of many traces, and those whole.
func TestSample(t *testing.T) {
	r, err := newRecorder("")
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	const n = 50_000
	tracer := r.Provider().Tracer("test")
	for range n {
		operation(tracer, 0)
	}
	if err := r.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := r.store.Stats().Accepted
	if spans < sampleStep || spans > 14*sampleStep {
		t.Errorf("got %d of %d spans kept; want between %d and %d", spans, 3*n, sampleStep, 14*sampleStep)
	}
	page, err := r.store.Traces(t.Context(), spanstore.Query{Limit: n})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range page.Traces {
		if s.Spans != 3 {
			t.Fatalf("got a trace of %d spans; want all 3", s.Spans)
		}
	}
	stands := 0.0
	for _, w := range r.tally.sample.some(n) {
		stands += w
	}
	if stands < n/3 || stands > 3*n {
		t.Errorf("the sample stands for %v traces; want about %d", stands, n)
	}
	total := r.tally.total()
	for _, f := range total {
		if f.spans != n {
			t.Errorf("got %d spans of %s; want %d", f.spans, f.name, n)
		}
	}
}

// TestManyNames bounds what is told apart.
func TestManyNames(t *testing.T) {
	r, err := newRecorder("")
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	tracer := r.Provider().Tracer("test")
	for i := range 3 * maxNames {
		_, span := tracer.Start(t.Context(), fmt.Sprint("name ", i))
		span.End()
	}
	total := r.tally.total()
	if len(total) != maxNames {
		t.Errorf("got %d names; want %d", len(total), maxNames)
	}
	if got := total[maxNames-1]; got.name != others || got.spans != 2*maxNames+1 {
		t.Errorf("got %+v last; want the %d others", got, 2*maxNames+1)
	}
	metrics, left, _, err := r.metrics(1)
	if err != nil || left != maxNames-maxReported || len(metrics) == 0 {
		t.Errorf("got %d metrics, %d names left out, %v; want %d names left out", len(metrics), left, err, maxNames-maxReported)
	}
}

// BenchmarkChild is run by TestFlags, in a process of its own.
func BenchmarkChild(b *testing.B) {
	if os.Getenv("SPANCLOCK_BENCH_CHILD") == "" {
		b.Skip("run by TestFlags")
	}
	b.Run("sub", func(b *testing.B) {
		tracer := New(b).Provider().Tracer("test")
		for b.Loop() {
			operation(tracer, 50)
		}
	})
	if keepsArtifacts() {
		b.Run("b.N", func(b *testing.B) {
			New(b) // has its own traces: none
			tracer := New(b).Provider().Tracer("test")
			for range b.N {
				operation(tracer, 1)
			}
		})
	}
	b.Run("none", func(b *testing.B) {
		New(b)
		for b.Loop() {
			spin(1)
		}
	})
}

// TestFlags runs the benchmark as go test does, with the flags that matter.
func TestFlags(t *testing.T) {
	child := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0], append([]string{"-test.run=^$", "-test.bench=BenchmarkChild", "-test.benchtime=300x"}, args...)...)
		cmd.Env = append(os.Environ(), "SPANCLOCK_BENCH_CHILD=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	t.Run("count and cpu", func(t *testing.T) {
		out := child("-test.count=2", "-test.cpu=1,2")
		if got := strings.Count(out, " wall-ns/op:encode"); got != 4 {
			t.Errorf("got %d lines with metrics; want 4\n%s", got, out)
		}
		if got := strings.Count(out, " 1.000 spans/op:query"); got != 4 {
			t.Errorf("got %d lines with one span an operation; want 4\n%s", got, out)
		}
	})
	t.Run("no span", func(t *testing.T) {
		if out := child(); strings.Count(out, "bench: BenchmarkChild/none recorded no span: does the code take its tracers from Recorder.Provider?") != 1 {
			t.Errorf("got\n%s\nwant a line that no span was recorded", out)
		}
	})
	t.Run("too little to tell", func(t *testing.T) {
		out := child("-test.benchtime=1x", "-test.count=2")
		if got := strings.Count(out, "cpu-ns/op and stall-share are left out of "); got != 1 || strings.Contains(out, " stall-share:") {
			t.Errorf("got %d lines that say why there is no CPU time; want 1\n%s", got, out)
		}
	})
	t.Run("cpuprofile", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "cpu.out")
		out := child("-test.count=2", "-test.cpuprofile="+file)
		if got := strings.Count(out, "CPU metrics are left out: the process's one CPU profile is that of -cpuprofile"); got != 1 {
			t.Errorf("got %d lines that say why there is no CPU time; want 1\n%s", got, out)
		}
		if strings.Contains(out, "cpu-ns/op") || !strings.Contains(out, "wall-ns/op:encode") {
			t.Errorf("got\n%s\nwant wall times and no CPU times", out)
		}
		if data, err := exec.Command("go", "tool", "pprof", "-tags", file).CombinedOutput(); err != nil || !strings.Contains(string(data), "span_id:") {
			t.Errorf("got tags %s, %v; want the user's profile to have span_id", data, err)
		}
	})
	t.Run("artifacts", func(t *testing.T) {
		dir := t.TempDir()
		out := child("-test.artifacts", "-test.outputdir="+dir, "-test.benchtime=30x")
		var got []int
		for text := range strings.Lines(out) {
			_, left, ok := strings.Cut(strings.TrimSpace(text), "bench: spanclock view ")
			if !ok {
				continue
			}
			store, err := spanstore.Open(left, &spanstore.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			page, err := store.Traces(t.Context(), spanstore.Query{Name: "encode", Limit: 100})
			if err != nil {
				t.Error(err)
			}
			got = append(got, len(page.Traces))
			store.Close()
		}
		// Not 31 with b.N, of which a run of one operation is the first.
		if slices.Sort(got); !slices.Equal(got, []int{0, 0, 30, 30}) {
			t.Errorf("got stores of %v traces; want two without any, and 30 of the last run each\n%s", got, out)
		}
	})
}
