package block_test

import (
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// BenchmarkEncode turns requests of five spans into blocks of 2,048, add and
// encode together; ns/span and B/span are of the compressed block.
func BenchmarkEncode(b *testing.B) {
	g := spangen.New(1)
	var spans []sdktrace.ReadOnlySpan
	for len(spans) < 2045 {
		for _, s := range g.Request(time.Unix(1_700_000_000, int64(len(spans))*1e6), 5) {
			spans = append(spans, s.Snapshot())
		}
	}
	c := newCodec(b)
	e := block.NewEncoder(limits)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		for _, s := range spans {
			e.Add(s)
		}
		out = e.Encode(out[:0], c)
	}
	perSpan := float64(b.N) * float64(len(spans))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/perSpan, "ns/span")
	b.ReportMetric(float64(len(out))/float64(len(spans)), "B/span")
}

// BenchmarkOpen checks and unpacks the core of a block of 2,048 spans; with
// "whole" it reads one trace of it too.
func BenchmarkOpen(b *testing.B) {
	g := spangen.New(1)
	e := block.NewEncoder(limits)
	for e.Len() < 2045 {
		for _, s := range g.Request(time.Unix(1_700_000_000, int64(e.Len())*1e6), 5) {
			e.Add(s.Snapshot())
		}
	}
	c := newCodec(b)
	data := e.Encode(nil, c)
	b.Run("core", func(b *testing.B) {
		for b.Loop() {
			if _, err := block.OpenSpans(data, c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			s, err := block.OpenSpans(data, c)
			if err != nil {
				b.Fatal(err)
			}
			r, err := s.Reader()
			if err != nil {
				b.Fatal(err)
			}
			t := s.Trace(1000)
			for i := range s.Len() {
				if s.Trace(i) == t {
					read(r, s, i)
				}
			}
		}
	})
}
