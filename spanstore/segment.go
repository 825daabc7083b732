package spanstore

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// segment is one part of the ring. commit and seal are called by the writer
// alone, read by anybody at any time.
type segment interface {
	// number orders segments by age.
	number() uint64

	// size is what the segment counts towards the budget, in bytes.
	size() int64

	// room reports whether a commit of c is sure to stay within the segment's
	// bytes.
	room(c *commit) bool

	// fitsEmpty reports the same of a segment in which nothing is yet.
	fitsEmpty(c *commit) bool

	// commit makes all of c durable, or none of it.
	commit(c *commit) error

	// read returns a block, which nobody changes. readInto returns a copy in the
	// memory of buf, as far as that suffices.
	read(seq uint64) ([]byte, error)
	readInto(seq uint64, buf []byte) ([]byte, error)

	// seal ends writing.
	seal() error

	// remove deletes the segment; close only gives it back. Both wait for reads
	// that are under way. Afterwards read returns errGone, or ErrClosed.
	remove() error
	close() error
}

// commit is what goes to a segment in one transaction.
type commit struct {
	blocks []encodedBlock
	run    *Run   // set with the first commit of a run into a segment
	log    []byte // the log of evictions, when it has changed since the segment began
	pins   []byte // the pinned traces, when the segment does not have them as they are

	pinsVersion uint64 // of pins
}

type encodedBlock struct {
	info    *blockInfo
	summary []byte
	data    []byte
}

func (c *commit) bytes() (n int64) {
	for _, b := range c.blocks {
		n += int64(len(b.summary) + len(b.data))
	}
	return n + int64(len(c.log)) + int64(len(c.pins))
}

// errGone is returned by read when the segment was removed meanwhile.
var errGone = errors.New("segment is gone")

// memSegment is a segment of a ring in memory.
type memSegment struct {
	num   uint64
	limit int64

	mu     sync.RWMutex // guards the rest
	blocks map[uint64][]byte
	bytes  int64
	gone   error // why there are no blocks any more
}

func newMemSegment(num uint64, limit int64) *memSegment {
	return &memSegment{num: num, limit: limit, blocks: map[uint64][]byte{}}
}

func (s *memSegment) number() uint64 { return s.num }
func (s *memSegment) seal() error    { return nil }
func (s *memSegment) close() error   { return s.drop(ErrClosed) }
func (s *memSegment) remove() error  { return s.drop(errGone) }

func (s *memSegment) size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

func (s *memSegment) room(c *commit) bool      { return s.size()+c.bytes() <= s.limit }
func (s *memSegment) fitsEmpty(c *commit) bool { return c.bytes() <= s.limit }

func (s *memSegment) commit(c *commit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return s.gone
	}
	for _, b := range c.blocks {
		s.bytes += int64(len(b.data)) - int64(len(s.blocks[b.info.seq]))
		s.blocks[b.info.seq] = slices.Clone(b.data)
	}
	return nil
}

func (s *memSegment) read(seq uint64) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.gone != nil {
		return nil, s.gone
	}
	b, ok := s.blocks[seq]
	if !ok {
		return nil, fmt.Errorf("segment %d has no block %d", s.num, seq)
	}
	return b, nil // never changed once it is in the map
}

func (s *memSegment) readInto(seq uint64, buf []byte) ([]byte, error) {
	b, err := s.read(seq)
	return append(buf[:0], b...), err
}

func (s *memSegment) drop(why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks, s.bytes, s.gone = nil, 0, why
	return nil
}
