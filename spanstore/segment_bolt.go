package spanstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Format is the version of the files' format that this package writes, and the
// newest that it reads.
const Format = formatVersion

const (
	pageSize = 4096 // pinned: 16 KiB pages write 4.5 times as much

	// lockTimeout is how long bbolt waits for a file; 0 would be for ever.
	lockTimeout = time.Second

	formatVersion = 1
	segmentSuffix = ".seg"
	damagedSuffix = ".damaged"
)

// The buckets of a segment, and the keys in them. See doc.go for the picture.
var (
	bucketMeta   = []byte("meta")
	bucketRuns   = []byte("runs")
	bucketBlocks = []byte("blocks")
	bucketCommit = []byte("commit")

	keyFormat    = []byte("format")
	keyEvictions = []byte("evictions")
	keyPins      = []byte("pins")
	keyTx        = []byte("tx")
	keySummary   = []byte("0") // sorts first, so it lies in the leaf's first page
	keyData      = []byte("1")
)

// damageError says that a segment's content is not what was written: it can be
// set aside. Any other error is about reaching it.
type damageError struct{ error }

func (e damageError) Unwrap() error { return e.error }

func damage(format string, args ...any) error {
	return damageError{fmt.Errorf(format, args...)}
}

// isDamage reports whether err is a verdict about a file's content.
func isDamage(err error) bool {
	var d damageError
	for _, known := range []error{bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum, errSummary} {
		if errors.Is(err, known) {
			return true
		}
	}
	return errors.As(err, &d)
}

// guard runs f and turns a panic, or a fault on a memory map whose file was
// cut off underneath, into a damageError.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damage("segment is damaged: %v", p)
		}
	}()
	return f()
}

// errDamaged is returned by a segment that turned out to be damaged before.
var errDamaged = damage("segment is damaged")

// boltSegment is a segment in a bbolt file.
//
// Each block is in a sub-bucket of its own. bbolt splits a leaf only above four
// keys however large its values are, so blocks side by side would be rewritten
// together with each new one (8.2 times the bytes against 1.2).
type boltSegment struct {
	num   uint64
	path  string
	limit int64
	alloc int64

	bytes atomic.Int64 // the file's size
	high  int64        // end of the pages in use; the writer's

	// broken says that a panic or fault left the database with locks that may
	// be held for ever: it is not touched again, not even to close it. The flag
	// needs no lock, as goroutines that hold one may never come back.
	broken atomic.Bool

	mu     sync.RWMutex // held for reading while db is in use
	db     *bbolt.DB    // nil when it could not be opened again
	closed error        // what use returns once the segment is closed or removed
}

func segmentPath(dir string, num uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08d%s", num, segmentSuffix))
}

// openSegment opens the file at path, which has passed the walk, to read it, or
// to write to it too.
func openSegment(path string, num uint64, limit int64, write bool) (*boltSegment, error) {
	s := newBoltSegment(path, num, limit)
	return s, s.open(write, nil)
}

// createSegment makes a new file with the log of evictions in it.
func createSegment(path string, num uint64, limit int64, log []byte) (*boltSegment, error) {
	s := newBoltSegment(path, num, limit)
	if err := s.open(true, func(tx *bbolt.Tx) error { return prepare(tx, log) }); err != nil {
		// Half a file must not stand in the way of the next attempt.
		if rm := os.Remove(path); rm != nil && !errors.Is(rm, os.ErrNotExist) {
			err = errors.Join(err, rm)
		}
		return nil, err
	}
	return s, syncDir(filepath.Dir(path))
}

func newBoltSegment(path string, num uint64, limit int64) *boltSegment {
	return &boltSegment{num: num, path: path, limit: limit, alloc: growthStep(limit)}
}

// growthStep is what a file grows by beyond what it needs. One such step is kept
// free at its end: small enough not to waste the budget, large enough that most
// commits do not grow the file.
func growthStep(limit int64) int64 { return max(4*pageSize, limit/64&^(pageSize-1)) }

// syncDir makes a new file's name survive a loss of power, where directories
// can be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// open opens the file; first is a transaction to begin with, nil for none.
func (s *boltSegment) open(write bool, first func(*bbolt.Tx) error) error {
	o := &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
		PageSize:     pageSize,
		ReadOnly:     !write,
		NoStatistics: true,
	}
	if write && runtime.GOOS != "windows" {
		// The map must never move: a reader would block the writer. On Windows
		// the file would be stretched to the map's size.
		o.InitialMmapSize = int(s.limit)
	}
	return guard(func() error {
		db, err := bbolt.Open(s.path, 0o600, o)
		if err != nil {
			return err
		}
		db.AllocSize = int(s.alloc)
		if first != nil {
			err = db.Update(first)
		}
		if err = errors.Join(err, s.measure(db)); err != nil {
			return errors.Join(err, db.Close())
		}
		s.db = db
		return nil
	})
}

// prepare makes the buckets of a new segment.
func prepare(tx *bbolt.Tx, log []byte) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if err := meta.Put(keyFormat, formatMark); err != nil {
		return err
	}
	if log != nil {
		if err := meta.Put(keyEvictions, log); err != nil {
			return err
		}
	}
	for _, name := range [][]byte{bucketRuns, bucketBlocks} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return putTx(tx)
}

// putTx notes the transaction's number in the tree, so that a meta page that is
// not the tree's own is told. It has a bucket of its own, which is small enough
// to lie in the root's page, written with every commit anyway.
func putTx(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(bucketCommit)
	if err != nil {
		return err
	}
	return b.Put(keyTx, seqKey(uint64(tx.ID())))
}

// measure notes the size of the file and of what is used in it.
func (s *boltSegment) measure(db *bbolt.DB) error {
	fi, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	s.bytes.Store(fi.Size())
	return db.View(func(tx *bbolt.Tx) error {
		s.high = tx.Size()
		return nil
	})
}

func (s *boltSegment) number() uint64 { return s.num }
func (s *boltSegment) size() int64    { return s.bytes.Load() }

func (s *boltSegment) room(c *commit, limit int64) bool { return s.roomFrom(s.high, c) <= limit }
func (s *boltSegment) fitsEmpty(c *commit, limit int64) bool {
	return s.roomFrom(16*pageSize, c) <= limit
}

// roomFrom returns what the file has at most after a commit when the pages up to
// high are in use. It counts the worst case: all values in fresh
// pages; four more pages a block for its bucket, its leaf's header and the
// branches to it; 24 for the other buckets and the path to the root; the free
// list at its longest, 8 bytes a page, twice; and the file's growth step.
func (s *boltSegment) roomFrom(high int64, c *commit) int64 {
	pages := 24 + c.bytes()/pageSize + 1 + 4*int64(len(c.blocks)) + 2*(s.limit/pageSize/512)
	return high + pages*pageSize + s.alloc
}

func (s *boltSegment) commit(c *commit) error {
	return s.use(func(db *bbolt.DB) error {
		if err := db.Update(func(tx *bbolt.Tx) error { return put(tx, c) }); err != nil {
			return err
		}
		return s.measure(db) // pages are allocated at commit, so only now they are known
	})
}

func put(tx *bbolt.Tx, c *commit) error {
	blocks := tx.Bucket(bucketBlocks)
	for _, b := range c.blocks {
		sub, err := blocks.CreateBucketIfNotExists(seqKey(b.info.seq))
		if err != nil {
			return err
		}
		if err := sub.Put(keySummary, b.summary); err != nil {
			return err
		}
		if err := sub.Put(keyData, b.data); err != nil {
			return err
		}
	}
	if c.run != nil {
		if err := tx.Bucket(bucketRuns).Put(seqKey(c.run.FirstBlock), c.run.encode()); err != nil {
			return err
		}
	}
	if c.pins != nil {
		if err := tx.Bucket(bucketMeta).Put(keyPins, c.pins); err != nil {
			return err
		}
	}
	if c.log != nil {
		if err := tx.Bucket(bucketMeta).Put(keyEvictions, c.log); err != nil {
			return err
		}
	}
	return putTx(tx)
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func (s *boltSegment) read(seq uint64) ([]byte, error) { return s.readInto(seq, nil) }

func (s *boltSegment) readInto(seq uint64, buf []byte) (data []byte, err error) {
	err = s.use(func(db *bbolt.DB) error {
		return db.View(func(tx *bbolt.Tx) error {
			sub := tx.Bucket(bucketBlocks).Bucket(seqKey(seq))
			if sub == nil {
				return damage("block %d is missing from %s", seq, s.path)
			}
			// The copy is made inside the transaction, all else outside: a
			// transaction held open would pin the pages freed after it.
			data = append(buf[:0], sub.Get(keyData)...)
			return nil
		})
	})
	return data, err
}

// runs returns the runs that wrote into the segment, oldest first.
func (s *boltSegment) runs() (runs []Run, err error) {
	err = s.use(func(db *bbolt.DB) error {
		return db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketRuns).ForEach(func(_, v []byte) error {
				r, err := decodeRun(v)
				runs = append(runs, r)
				return err
			})
		})
	})
	return runs, err
}

// use runs f with the database, guarded, as long as that is to be had.
func (s *boltSegment) use(f func(*bbolt.DB) error) error {
	if s.broken.Load() {
		return errDamaged
	}
	if err := s.intact(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.closed != nil:
		return s.closed
	case s.db == nil:
		return fmt.Errorf("segment %s could not be opened again", s.path)
	}
	err := guard(func() error { return f(s.db) })
	if d := (damageError{}); errors.As(err, &d) {
		s.broken.Store(true)
	}
	return err
}

// intact looks whether the file is still as long as it was. A fault in a map
// that reaches behind its file's end is survived, but bbolt may be left with a
// lock held, on which others would then wait for ever.
func (s *boltSegment) intact() error {
	known := s.bytes.Load() // before the file is asked: a commit may make both grow
	fi, err := os.Stat(s.path)
	if err == nil && fi.Size() < known {
		s.broken.Store(true)
		return damage("segment %s was cut off to %d bytes", s.path, fi.Size())
	}
	return nil // a file that was removed can still be read
}

// seal opens the file again for reading only, so that other processes may read
// it too.
func (s *boltSegment) seal() error {
	if s.broken.Load() {
		return errDamaged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := guard(s.db.Close); err != nil {
		return err
	}
	s.db = nil
	if err := s.cutToSize(); err != nil {
		return errors.Join(err, s.open(false, nil))
	}
	return s.open(false, nil)
}

// cutToSize gives back the growth step at the file's end, so that the next
// segment can have it. The file is closed.
func (s *boltSegment) cutToSize() error {
	if s.high == 0 || s.high >= s.bytes.Load() {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s.bytes.Store(s.high) // before the file is shorter than what is known of it
	return errors.Join(f.Truncate(s.high), f.Sync(), f.Close())
}

// reopen makes up for a seal whose second half failed.
func (s *boltSegment) reopen() error {
	if s.broken.Load() {
		return errDamaged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil || s.closed != nil {
		return nil
	}
	return s.open(false, nil)
}

func (s *boltSegment) close() error { return s.closeAs(ErrClosed) }

func (s *boltSegment) closeAs(reason error) error {
	if s.broken.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = reason
	if s.db == nil {
		return nil
	}
	err := guard(s.db.Close)
	s.db = nil
	return err
}

func (s *boltSegment) remove() error {
	err := s.closeAs(errGone)
	if rm := os.Remove(s.path); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		return rm
	}
	return err
}
