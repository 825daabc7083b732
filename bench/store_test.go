package bench

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/bench/internal/workload"
)

// ringBytes holds a little more than a million of the workload's spans, so that
// writing goes on in a ring that has wrapped.
const ringBytes = 36 << 20

// BenchmarkStoreWrite stores spans as fast as they come, from ReadOnlySpan to
// fsync. One op is one span. It reports
//
//	kspans/cpu-s  durable spans per second of CPU time of the whole process
//	B/span        bytes of the directory per span held
//	write-amp     bytes written to disk per byte of blocks
//	mallocs/span  allocations, the SDK's own left out
//
// Making the spans is not measured. Run with -benchtime=3000000x, so that the
// ring wraps.
func BenchmarkStoreWrite(b *testing.B) {
	dir, s, _ := filled(b, 0)
	g := workload.New(1, time.Now())
	b.ResetTimer()
	w, err := measure.Write(s, b.N, func() []sdktrace.ReadOnlySpan { return g.Spans(measure.Chunk) })
	if err != nil {
		b.Fatal(err)
	}
	size, _ := measure.DirBytes(dir)
	b.ReportMetric(0, "ns/op") // it would count making the spans
	b.ReportMetric(float64(w.Spans)/w.Cost.CPU.Seconds()/1e3, "kspans/cpu-s")
	b.ReportMetric(float64(size)/float64(s.Spans()), "B/span")
	b.ReportMetric(float64(w.Cost.Written)/float64(w.Payload), "write-amp")
	b.ReportMetric(float64(w.Cost.Mallocs)/float64(w.Spans), "mallocs/span")
}

// BenchmarkStoreLookup reads whole traces, drawn at random from a million spans.
func BenchmarkStoreLookup(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("spans=%d", n), func(b *testing.B) {
			_, s, ids := filled(b, n)
			b.ResetTimer()
			took, err := measure.Lookup(s, rand.New(rand.NewPCG(1, 1)), ids, b.N, workload.SpansPerTrace)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(measure.Quantile(took, 0.5).Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(measure.Quantile(took, 0.99).Nanoseconds()), "p99-ns")
		})
	}
}

// BenchmarkStoreScan asks a million spans for what none of them has.
func BenchmarkStoreScan(b *testing.B) {
	_, s, _ := filled(b, 1_000_000)
	for name, scan := range map[string]func() (int, error){
		"text":   func() (int, error) { return s.Scan(workload.SearchText, "GET session:none") },
		"number": func() (int, error) { return s.ScanAbove(workload.SearchNumber, 20_000) },
	} {
		b.Run("by="+name, func(b *testing.B) {
			for b.Loop() {
				if n, err := scan(); n != 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkStoreOpen opens a million spans, verification included; cold is
// without the page cache.
func BenchmarkStoreOpen(b *testing.B) {
	dir, s, _ := filled(b, 1_000_000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for _, cold := range []bool{false, true} {
		b.Run(fmt.Sprintf("cold=%v", cold), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				if cold && !measure.Chill(dir) {
					b.Log("the page cache cannot be dropped here: warm")
				}
				b.StartTimer()
				s, err := measure.OpenSpanclock(dir, ringBytes)
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkOnEnd compares what ending a span costs the request: with this
// store's processor, and with the SDK's batch processor and an exporter that
// does nothing.
func BenchmarkOnEnd(b *testing.B) {
	spans := workload.New(1, time.Now()).Spans(1024)
	for _, goroutines := range []int{1, 8} {
		for _, of := range []string{"spanclock", "sdk"} {
			b.Run(fmt.Sprintf("processor=%s/goroutines=%d", of, goroutines), func(b *testing.B) {
				p := measure.SDKBatcher()
				if of == "spanclock" {
					_, s, _ := filled(b, 0)
					p = s.Processor()
				}
				b.ResetTimer()
				per := measure.OnEnd(p, spans, goroutines, b.N)
				b.ReportMetric(0, "ns/op") // one op is a burst
				b.ReportMetric(float64(per.Nanoseconds()), "ns/span")
			})
		}
	}
}

// filled returns a store with about n spans, and the ids of their traces.
func filled(b *testing.B, n int) (dir string, s measure.Spanclock, ids []trace.TraceID) {
	b.Helper()
	dir = filepath.Join(b.TempDir(), "store")
	s, err := measure.OpenSpanclock(dir, ringBytes)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	g := workload.New(1, time.Now())
	for len(ids) < n/workload.SpansPerTrace {
		spans := g.Spans(measure.Batch)
		if err := s.Export(spans); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, workload.TraceIDs(spans)...)
	}
	if err := s.Sync(); err != nil {
		b.Fatal(err)
	}
	return dir, s, ids
}
