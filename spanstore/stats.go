package spanstore

import (
	"math"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// Stats is what a Store tells of itself. Counts run from Open, sizes are of now.
type Stats struct {
	// Dir is the directory, "" in memory. Run describes this process.
	Dir string
	Run Run

	// Spans and Blocks are in the store now; Oldest is the least start of any
	// span in it, zero when it is empty.
	Spans, Blocks int64
	Oldest        time.Time

	// MaxBytes is the budget. Bytes is what all files take of it, DamagedBytes
	// the part of it that is segments set aside.
	MaxBytes, Bytes, DamagedBytes int64
	Segments                      int

	// MaxMemory is the bound on what the store holds in memory, MemoryBytes what
	// it does hold, as Options.MaxMemory counts it.
	MaxMemory, MemoryBytes int64

	// Accepted spans came in since Open; of them Durable are on disk (or, in
	// memory, in the ring). Queued still wait to be accepted, or
	// are just being so.
	Accepted, Durable, Queued int64

	// Dropped spans by cause: the queue of Processor was full; the disk failed
	// or could not keep up; they could not be encoded; they came after Close.
	// Lost spans had been durable and were in a segment that turned out to be
	// damaged, or was removed.
	DroppedQueue, DroppedDisk, DroppedBroken, DroppedClosed int64
	Lost                                                    int64

	// Clipped values were cut or left out by the limits on strings and spans.
	// RedactFailed counts panics of Options.Redact. UsageDropped counts usage
	// records, windows and signals that found no room.
	Clipped, RedactFailed, UsageDropped int64

	// EvictedSpans and EvictedSegments left the ring. DamagedSegments were set
	// aside.
	EvictedSpans, EvictedSegments, DamagedSegments int64

	// LastEviction is the latest that the log of evictions has, of this process or
	// of one before it; zero when it has none.
	LastEviction Eviction

	// KeptTraces and KeptSpans, in KeptBytes, were kept when the segment that
	// they were in was evicted. They are part of Spans and of Bytes.
	KeptTraces           int
	KeptSpans, KeptBytes int64

	// Commits and WrittenBytes went to the ring.
	Commits, WrittenBytes int64

	// LastError says why the last commit failed, "" when it did not.
	LastError string
}

// Dropped is the sum of the spans that were dropped for any cause.
func (s Stats) Dropped() int64 {
	return s.DroppedQueue + s.DroppedDisk + s.DroppedBroken + s.DroppedClosed
}

// Stats returns the store's figures. It is cheap enough for every page.
func (s *Store) Stats() Stats {
	if s == nil {
		return Stats{}
	}
	c := &s.counts
	st := Stats{
		Dir: s.dir, Run: s.ring.run, MaxBytes: s.opts.MaxBytes,
		Accepted: c.accepted.Load(), Durable: c.durable.Load(),
		DroppedQueue: c.droppedQueue.Load(), DroppedDisk: c.droppedDisk.Load(),
		DroppedBroken: c.droppedBroken.Load(), DroppedClosed: c.droppedClosed.Load(),
		Lost: c.lost.Load(), Clipped: c.clipped.Load(), RedactFailed: c.redactFailed.Load(), UsageDropped: c.usageDropped.Load(),
		EvictedSpans: c.evictedSpans.Load(), EvictedSegments: c.evictedSegments.Load(), DamagedSegments: c.damaged.Load(),
		Commits: c.commits.Load(), WrittenBytes: c.written.Load(),
	}
	if st.MaxBytes == 0 {
		st.MaxBytes = DefaultMaxBytes
	}
	st.Queued = int64(s.queue.len())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addHeld(&st)
	st.MaxMemory, st.MemoryBytes = s.maxMemory, s.memory()
	st.KeptTraces = s.keptTraces
	st.LastEviction = s.gone.last()
	st.Segments, st.Bytes, st.DamagedBytes = s.sizes.segments, s.sizes.bytes, s.sizes.damaged
	if s.failed != nil {
		st.LastError = s.failed.Error()
	}
	return st
}

// addHeld counts the spans in the store. s.mu is held.
func (s *Store) addHeld(st *Stats) {
	oldest := int64(math.MaxInt64) // what a block has in which no span has a time
	hold := func(spans int, least int64) {
		if spans == 0 {
			return
		}
		st.Blocks++
		st.Spans += int64(spans)
		oldest = min(oldest, least)
	}
	inMemory := map[uint64]bool{}
	for _, p := range append(s.full[:len(s.full):len(s.full)], s.open) {
		hold(p.len(), p.least())
		inMemory[p.seq] = true
	}
	for _, info := range s.infos {
		if info.kind == block.KindSpans && !inMemory[info.seq] {
			hold(info.count, info.min)
		}
		if info.kept {
			st.KeptBytes += info.bytes
			if info.kind == block.KindSpans {
				st.KeptSpans += int64(info.count)
			}
		}
	}
	if oldest != math.MaxInt64 {
		st.Oldest = time.Unix(0, oldest).UTC()
	}
}
