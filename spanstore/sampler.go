package spanstore

import (
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// RecordAll returns a sampler that records what base would drop, for the local
// store alone: such a span stays unsampled, so other exporters behind a batch
// processor skip it and downstream services are told not to sample. The store
// must be attached by Processor, as the SDK's own batch processor drops spans
// that are recorded without being sampled. A nil base samples nothing.
//
//	sdktrace.WithSampler(spanstore.RecordAll(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))))
func RecordAll(base sdktrace.Sampler) sdktrace.Sampler {
	if base == nil {
		base = sdktrace.NeverSample()
	}
	return recordAll{base}
}

type recordAll struct{ base sdktrace.Sampler }

func (s recordAll) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	r := s.base.ShouldSample(p)
	if r.Decision == sdktrace.Drop {
		r.Decision = sdktrace.RecordOnly
	}
	return r
}

func (s recordAll) Description() string {
	return fmt.Sprintf("RecordAll{%s}", s.base.Description())
}
