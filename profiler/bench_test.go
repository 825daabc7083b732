package profiler_test

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// What a span costs with its label, against the SDK alone: one root with four
// children, as in a small request. Divide by five for one span.
func BenchmarkSpans(b *testing.B) {
	for _, sampling := range []struct {
		name    string
		sampler sdktrace.Sampler
	}{
		{"recorded", sdktrace.AlwaysSample()},
		{"dropped", sdktrace.NeverSample()},
	} {
		b.Run(sampling.name+"/sdk", func(b *testing.B) {
			request(b, sdktrace.NewTracerProvider(sdktrace.WithSampler(sampling.sampler)), false)
		})
		b.Run(sampling.name+"/processor", func(b *testing.B) {
			request(b, sdktrace.NewTracerProvider(sdktrace.WithSampler(sampling.sampler), sdktrace.WithSpanProcessor(nothing{})), false)
		})
		b.Run(sampling.name+"/labels", func(b *testing.B) {
			s := newService(b, nil)
			s.prof.Pause() // labels alone
			request(b, s.prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sampling.sampler))), false)
		})
		b.Run(sampling.name+"/sampled", func(b *testing.B) {
			s := newService(b, nil)
			request(b, s.prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sampling.sampler))), false)
		})
		b.Run(sampling.name+"/nested", func(b *testing.B) {
			s := newService(b, nil)
			request(b, s.prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sampling.sampler))), true)
		})
	}
}

// request makes a root with four children per iteration, side by side or one in
// another.
func request(b *testing.B, tp trace.TracerProvider, nested bool) {
	tracer := tp.Tracer("bench")
	b.ReportAllocs()
	for b.Loop() {
		ctx, root := tracer.Start(context.Background(), "root")
		var spans [4]trace.Span
		inner := ctx
		for i := range spans {
			if nested {
				inner, spans[i] = tracer.Start(inner, "child")
			} else {
				_, spans[i] = tracer.Start(ctx, "child")
				spans[i].End()
			}
		}
		if nested {
			for i := range spans {
				spans[len(spans)-1-i].End()
			}
		}
		root.End()
	}
}

// nothing is a span processor that does nothing: the SDK makes a snapshot of a
// span at its end as soon as there is any processor.
type nothing struct{}

func (nothing) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nothing) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nothing) Shutdown(context.Context) error                  { return nil }
func (nothing) ForceFlush(context.Context) error                { return nil }
