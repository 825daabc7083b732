package profiler

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// spanKey64 is a span id as a number: eight bytes that maps hash fast. The zero
// value is no span.
type spanKey64 uint64

func keyOf(id trace.SpanID) spanKey64 { return spanKey64(binary.BigEndian.Uint64(id[:])) }

func (k spanKey64) spanID() (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(k))
	return id
}

// hex returns k as the label's value: 16 lower-case digits.
func (k spanKey64) hex() string {
	var dst [16]byte
	k.putHex(&dst)
	return string(dst[:])
}

func (k spanKey64) putHex(dst *[16]byte) {
	const digits = "0123456789abcdef"
	for i := range dst {
		dst[i] = digits[k>>(60-4*i)&0xf]
	}
}

// parseKey is the inverse of hex.
func parseKey(s string) (spanKey64, bool) {
	var b [8]byte
	if len(s) != 16 {
		return 0, false
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return 0, false
	}
	k := spanKey64(binary.BigEndian.Uint64(b[:]))
	return k, k != 0
}

// frame is what a live span did to its goroutine, and what takes it back.
// OnEnd is told neither the context nor anything private of the span, so the
// frame waits in the registry. It is also the context that the program gets, and
// never used again: nobody knows for how long a context is kept.
type frame struct {
	// Context is what the wrapper made this the child of; nil for a span that was
	// made without it. Only who takes the frame writes it.
	context.Context

	p     *Profiler
	key   spanKey64
	trace trace.TraceID

	// labels are on the goroutine while the span is its innermost. before are
	// those that the goroutine had, and prev is the frame of the span that they
	// name.
	labels any
	before labelCtx

	// prev belongs to the registry while it holds the frame, and to whoever
	// took the frame out of it afterwards.
	prev *frame

	// span is what was started, for those who ask what is in flight; nil once the
	// registry no longer holds the frame. The shard's lock guards it.
	span sdktrace.ReadOnlySpan

	// born is the registry's clock when the span started.
	born uint32

	// taken says that a wrapper gave the frame out as a context. An IDGenerator that
	// repeats ids leads several goroutines to one frame; one of them gets it.
	taken atomic.Bool

	// gone says that the registry no longer holds the frame: the span ended, or
	// had to make room.
	gone atomic.Bool

	// Where goroutine labels cannot be read, users counts the span itself while
	// it lives and the frames whose prev this is: more than one says that other
	// spans are further in. It is 0 elsewhere.
	users atomic.Int32

	// The shard's list of frames in the order of their start, and that of the
	// frames in the same bucket.
	older, newer, next *frame
}

// ended is what is remembered of a span that is over: enough to put the samples
// of the running window to its trace, to know samples that come too late, and
// to find the span in which it ran.
type ended struct {
	key, prev  spanKey64
	trace      trace.TraceID
	generation uint32
}

// shards spreads the lock; spans of one moment seldom meet in one of 64.
const shards = 64

// tagsAtOnce are made in one allocation, which is cheaper than one for each. A
// goroutine that keeps a label keeps its neighbours' memory too: 640 bytes.
const tagsAtOnce = 8

// registry knows the live spans and those that ended a short while ago. It is
// written at every start and end of a span and read in whole once a window.
// Its size is bounded: the oldest entry makes room for the newest.
type registry struct {
	maxLive, maxEnded int // in one shard

	// generation counts windows. A span that ended in an earlier generation
	// ended before the window began; no clock is read for that, and the end
	// times that a program may give its spans do not matter.
	generation atomic.Uint32

	// crowded is set when so many spans ended in this generation that soon some
	// would be forgotten before the window is over; onCrowded is called then.
	crowded   atomic.Bool
	onCrowded func()

	dropped atomic.Int64 // live frames that were put out to make room
	aged    atomic.Int64 // those that were put out because they were old

	clock atomic.Uint32 // seconds, of which nobody needs better ones

	shards [shards]shard
}

type shard struct {
	// count is that of the live frames, for those who look for one that is not
	// there: when only local roots are labelled most shards have none.
	count atomic.Int32

	mu             sync.Mutex // guards all below
	live           frameTable
	oldest, newest *frame

	// tags are for the next spans.
	tags []tag

	// ended is a ring that grows to maxEnded entries; next is the oldest then.
	// fresh counts those of the generation.
	ended      []ended
	next       int
	fresh      int
	total      uint64 // that ever ended
	generation uint32

	_ [32]byte // keeps neighbours' locks on cache lines of their own
}

func newRegistry(maxLive, maxEnded int, onCrowded func()) *registry {
	return &registry{maxLive: max(1, maxLive/shards), maxEnded: max(4, maxEnded/shards), onCrowded: onCrowded}
}

// spread makes sequential ids, as some generators give them, as good as random
// ones: 2^64 divided by the golden ratio.
const spread = 0x9e3779b97f4a7c15

func (r *registry) shard(k spanKey64) *shard {
	return &r.shards[uint64(k)*spread>>(64-6)]
}

// nextGeneration begins a generation and returns it.
func (r *registry) nextGeneration() uint32 {
	g := r.generation.Add(1)
	r.crowded.Store(false)
	return g
}

// get returns the frame of a live span, and nil when there is none.
func (r *registry) get(k spanKey64) *frame {
	s := r.shard(k)
	if s.count.Load() == 0 {
		return nil
	}
	s.mu.Lock()
	f := s.live.get(k)
	s.mu.Unlock()
	return f
}

// add takes f in and makes its labels, or reports false when the span is known
// already.
func (r *registry) add(f *frame) bool {
	s := r.shard(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live.get(f.key) != nil {
		return false
	}
	if s.live.n >= r.maxLive {
		s.unlink(s.oldest).release()
		r.dropped.Add(1)
	}
	s.label(f)
	s.live.add(f)
	s.count.Store(int32(s.live.n))
	if f.older = s.newest; f.older != nil {
		f.older.newer = f
	} else {
		s.oldest = f
	}
	s.newest = f
	return true
}

// label makes f's labels, of what its goroutine had and the span label.
func (s *shard) label(f *frame) {
	if !direct {
		f.labels = withSpan(f.before.v, f.key)
		return
	}
	if len(s.tags) == 0 {
		s.tags = make([]tag, tagsAtOnce)
	}
	t := &s.tags[0]
	s.tags = s.tags[1:]
	t.label(f)
	f.labels = t.labels()
}

// end takes the span out, remembers that it ended, and returns its frame; nil
// when it had none (any more), and then nothing is remembered.
func (r *registry) end(k spanKey64) *frame {
	s := r.shard(k)
	if s.count.Load() == 0 { // whoever ends a span knows that it has started
		return nil
	}
	s.mu.Lock()
	f := s.live.get(k)
	if f == nil {
		s.mu.Unlock()
		return nil
	}
	s.unlink(f)
	e := ended{key: k, trace: f.trace, generation: r.generation.Load()}
	if f.prev != nil {
		e.prev = f.prev.key
	}
	crowded := s.remember(e, r.maxEnded)
	s.mu.Unlock()
	if crowded && r.crowded.CompareAndSwap(false, true) {
		r.onCrowded()
	}
	return f
}

// unlink takes f out of the live frames and returns it.
func (s *shard) unlink(f *frame) *frame {
	s.live.remove(f)
	s.count.Store(int32(s.live.n))
	if f.older != nil {
		f.older.newer = f.newer
	} else {
		s.oldest = f.newer
	}
	if f.newer != nil {
		f.newer.older = f.older
	} else {
		s.newest = f.older
	}
	f.older, f.newer, f.span = nil, nil, nil
	f.gone.Store(true)
	if t := tagOf(f.labels); t != nil {
		t.frame.Store(nil)
	}
	return f
}

// remember puts e into the ring and reports whether three quarters of it are of
// e's generation: the last quarter lasts while the window is ended early.
func (s *shard) remember(e ended, limit int) bool {
	if len(s.ended) < limit {
		s.ended = append(s.ended, e)
	} else {
		s.ended[s.next] = e
		if s.next++; s.next == limit {
			s.next = 0
		}
	}
	if s.generation != e.generation {
		s.generation, s.fresh = e.generation, 0
	}
	s.fresh++
	s.total++
	return s.fresh == limit*3/4
}

// release cuts f, which has left the registry, off from its predecessor. A
// chain of frames would otherwise keep all its elders in memory, one leaked span
// at a time.
func (f *frame) release() {
	if f.users.Load() == 0 {
		f.prev = nil
		return
	}
	for f != nil && f.users.Add(-1) == 0 {
		prev := f.prev
		f.prev = nil
		f = prev
	}
}

// enclosing finds the innermost live span around one that has ended: known says
// that the ended span is remembered, f is nil when nothing lives around it.
func (r *registry) enclosing(k spanKey64) (f *frame, known bool) {
	// Nobody nests deeper than this on purpose, and ids that point at each
	// other in a circle must not hold anybody up.
	for range 64 {
		e, ok := r.find(k)
		if !ok {
			return nil, known
		}
		known = true
		if e.prev == 0 {
			return nil, true
		}
		if f := r.get(e.prev); f != nil {
			return f, true
		}
		k = e.prev
	}
	return nil, known
}

// find looks an ended span up, among the latest first. It may walk the whole
// ring, a few microseconds, and is for rare cases only.
func (r *registry) find(k spanKey64) (ended, bool) {
	s := r.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.ended)
	for i := range n {
		if e := &s.ended[(s.next+n-1-i)%n]; e.key == k {
			return *e, true
		}
	}
	return ended{}, false
}

// identity is what a sample's span id stands for.
type identity struct {
	trace trace.TraceID

	// over says that the span ended in an earlier generation than asked about.
	over bool
}

// identify tells what it knows of the spans of a window of generation gen. A
// span that is missing in the result is not known.
func (r *registry) identify(spans map[spanKey64]identity, gen uint32) {
	perShard := make(map[*shard][]spanKey64)
	for k := range spans {
		s := r.shard(k)
		perShard[s] = append(perShard[s], k)
	}

	// The ring is copied so that starting and ending spans wait for a memory
	// copy and not for the search.
	var ring []ended
	for s, keys := range perShard {
		s.mu.Lock()
		ring = append(ring[:0], s.ended...)
		for _, k := range keys {
			if f := s.live.get(k); f != nil {
				spans[k] = identity{trace: f.trace}
			}
		}
		s.mu.Unlock()
		for i := range ring {
			if _, wanted := spans[ring[i].key]; wanted {
				spans[ring[i].key] = identity{trace: ring[i].trace, over: ring[i].generation < gen}
			}
		}
	}
}

// liveSpans counts the live frames.
func (r *registry) liveSpans() (n int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += s.live.n
		s.mu.Unlock()
	}
	return n
}
