package workload

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// TestAgain wants the same spans in the same trees, each pass under ids of its own.
func TestAgain(t *testing.T) {
	spans := New(1, time.Unix(1_700_000_000, 0)).Spans(50)
	seen := map[trace.TraceID]bool{}
	for pass := range uint64(3) {
		again := Again(spans, pass+1)
		known := map[trace.SpanID]trace.TraceID{}
		for i, s := range again {
			known[s.SpanContext().SpanID()] = s.SpanContext().TraceID()
			if s.Name() != spans[i].Name() || len(s.Attributes()) != len(spans[i].Attributes()) || !s.EndTime().Equal(spans[i].EndTime()) {
				t.Errorf("pass %d: span %d is %v; want %v", pass, i, s, spans[i])
			}
		}
		for i, s := range again {
			if p, was := s.Parent(), spans[i].Parent(); p.IsValid() != was.IsValid() || p.IsValid() && known[p.SpanID()] != s.SpanContext().TraceID() {
				t.Errorf("pass %d: the parent of span %d is %v", pass, i, p)
			}
		}
		ids := TraceIDs(again)
		if len(ids) != len(spans)/SpansPerTrace || len(known) != len(spans) {
			t.Errorf("pass %d: %d traces of %d spans; want %d of %d", pass, len(ids), len(known), len(spans)/SpansPerTrace, len(spans))
		}
		for _, id := range ids {
			if seen[id] {
				t.Errorf("pass %d: trace %s was there before", pass, id)
			}
			seen[id] = true
		}
	}
}
