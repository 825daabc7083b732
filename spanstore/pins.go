package spanstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// MaxPins is how many traces may be pinned at a time.
const MaxPins = 1000

// pins are the traces that somebody asked to keep. Each segment gets a copy with
// its first commit, so they survive with the newest.
type pins struct {
	ids     map[trace.TraceID]struct{} // never changed, only replaced: readers have it
	version uint64                     // counts the changes; 0 when there were never any
}

// Pin keeps a trace when the segments that hold it are evicted for room, before
// all others and as far as it fits into the budget for kept traces; MaxAge
// removes it all the same. A pin is durable with the next commit, or Flush. Pin
// fails with ErrNotFound for a trace that is not in the store, and when MaxPins
// traces that still are in it are pinned already. Cost: that of Trace.
func (s *Store) Pin(ctx context.Context, id trace.TraceID) error {
	if s == nil {
		return fmt.Errorf("pin trace %s: %w", id, ErrNotFound)
	}
	if _, err := s.Trace(ctx, id); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if _, ok := s.pins.ids[id]; ok {
		return nil
	}
	ids := maps.Clone(s.pins.ids)
	if ids == nil {
		ids = map[trace.TraceID]struct{}{}
	}
	if len(ids) >= MaxPins {
		maps.DeleteFunc(ids, func(id trace.TraceID, _ struct{}) bool { return !s.mayHold(id) })
	}
	if len(ids) >= MaxPins {
		return fmt.Errorf("pin trace %s: %d traces are pinned already: unpin one first", id, len(ids))
	}
	ids[id] = struct{}{}
	s.pins = pins{ids, s.pins.version + 1}
	return nil
}

// Unpin lets a trace go with its segment, as any other. It is no error when the
// trace is not pinned.
func (s *Store) Unpin(_ context.Context, id trace.TraceID) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if _, ok := s.pins.ids[id]; !ok {
		return nil
	}
	ids := maps.Clone(s.pins.ids)
	delete(ids, id)
	s.pins = pins{ids, s.pins.version + 1}
	return nil
}

// mayHold reports whether any block may hold a trace. s.mu is held.
func (s *Store) mayHold(id trace.TraceID) bool {
	return slices.ContainsFunc(s.pending(), func(p *pendingBlock) bool { return p.mayHold(id) }) ||
		len(s.index.find(fingerprint(id))) > 0
}

const pinsVersion = 1

// encode returns the version, the number of ids, the ids in ascending order and
// a CRC-32C of all that.
func (p *pins) encode() []byte {
	out := binary.AppendUvarint([]byte{pinsVersion}, uint64(len(p.ids)))
	for _, id := range slices.SortedFunc(maps.Keys(p.ids), func(a, b trace.TraceID) int { return bytes.Compare(a[:], b[:]) }) {
		out = append(out, id[:]...)
	}
	return binary.LittleEndian.AppendUint32(out, block.Checksum(out))
}

// decode replaces the pins by those of b; a damaged list changes nothing.
func (p *pins) decode(b []byte) {
	if ids, ok := parsePins(b); ok {
		*p = pins{ids, p.version + 1}
	}
}

// parsePins reads what encode wrote, and reports false when b is not that.
func parsePins(b []byte) (ids map[trace.TraceID]struct{}, ok bool) {
	r, ok := checkedReader(b, pinsVersion)
	if !ok {
		return nil, false
	}
	ids = map[trace.TraceID]struct{}{}
	for range r.count(16) {
		if id := trace.TraceID(r.take(16)); len(ids) < MaxPins {
			ids[id] = struct{}{}
		}
	}
	return ids, !r.bad && len(r.b) == 0
}

// unsavedPins reports whether the active segment lacks the pins as they are.
func (r *ring) unsavedPins() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.pins.version != r.pinsSaved
}

// fillPins adds the pins to a commit when the segment does not have them.
func (r *ring) fillPins(c *commit) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if v := r.s.pins.version; v != r.pinsSaved {
		c.pins, c.pinsVersion = r.s.pins.encode(), v
	}
}
