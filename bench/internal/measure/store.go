package measure

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Store is a store under test.
type Store interface {
	// Export accepts spans, 512 at a time.
	Export(spans []sdktrace.ReadOnlySpan) error

	// Sync makes all that was accepted durable.
	Sync() error

	// Lookup reads a trace, every span of it whole, and returns their number.
	Lookup(id trace.TraceID) (spans int, err error)

	// Scan returns how many traces, of at most ScanLimit, have a span whose
	// attribute key is the text, with no hint where to look.
	Scan(key, text string) (traces int, err error)

	// ScanAbove does the same for a number greater than the given one; a store
	// that cannot compare returns errors.ErrUnsupported.
	ScanAbove(key string, number int) (traces int, err error)

	// Payload counts the bytes that were handed to the engine below: blocks,
	// keys and values, rows.
	Payload() int64

	// Spans is how many spans the store holds.
	Spans() int64

	Close() error
}

// ScanLimit is how many traces a scan returns.
const ScanLimit = 100

// Spanclock is a spanstore.Store under test.
type Spanclock struct{ *spanstore.Store }

// OpenSpanclock opens a store whose files take maxBytes at most.
func OpenSpanclock(dir string, maxBytes int64) (Spanclock, error) {
	s, err := spanstore.Open(dir, &spanstore.Options{MaxBytes: maxBytes})
	return Spanclock{s}, err
}

func (s Spanclock) Export(spans []sdktrace.ReadOnlySpan) error {
	return s.ExportSpans(context.Background(), spans)
}

// Sync fails when a span was lost: a store must not be fast by dropping.
func (s Spanclock) Sync() error {
	if err := s.Flush(context.Background()); err != nil {
		return err
	}
	if st := s.Stats(); st.Dropped() > 0 {
		return fmt.Errorf("%d spans were dropped: %s", st.Dropped(), st.LastError)
	}
	return nil
}

func (s Spanclock) Lookup(id trace.TraceID) (int, error) {
	t, err := s.Trace(context.Background(), id)
	if err != nil {
		return 0, err
	}
	return len(t.Spans), nil
}

func (s Spanclock) Payload() int64 { return s.Stats().WrittenBytes }

// Spans leaves out the copies of kept traces: they are of older spans than those
// that the ring would hold without them.
func (s Spanclock) Spans() int64 {
	st := s.Stats()
	return st.Spans - st.KeptSpans
}
