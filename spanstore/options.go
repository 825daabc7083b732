package spanstore

import (
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

const (
	// DefaultMaxBytes is Options.MaxBytes when that is zero.
	DefaultMaxBytes = 256 << 20

	// MinMaxBytes is the least MaxBytes that Open accepts: eight segments, each
	// with room for a few blocks of full-sized spans.
	MinMaxBytes = 4 << 20

	// DefaultMaxMemory is Options.MaxMemory when that is zero.
	DefaultMaxMemory = 32 << 20

	// MinMaxMemory is the least MaxMemory that Open accepts: twice what the store
	// needs before it holds anything.
	MinMaxMemory = 8 << 20
)

// Options configure a Store. Nil and the zero value mean the defaults.
type Options struct {
	// MaxBytes bounds the sum of all files in the directory, or with Open("")
	// the encoded bytes in memory. The oldest spans make room for new ones.
	// Zero means DefaultMaxBytes; less than MinMaxBytes is refused.
	MaxBytes int64

	// MaxMemory bounds what the store holds in memory, as far as it is counted:
	// the index (about 2 bytes a span, 8 for traces of one span), the log of
	// evictions, the cache of decoded blocks, encoded blocks and copies that wait
	// for the disk, queued spans at 1 KiB each, and 4 MiB for encoders and codecs.
	// Not counted are what a query takes while it runs, the pages of files that the
	// system maps, and with Open("") the ring. As the index grows the cache and the
	// queue shrink; then the oldest segments are evicted before their time.
	// Zero means DefaultMaxMemory; less than MinMaxMemory is refused.
	MaxMemory int64

	// MaxAge removes spans that ended longer ago, a whole segment at a time, so
	// some live a little longer. Zero keeps them until MaxBytes is reached.
	MaxAge time.Duration

	// Redact, when it is set, decides what may be stored. It is asked about
	// every attribute of spans, events, links, resources and scopes, and about
	// span names, event names and status texts (as string values), before
	// anything reaches memory that queries see, or disk. It returns what to
	// store in place of v; false leaves an attribute out and a text empty. It
	// must be safe for concurrent use and should be quick: it is called some
	// ten times a span, behind Processor in the background, behind ExportSpans
	// by its caller. When it panics the value is replaced by "(redaction
	// failed)" and counted in Stats. Trace states are stored as they are.
	Redact func(f Field, v attribute.Value) (attribute.Value, bool)

	// ReadOnly opens a directory that a process left behind, or what another
	// process that is writing there has sealed: no lock is taken and nothing is
	// changed. Damaged segments are left out and named, in the log and in the
	// Problems of results; the segment that is being written is left out
	// silently. Refresh looks again. ExportSpans and AddUsage return ErrReadOnly;
	// MaxBytes and MaxAge mean nothing.
	ReadOnly bool

	// Logger is told about trouble, each kind once until it has passed, of each
	// damaged file and of panics of Redact once. Nil means the OpenTelemetry error
	// handler.
	Logger *slog.Logger
}

func (o *Options) maxMemory() (int64, error) {
	switch {
	case o.MaxMemory == 0:
		return DefaultMaxMemory, nil
	case o.MaxMemory < MinMaxMemory:
		return 0, fmt.Errorf("Options.MaxMemory is %d; it must be at least %d (%d MiB), or 0 for the default of %d MiB",
			o.MaxMemory, int64(MinMaxMemory), MinMaxMemory>>20, DefaultMaxMemory>>20)
	}
	return o.MaxMemory, nil
}

// layout is what follows from MaxBytes.
type layout struct {
	segments   int
	segmentMax int64 // bytes of one segment file, on average
	blockMax   int   // a block is closed when it may have reached this
	limits     block.Limits
}

const (
	// blockSpans closes a block, or an eighth more or fewer, see pageFit. Larger blocks compress better (28.5 bytes a
	// span on disk at 2,048, 32.8 at 1,024), smaller ones are quicker to read: a
	// trace costs the decoding of every block it has spans in.
	blockSpans = 1024

	// reserveBytes are kept free of segments, for the lock file.
	reserveBytes = 64 << 10
)

// segmentMost is what the active segment may take while the others leave so much
// of the budget: the growth step at its end and the pages that a commit reserves
// and mostly does not use are given back when it is sealed, so that sealed
// segments have segmentMax on average.
func (l layout) segmentMost() int64 { return l.segmentMax + growthStep(l.segmentMax) + 28*pageSize }

func (o *Options) layout() (layout, error) {
	maxBytes := o.MaxBytes
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	if maxBytes < MinMaxBytes {
		return layout{}, fmt.Errorf("Options.MaxBytes is %d; it must be at least %d (%d MiB), or 0 for the default of %d MiB",
			o.MaxBytes, int64(MinMaxBytes), MinMaxBytes>>20, DefaultMaxBytes>>20)
	}
	if o.MaxAge < 0 {
		return layout{}, fmt.Errorf("Options.MaxAge is %v; it must be positive, or 0 for no limit", o.MaxAge)
	}
	// More segments keep more of the budget live, fewer leave larger ones: 16
	// where a segment then still has 2 MiB.
	l := layout{segments: 16}
	if maxBytes/16 < 2<<20 {
		l.segments = 8
	}
	l.segmentMax = (maxBytes - reserveBytes) / int64(l.segments) &^ (pageSize - 1)
	l.blockMax = int(min(1<<20, l.segmentMax/8))
	l.limits = block.Limits{
		StringBytes: int(min(64<<10, l.segmentMax/64)),
		SpanBytes:   int(min(256<<10, l.segmentMax/16)),
	}
	return l, nil
}
