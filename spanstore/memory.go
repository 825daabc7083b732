package spanstore

import (
	"fmt"
	"unsafe"
)

// What the store holds in memory, as far as it is counted: the index by its
// bytes, the log of evictions at its bound, decoded blocks in the cache, encoded ones that
// wait and the buffers for them by theirs, queued spans by an estimate, and a
// fixed part for what does not grow.
const (
	// fixedMemory is the codec with its decoders (2 MiB), the encoder of the open
	// block and two for copies (at most 0.5 MiB each), and the store itself.
	fixedMemory = 4 << 20

	// queuedSpan is what a span of the SDK with ten attributes takes. What its
	// owner put into the attributes is the owner's until it is stored.
	queuedSpan = 1 << 10

	// infoMemory is a blockInfo without its slices, its part of the index of
	// traces, and what the allocator rounds up.
	infoMemory = int64(unsafe.Sizeof(blockInfo{})+unsafe.Sizeof(indexGroup{})/groupBlocks) + 64
)

// memory is about what a block's entry in the index takes.
func (b *blockInfo) memory() int64 {
	n := infoMemory + 4*int64(len(b.traces)) + int64(len(b.short))
	for _, s := range b.services {
		n += int64(len(s)) + 16
	}
	return n
}

// memory is what the log takes when it is full. It is counted from the start: else
// an eviction would free little more than what it adds to the log.
func (l *evictions) memory() int64 { return 4 * int64(l.max) }

// heldMemory is what cannot be given back without losing spans. s.mu is held.
func (s *Store) heldMemory() int64 {
	n := fixedMemory + s.indexBytes + s.gone.memory() + s.fullBytes + s.copyBytes
	for _, b := range s.buffers {
		n += int64(cap(b))
	}
	return n
}

// memory is all that is counted. s.mu is held.
func (s *Store) memory() int64 {
	return s.heldMemory() + int64(s.queue.len())*queuedSpan + s.cache.size()
}

// shareMemory gives the cache and the queue halves of what is left. That is an
// eighth of MaxMemory at the least, as fitMemory sees to it.
func (s *Store) shareMemory() {
	s.mu.Lock()
	left := max(s.maxMemory-s.heldMemory(), s.maxMemory/8)
	s.mu.Unlock()
	s.cache.resize(min(cacheBytes, int(left/2)))
	s.queue.mu.Lock()
	s.queue.most = int(min(queueSpans, left/2/queuedSpan))
	s.queue.mu.Unlock()
}

// overMemory reports whether what is held takes more than seven eighths of
// MaxMemory.
func (s *Store) overMemory() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heldMemory() > s.maxMemory/8*7
}

// fitMemory evicts the oldest segments until what is held fits into memory.
func (r *ring) fitMemory() error {
	for r.s.overMemory() && len(r.sealed) > 0 {
		// What it would keep of the segment takes memory too, though less.
		why := fmt.Sprintf("the index needed more than its part of Options.MaxMemory, %s", formatBytes(r.s.maxMemory))
		if err := r.evict(why, true); err != nil {
			return err
		}
	}
	return nil
}

// crowded reports whether the index of the active segment alone has a 16th of what
// there is: it is sealed then, so that there are segments to evict, and not too
// much goes with one.
func (r *ring) crowded() bool { return r.indexed > r.s.maxMemory/16 }

// accountLocked adds an entry of the index, or with -1 takes it away. s.mu is
// held.
func (s *Store) accountLocked(sign int64, b *blockInfo) { s.indexBytes += sign * b.memory() }

// copiesWaiting is what copies take that wait for room in a segment.
func (r *ring) copiesWaiting() (n int64) {
	for _, b := range r.kept {
		n += int64(cap(b.data) + cap(b.summary))
	}
	return n
}
