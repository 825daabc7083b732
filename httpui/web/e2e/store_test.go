package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// site is the real handler on a store with the sample traces.
type site struct {
	*httptest.Server
	store *spanstore.Store
	prof  *profiler.Profiler // nil when the process has none
}

// serveStore serves the sample traces, and those given.
func serveStore(t testing.TB, more ...*sampletrace.Sample) *site {
	t.Helper()
	return serveStoreWith(t, nil, more...)
}

func serveStoreWith(t testing.TB, o *httpui.Options, more ...*sampletrace.Sample) *site {
	t.Helper()
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sampletrace.Store(context.Background(), store, append(sampletrace.Cases(), more...)...); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(mount, httpui.Handler(store, o))
	s := &site{Server: httptest.NewServer(mux), store: store}
	t.Cleanup(func() {
		s.Close()
		store.Close()
	})
	return s
}

func (s *site) trace(m *sampletrace.Sample) string { return s.URL + mount + "trace/" + m.ID.String() }

// span is the address of the nth span of a sample.
func (s *site) span(m *sampletrace.Sample, n int) string { return s.trace(m) + "#span=" + spanID(n) }

// spanID is the id of the nth span of a sample, from 1 on.
func spanID(n int) string { return sampletrace.SpanID(n).String() }

func largeID(n int) trace.TraceID { return trace.TraceID{0x1a, byte(n >> 16), byte(n >> 8), byte(n)} }
