package spanstore_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// TestStall: the stall of a span is what neither awaited children, each moment
// once, nor CPU time explain, wherever the parts of its trace are.
func TestStall(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	id := trace.TraceID{7}
	span := func(n, parent byte, kind trace.SpanKind, from, to time.Duration) tracetest.SpanStub {
		sc := func(n byte) trace.SpanContext {
			return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{n}})
		}
		s := tracetest.SpanStub{Name: "s", SpanContext: sc(n), SpanKind: kind, StartTime: start.Add(from), EndTime: start.Add(to)}
		if parent != 0 {
			s.Parent = sc(parent)
		}
		return s
	}
	const ms = time.Millisecond
	children := []tracetest.SpanStub{
		span(2, 1, trace.SpanKindInternal, 10*ms, 40*ms),
		span(3, 1, trace.SpanKindInternal, 30*ms, 60*ms),  // 20 ms more
		span(4, 1, trace.SpanKindInternal, 90*ms, 130*ms), // goes on: not awaited
		span(5, 3, trace.SpanKindClient, 30*ms, 60*ms),    // waits for its peer
	}
	root := span(1, 0, trace.SpanKindServer, 0, 100*ms) // 50 ms of its own, 20 of them on CPU
	window := spanstore.Window{Start: start.Add(-time.Second), End: start.Add(time.Second), Period: 10 * ms}
	for _, tt := range []struct {
		name   string
		store  func(t *testing.T, s *spanstore.Store)
		window bool
	}{
		{"one block", func(t *testing.T, s *spanstore.Store) { export(t, s, append(children, root)...) }, true},
		{"several blocks", func(t *testing.T, s *spanstore.Store) {
			g := spangen.New(*seed)
			export(t, s, children[0])
			for range 600 { // more than a block
				export(t, s, g.Request(start.Add(-time.Hour), 5)...)
			}
			export(t, s, append(children[1:], root)...)
		}, true},
		{"nobody looked", func(t *testing.T, s *spanstore.Store) { export(t, s, append(children, root)...) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, "", nil)
			tt.store(t, s)
			u := spanstore.UsageBatch{Spans: []spanstore.Usage{{TraceID: id, SpanID: root.SpanContext.SpanID(), Samples: 2, CPU: 20 * ms}}}
			if tt.window {
				u.Windows = []spanstore.Window{window}
			}
			if err := s.AddUsage(context.Background(), u); err != nil {
				t.Fatal(err)
			}
			finds := func(text string) bool {
				t.Helper()
				q, err := spanstore.ParseQuery(text)
				if err != nil {
					t.Fatal(err)
				}
				q.From, q.To = start.Add(-ms), start.Add(ms)
				p, err := s.Traces(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				return len(p.Traces) == 1
			}
			for text, want := range map[string]bool{
				"root stall>=30ms": tt.window, "root stall>30ms": false, "root stall>29%": tt.window, "root stall>=31%": false,
				"root stall<=30ms": true, "root stall<30ms": false, "kind=client stall>0s": false, "kind=client stall<=0s": true,
				"kind=internal stall>=30ms": tt.window, "kind=internal duration=30ms stall<=0s": true,
			} {
				if got := finds(text); got != want {
					t.Errorf("%s: got %v; want %v", text, got, want)
				}
			}
		})
	}
}
