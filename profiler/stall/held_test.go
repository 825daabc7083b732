package stall_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
)

// TestHeldUpAtStart: what lies between the start of a span and the moment at which it
// was written into the trace is the kernel's when the goroutine ran then, and not
// known when it waited, or when it is too long.
func TestHeldUpAtStart(t *testing.T) {
	for _, tt := range []struct {
		name string
		segs []seg
		want map[stall.State]time.Duration
	}{
		{"ran", []seg{{8, 100, "cpu", -1, 2}}, map[stall.State]time.Duration{stall.StateCPU: 90 * ms, stall.StateSteal: 10 * ms}},
		{"waited", []seg{{8, 50, "chan", -1, 0}, {50, 100, "cpu", -1, 0}}, map[stall.State]time.Duration{stall.StateUnknown: 8 * ms, stall.StateChan: 42 * ms, stall.StateCPU: 50 * ms}},
		{"long ago", []seg{{30, 100, "cpu", -1, 0}}, map[stall.State]time.Duration{stall.StateUnknown: 30 * ms, stall.StateCPU: 70 * ms}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := literal(span{1, 0, "GET /", 0, 100, trace.SpanKindServer, "shop", nil})
			exact(tr, 1, nil, tt.segs...)
			got := map[stall.State]time.Duration{}
			for _, s := range stall.Analyze(tr).Nodes[0].States {
				got[s.State] = s.Time
			}
			for s, want := range tt.want {
				if got[s] != want {
					t.Errorf("%s: got %v; want %v, of %v", s, got[s], want, got)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("got %v; want %v", got, tt.want)
			}
		})
	}
}
