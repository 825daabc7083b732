package spanstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// fill stores n spans in requests of five, a request every ten milliseconds.
func fill(tb testing.TB, s *spanstore.Store, n int) {
	tb.Helper()
	g := spangen.New(1)
	start := time.Unix(1_700_000_000, 0)
	var batch []sdktrace.ReadOnlySpan
	for i := 0; i < n; i += 5 {
		for _, stub := range g.Request(start.Add(time.Duration(i)*2*time.Millisecond), 5) {
			batch = append(batch, stub.Snapshot())
		}
		if len(batch) >= 512 || i+5 >= n {
			if err := s.ExportSpans(context.Background(), batch); err != nil {
				tb.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	flush(tb, s)
	if st := s.Stats(); st.Dropped() > 0 {
		tb.Fatalf("%d spans were dropped", st.Dropped())
	}
}

// BenchmarkScan asks a million spans, in blocks on disk, what is true of hardly
// any of them, so that every block must be looked at. The last ones are for
// comparison: what the index answers, a first page, and the page that needs all
// blocks whatever is in them.
func BenchmarkScan(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store"), &spanstore.Options{MaxBytes: 512 << 20})
	fill(b, s, 1_000_000)
	for _, text := range []string{
		`http.response.status_code=503`,
		`http.response.status_code>=500`,
		`rows>=99 db.system=mysql`,
		`url.path="/api/order/123456"`,
		`url.path~"order/99999[0-9]$"`,
		`name=nothing`,
		`duration>45ms`,
		`!has:db.system kind=client`,
		`resource.k8s.pod.name=x`,
		`service=absent`,
		`status=error`,
		``,
		`order=longest`,
	} {
		q, err := spanstore.ParseQuery(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%q", text), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Traces(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAggregates sums up a million spans in blocks on disk.
func BenchmarkAggregates(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store"), &spanstore.Options{MaxBytes: 512 << 20})
	fill(b, s, 1_000_000)
	for name, sum := range map[string]func() error{
		"Services":  func() error { _, err := s.Services(b.Context()); return err },
		"Latencies": func() error { _, err := s.Latencies(b.Context(), spanstore.LatencyQuery{}); return err },
		"Edges":     func() error { _, err := s.Edges(b.Context(), time.Time{}, time.Time{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := sum(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
