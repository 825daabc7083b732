package peers_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/bench/internal/workload"
	"github.com/spanclock/spanclock/bench/peers"
)

// open opens each of the stores that are compared.
var open = map[string]func(dir string) (measure.Store, error){
	"spanclock": func(dir string) (measure.Store, error) {
		return measure.OpenSpanclock(filepath.Join(dir, "store"), 8<<20)
	},
	"badger": func(dir string) (measure.Store, error) { return peers.OpenBadger(dir) },
	"sqlite": func(dir string) (measure.Store, error) {
		return peers.OpenSQLite(filepath.Join(dir, "spans.db"), 10_000)
	},
}

// TestRoundTrip stores the workload in each, reopens it, and reads it back: the
// figures are worth nothing when the work was not done.
func TestRoundTrip(t *testing.T) {
	spans := workload.New(1, time.Now()).Spans(2000)
	ids := workload.TraceIDs(spans)
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := reopen(t, open, dir)
			for at := 0; at < len(spans); at += measure.Batch {
				if err := s.Export(spans[at:min(at+measure.Batch, len(spans))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = reopen(t, open, dir)
			defer s.Close()
			if got := s.Spans(); got != int64(len(spans)) {
				t.Errorf("got %d spans after reopening; want %d", got, len(spans))
			}
			for _, id := range ids {
				got, err := s.Lookup(id)
				if err != nil || got != workload.SpansPerTrace {
					t.Fatalf("trace %s: got %d spans, %v; want %d", id, got, err, workload.SpansPerTrace)
				}
			}
			if got, err := s.Lookup(trace.TraceID{1}); got != 0 {
				t.Errorf("an unknown trace: got %d spans, %v; want none", got, err)
			}
		})
	}
}

func reopen(t *testing.T, open func(string) (measure.Store, error), dir string) measure.Store {
	t.Helper()
	s, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestScan finds the one trace that has an attribute.
func TestScan(t *testing.T) {
	spans := workload.New(1, time.Now()).Spans(2000)
	value := searched(spans)
	for _, name := range []string{"badger", "sqlite"} {
		t.Run(name, func(t *testing.T) {
			s := reopen(t, open[name], t.TempDir())
			defer s.Close()
			if err := s.Export(spans); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Scan(workload.SearchKey, value); got != 1 || err != nil {
				t.Errorf("%s = %q: got %d traces, %v; want 1", workload.SearchKey, value, got, err)
			}
			if got, err := s.Scan(workload.SearchKey, "none"); got != 0 || err != nil {
				t.Errorf("%s = none: got %d traces, %v; want 0", workload.SearchKey, got, err)
			}
		})
	}
}

// searched returns a value of SearchKey that one span alone has.
func searched(spans []sdktrace.ReadOnlySpan) string {
	set := attribute.NewSet(spans[0].Attributes()...) // the cache read, which names a session
	v, _ := set.Value(workload.SearchKey)
	return v.AsString()
}

// TestSQLiteForgets checks the bound that makes it comparable with a ring.
func TestSQLiteForgets(t *testing.T) {
	s, err := peers.OpenSQLite(filepath.Join(t.TempDir(), "spans.db"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g := workload.New(1, time.Now())
	for range 4 {
		if err := s.Export(g.Spans(measure.Batch)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Spans(); got != 1000 {
		t.Errorf("got %d spans; want the bound of 1000", got)
	}
}

// TestWorkload holds the workload to what shared figures are based on: about 395
// bytes of OTLP and 9 attributes a span.
func TestWorkload(t *testing.T) {
	spans := workload.New(1, time.Now()).Spans(measure.Chunk)
	var bytes, attributes int
	for at := 0; at < len(spans); at += measure.Batch {
		bytes += proto.Size(peers.Request(spans[at:min(at+measure.Batch, len(spans))]))
	}
	for _, s := range spans {
		attributes += len(s.Attributes())
	}
	perSpan, each := float64(bytes)/float64(len(spans)), float64(attributes)/float64(len(spans))
	t.Logf("%.1f bytes of OTLP and %.2f attributes a span", perSpan, each)
	if perSpan < 385 || perSpan > 405 {
		t.Errorf("got %.1f bytes of OTLP a span; want 395", perSpan)
	}
	if each < 8.5 || each > 9.5 {
		t.Errorf("got %.2f attributes a span; want 9", each)
	}
}
