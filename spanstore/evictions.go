package spanstore

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// evictions remembers which traces left the ring, as far back as its bound
// allows. Each new segment starts with a copy, so it survives with the newest.
type evictions struct {
	max     int // fingerprints kept, an entry counting as entryPrints
	entries []evictedSegment
	since   time.Time // what left before is not known; zero: everything is
}

type evictedSegment struct {
	when   time.Time
	why    string
	traces []uint32 // sorted
}

// entryPrints is how many fingerprints an entry counts as, beside its own: when,
// why, and what the allocator rounds up take about 128 bytes.
const entryPrints = 32

func (l *evictions) add(e evictedSegment) {
	if room := l.max - entryPrints; len(e.traces) > room {
		// What is cut off left after all that is known: nothing older counts.
		e.traces = slices.Clone(e.traces[:max(room, 0)])
		l.entries, l.since = []evictedSegment{e}, e.when
		return
	}
	l.entries = append(l.entries, e)
	l.trim()
}

// trim lets go of the oldest entries until the rest is within the bound.
func (l *evictions) trim() {
	total := 0
	for i := len(l.entries) - 1; i >= 0; i-- {
		if total += entryPrints + len(l.entries[i].traces); total > l.max {
			l.since = l.entries[i].when
			l.entries = slices.Delete(l.entries, 0, i+1)
			return
		}
	}
}

// last is the latest eviction, the zero one when none is known.
func (l *evictions) last() Eviction {
	if len(l.entries) == 0 {
		return Eviction{}
	}
	e := l.entries[len(l.entries)-1]
	return Eviction{When: e.when, Why: e.why, Since: l.since}
}

func (l *evictions) find(id trace.TraceID) (Eviction, bool) { return l.findPrint(fingerprint(id)) }

func (l *evictions) findPrint(fp uint32) (Eviction, bool) {
	for _, e := range l.entries {
		if has(e.traces, fp) {
			return Eviction{When: e.when, Why: e.why, Since: l.since}, true
		}
	}
	return Eviction{Since: l.since}, false
}

func has(sorted []uint32, fp uint32) bool {
	_, ok := slices.BinarySearch(sorted, fp)
	return ok
}

const evictionsVersion = 1

func (l *evictions) encode() []byte {
	out := []byte{evictionsVersion}
	since := int64(math.MinInt64)
	if !l.since.IsZero() {
		since = l.since.UnixNano()
	}
	out = binary.AppendVarint(out, since)
	out = binary.AppendUvarint(out, uint64(len(l.entries)))
	for _, e := range l.entries {
		out = binary.AppendVarint(out, e.when.UnixNano())
		out = append(binary.AppendUvarint(out, uint64(len(e.why))), e.why...)
		out = binary.AppendUvarint(out, uint64(len(e.traces)))
		before := uint32(0)
		for _, fp := range e.traces {
			out = binary.AppendUvarint(out, uint64(fp-before))
			before = fp
		}
	}
	return binary.LittleEndian.AppendUint32(out, block.Checksum(out))
}

// decode replaces l's entries by those of b. A damaged log is as good as none:
// it then reaches back to now.
func (l *evictions) decode(b []byte, now time.Time) {
	if len(b) == 0 {
		return // a segment that has none says nothing
	}
	if !l.parse(b) {
		l.entries, l.since = nil, now
	}
	l.trim() // it may come from a larger store
}

// parse reads what encode wrote, and reports false when b is not that.
func (l *evictions) parse(b []byte) bool {
	l.entries, l.since = nil, time.Time{}
	r, ok := checkedReader(b, evictionsVersion)
	if !ok {
		return false
	}
	if since := r.varint(); since != math.MinInt64 {
		l.since = time.Unix(0, since)
	}
	for range r.count(3) {
		e := evictedSegment{when: time.Unix(0, r.varint()), why: string(r.take(r.count(1)))}
		e.traces = make([]uint32, r.count(1))
		before := uint32(0)
		for i := range e.traces {
			before += uint32(r.uvarint())
			e.traces[i] = before
		}
		l.entries = append(l.entries, e)
	}
	return !r.bad && len(r.b) == 0
}
