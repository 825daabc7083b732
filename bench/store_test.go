//go:build unix

package bench

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/bench/internal/workload"
	"github.com/spanclock/spanclock/spanstore"
)

// exportBatch is how many spans one ExportSpans gets, the SDK's batch size.
const exportBatch = 512

// BenchmarkStoreWrite stores spans as fast as they come, from ReadOnlySpan to
// fsync, in a ring that has wrapped. One op is one span. It reports
//
//	kspans/cpu-s  durable spans per second of CPU time of the whole process
//	B/span        bytes of the directory per span held
//	write-amp     bytes written to disk per byte of blocks
//
// Generating the spans is not measured. Run with -benchtime=3000000x.
func BenchmarkStoreWrite(b *testing.B) {
	pool := workload.New(1, time.Now()).Spans(8 * 1024)
	dir := filepath.Join(b.TempDir(), "store")
	s, err := spanstore.Open(dir, &spanstore.Options{MaxBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := processCPU()
	b.ResetTimer()
	for n := 0; n < b.N; n += exportBatch {
		at := n % (len(pool) - exportBatch)
		if err := s.ExportSpans(context.Background(), pool[at:at+exportBatch]); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	cpu = processCPU() - cpu
	runtime.ReadMemStats(&after)
	st := s.Stats()
	if st.Dropped() > 0 {
		b.Fatalf("%d spans were dropped", st.Dropped())
	}
	b.ReportMetric(float64(st.Durable)/cpu.Seconds()/1e3, "kspans/cpu-s")
	b.ReportMetric(float64(dirBytes(b, dir))/float64(st.Spans), "B/span")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(st.Durable), "allocs/span")
}

func dirBytes(tb testing.TB, dir string) (n int64) {
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

var _ []sdktrace.ReadOnlySpan
