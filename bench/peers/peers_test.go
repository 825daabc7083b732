package peers_test

import (
	"errors"
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

// TestScan finds the one trace that has an attribute, and those above a number.
func TestScan(t *testing.T) {
	spans := workload.New(1, time.Now()).Spans(2000)
	text, largest, traces := searched(spans)
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			s := reopen(t, open, t.TempDir())
			defer s.Close()
			if err := s.Export(spans); err != nil {
				t.Fatal(err)
			}
			for value, want := range map[string]int{text: 1, "none": 0} {
				if got, err := s.Scan(workload.SearchText, value); got != want || err != nil {
					t.Errorf("%s = %q: got %d traces, %v; want %d", workload.SearchText, value, got, err, want)
				}
			}
			for value, want := range map[int]int{largest - 1: traces, largest: 0} {
				got, err := s.ScanAbove(workload.SearchNumber, value)
				if errors.Is(err, errors.ErrUnsupported) {
					continue
				}
				if got != want || err != nil {
					t.Errorf("%s > %d: got %d traces, %v; want %d", workload.SearchNumber, value, got, err, want)
				}
			}
		})
	}
}

// searched returns a text that one span alone has, and the largest number with
// how many spans have it.
func searched(spans []sdktrace.ReadOnlySpan) (text string, largest, traces int) {
	for _, s := range spans {
		set := attribute.NewSet(s.Attributes()...)
		if v, ok := set.Value(workload.SearchText); ok && s.Name() == "redis.GET" { // it names a session
			text = v.AsString()
		}
		v, ok := set.Value(workload.SearchNumber)
		switch n := int(v.AsInt64()); {
		case !ok || n < largest:
		case n == largest:
			traces++
		default:
			largest, traces = n, 1
		}
	}
	return text, largest, traces
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
