package httpui_test

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
	"github.com/spanclock/spanclock/spanstore"
)

// BenchmarkTrace answers a trace of many spans in each form. Bytes are those of
// the answer before compression.
func BenchmarkTrace(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 50_000} {
		s, err := spanstore.Open("", nil)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		id := trace.TraceID{1, byte(n >> 8)}
		if err := sampletrace.Store(context.Background(), s, sampletrace.Large(id, n)); err != nil {
			b.Fatal(err)
		}
		h := httpui.Handler(s, nil)
		for _, form := range []struct{ name, query, accept string }{
			{"rows", "?format=json", acceptJSON}, {"columns", "?format=json&columns=1", acceptJSON}, {"page", "", acceptHTML},
		} {
			b.Run(fmt.Sprintf("%s/spans=%d", form.name, n), func(b *testing.B) {
				size := 0
				for b.Loop() {
					a := ask(h, "/t/trace/"+id.String()+form.query, "Accept", form.accept)
					if a.status != 200 {
						b.Fatalf("got %d %s", a.status, a.body)
					}
					size = len(a.body)
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}
