package profiler

import (
	"context"
	"fmt"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// BenchmarkLiveView takes views of a process with many goroutines, each in a span.
func BenchmarkLiveView(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			store, err := spanstore.Open("", nil)
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			p, err := Start(store, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Stop()
			tracer := p.TracerProvider(sdktrace.NewTracerProvider()).Tracer("bench")
			hold, begun := make(chan struct{}), make(chan struct{}, n)
			defer close(hold)
			for range n {
				go func() {
					_, span := tracer.Start(context.Background(), "request")
					defer span.End()
					begun <- struct{}{}
					<-hold
				}()
			}
			for range n {
				<-begun
			}
			cpu := processCPU()
			b.ResetTimer()
			for b.Loop() {
				p.newLiveView(time.Now())
			}
			b.ReportMetric(float64(processCPU()-cpu)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
