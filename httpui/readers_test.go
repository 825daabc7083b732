package httpui_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/spanstore"
)

// TestReadersHoldNothing: while a hundred readers do not read what they asked for,
// a hundred more are answered, and the store evicts as ever. When they have left
// nothing is left of them.
func TestReadersHoldNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	store, err := spanstore.Open(t.TempDir(), &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	fill := func(from, to int) {
		for i := from; i < to; i += 100 {
			var stubs []tracetest.SpanStub
			for k := range 100 {
				id := trace.TraceID{1, byte(i >> 16), byte(i >> 8), byte(i), byte(k)}
				text := fmt.Sprintf("%x", i*7919+k) + strings.Repeat("x", 20)
				stubs = append(stubs, stub(id, uint64(i+k+1), 0, "GET /", trace.SpanKindServer, float64(i), float64(i+9), attribute.String("text", text+text)))
			}
			export(t, store, stubs...)
		}
	}
	fill(0, 2000)
	srv := httptest.NewServer(httpui.Handler(store, nil))
	defer srv.Close()
	views := []string{"?limit=1000", "overview?last=all", "graph?last=all", "flame", "suggest", "health", "live?stream=1", "live"}

	var stalled []net.Conn
	for i := range 100 {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /debug/traces/%s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n", views[i%len(views)])
		stalled = append(stalled, c)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var readers sync.WaitGroup
	for i := range 100 {
		view := views[i%len(views)]
		if strings.Contains(view, "stream") {
			continue
		}
		readers.Go(func() {
			r, err := client.Get(srv.URL + "/debug/traces/" + view)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n == 0 || r.StatusCode != http.StatusOK {
				t.Errorf("%s: got %d, %d bytes, %v", view, r.StatusCode, n, err)
			}
		})
	}
	readers.Wait()
	for i := 2000; store.Stats().EvictedSegments < 2; i += 5000 {
		if i > 1_000_000 {
			t.Fatalf("nothing was evicted while readers stood still: %+v", store.Stats())
		}
		fill(i, i+5000)
	}
	for _, c := range stalled {
		c.Close()
	}
}
