package spanstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// ErrReadOnly is returned by ExportSpans and AddUsage of a store that was opened
// with Options.ReadOnly.
var ErrReadOnly = errors.New("span store is open for reading only")

// openReadOnly opens a store without a writer. It takes no lock and changes
// nothing: reads go to the files as they are.
func (s *Store) openReadOnly() error {
	if s.dir == "" {
		return errors.New("Options.ReadOnly needs a directory: a ring in memory begins empty")
	}
	s.queue.close()
	if err := s.Refresh(); err != nil {
		return err
	}
	s.open = s.newPending(block.NewEncoder(s.layout.limits)) // stays empty
	return nil
}

// Refresh lets a store that was opened with Options.ReadOnly see what was sealed
// and evicted since Open or the last Refresh. Unchanged segments are not read
// again. On a store of its own writer it does nothing.
func (s *Store) Refresh() error {
	if s == nil || !s.opts.ReadOnly {
		return nil
	}
	s.refreshMu.Lock()
	defer s.refreshMu.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	r := &s.ring
	before := r.sealed
	r.sealed, r.damaged = nil, nil
	nums, err := r.findFiles()
	if err != nil {
		r.sealed = before
		return err
	}
	s.mu.Lock()
	s.skipped = nil
	s.mu.Unlock()
	for i, num := range nums {
		if err := s.loadFile(num, i == len(nums)-1, before); err != nil {
			r.sealed = before
			return err
		}
	}
	for _, seg := range before {
		if !slices.ContainsFunc(r.sealed, func(o sealedSegment) bool { return o.segment == seg.segment }) {
			s.forget(seg.segment)
			_ = seg.remove() // of a fileSegment: reads of it end, the file stays
		}
	}
	r.publish()
	return nil
}

// loadFile indexes a segment file, unless it is one of those before, or the one
// that another process writes. A damaged one is skipped and named.
func (s *Store) loadFile(num uint64, newest bool, before []sealedSegment) error {
	r, path := &s.ring, segmentPath(s.dir, num)
	if newest && writtenByOther(path) {
		return nil
	}
	for _, seg := range before {
		if f := seg.segment.(*fileSegment); f.num == num && f.unchanged() {
			r.sealed = append(r.sealed, seg)
			return nil
		}
	}
	seg, c, err := readFileSegment(path, num)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // evicted meanwhile
	case isDamage(err):
		s.counts.damaged.Add(1)
		err = fmt.Errorf("segment %s cannot be read and is left out: %w", path, err)
		s.report("damaged "+path, err)
		s.mu.Lock()
		s.skipped = append(s.skipped, err.Error())
		s.mu.Unlock()
		return nil
	case err != nil:
		return err
	}
	r.sealed = append(r.sealed, sealedSegment{seg, seg.file.ModTime()})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, info := range c.infos {
		s.addInfo(info)
		s.seq = max(s.seq, info.seq)
	}
	s.gone.decode(c.log, time.Now()) // the newest segment's counts
	s.pins.decode(c.pins)
	return nil
}

// writtenByOther reports whether a process holds the file to write it.
func writtenByOther(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return heldByWriter(f)
}

// fileSegment is a segment that is read without bbolt, at the places where the
// walk found its blocks. It holds neither a lock nor the file between reads, so
// it stands in nobody's way.
type fileSegment struct {
	num    uint64
	path   string
	file   os.FileInfo
	places []place
	runsAt []extent

	mu     sync.Mutex // guards closed
	closed error
}

// readFileSegment reads what the index needs of a segment.
func readFileSegment(path string, num uint64) (*fileSegment, *contents, error) {
	c, err := readContents(path)
	if err != nil {
		return nil, nil, err
	}
	seg := &fileSegment{num: num, path: path, file: c.file, places: c.walk.blocks, runsAt: c.walk.runs}
	for _, info := range c.infos {
		info.seg = seg
	}
	return seg, c, nil
}

func (s *fileSegment) number() uint64                { return s.num }
func (s *fileSegment) size() int64                   { return s.file.Size() }
func (s *fileSegment) room(*commit, int64) bool      { return false }
func (s *fileSegment) fitsEmpty(*commit, int64) bool { return false }
func (s *fileSegment) commit(*commit) error          { return ErrReadOnly }
func (s *fileSegment) seal() error                   { return nil }
func (s *fileSegment) close() error                  { return s.closeAs(ErrClosed) }
func (s *fileSegment) remove() error                 { return s.closeAs(errGone) }

func (s *fileSegment) closeAs(reason error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = reason
	return nil
}

// unchanged reports whether the file is the one that was walked.
func (s *fileSegment) unchanged() bool {
	fi, err := os.Stat(s.path)
	return err == nil && os.SameFile(fi, s.file) && fi.Size() == s.file.Size() && fi.ModTime().Equal(s.file.ModTime())
}

// use runs f with the file, as long as that is the one that was walked.
func (s *fileSegment) use(f func(*os.File) error) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed != nil {
		return closed
	}
	file, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if fi, err := file.Stat(); err != nil || !os.SameFile(fi, s.file) {
		return errors.Join(errGone, err)
	}
	return f(file)
}

func (s *fileSegment) read(seq uint64) ([]byte, error) { return s.readInto(seq, nil) }

func (s *fileSegment) readInto(seq uint64, buf []byte) (data []byte, err error) {
	at, ok := placeOf(s.places, seq)
	if !ok {
		return nil, fmt.Errorf("segment %s has no block %d", s.path, seq)
	}
	err = s.use(func(f *os.File) (err error) {
		data, err = readExtentInto(f, at.data, buf)
		return err
	})
	return data, err
}

func (s *fileSegment) runs() (runs []Run, err error) {
	err = s.use(func(f *os.File) error {
		for _, at := range s.runsAt {
			b, err := readExtent(f, at)
			if err != nil {
				return err
			}
			r, err := decodeRun(b)
			if err != nil {
				return err
			}
			runs = append(runs, r)
		}
		return nil
	})
	return runs, err
}

var _ segment = (*fileSegment)(nil)
