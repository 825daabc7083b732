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
)

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

	keyFormat    = []byte("format")
	keyEvictions = []byte("evictions")
	keySummary   = []byte("0") // sorts first, so it lies in the leaf's first page
	keyData      = []byte("1")
)

// brokenError is a panic or a memory fault inside bbolt. The database's locks
// may still be held, so its handle is given up and never closed.
type brokenError struct{ cause any }

func (e *brokenError) Error() string { return fmt.Sprintf("segment is damaged: %v", e.cause) }

// guard runs f and turns a panic, or a fault on a memory map whose file was
// cut off underneath, into a brokenError.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &brokenError{p}
		}
	}()
	return f()
}

func isBroken(err error) bool {
	var b *brokenError
	return errors.As(err, &b)
}

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

	mu     sync.RWMutex // held for reading while db is in use
	db     *bbolt.DB    // nil once closed
	broken bool
}

func segmentPath(dir string, num uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08d%s", num, segmentSuffix))
}

// openSegment opens the file at path, or creates it when it is to be written.
func openSegment(path string, num uint64, limit int64, write bool) (*boltSegment, error) {
	s := &boltSegment{num: num, path: path, limit: limit}
	// A file grows by this step beyond what it needs, and one step is kept free
	// at its end: small enough not to waste the budget, large enough that most
	// commits do not grow the file.
	s.alloc = max(4*pageSize, limit/64&^(pageSize-1))
	if err := s.open(write); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *boltSegment) open(write bool) error {
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
		s.db = db
		db.AllocSize = int(s.alloc)
		if write {
			if err := db.Update(s.create); err != nil {
				return err
			}
		}
		return s.measure()
	})
}

// create makes the buckets of a new segment and refuses a newer format.
func (s *boltSegment) create(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	switch v := meta.Get(keyFormat); {
	case v == nil:
		if err := meta.Put(keyFormat, []byte{formatVersion}); err != nil {
			return err
		}
	case len(v) != 1 || v[0] != formatVersion:
		return fmt.Errorf("%w: %s has format %v, this build writes format %d", errFormat, s.path, v, formatVersion)
	}
	for _, name := range [][]byte{bucketRuns, bucketBlocks} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	s.high = tx.Size()
	return nil
}

func (s *boltSegment) measure() error {
	fi, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	s.bytes.Store(fi.Size())
	return nil
}

func (s *boltSegment) number() uint64 { return s.num }
func (s *boltSegment) size() int64    { return s.bytes.Load() }

// room counts the worst case: every value in fresh pages, a path of branch and
// leaf pages for each bucket, the free list, and the file's growth step on top.
func (s *boltSegment) room(c *commit) bool {
	pages := int64(24) + c.bytes()/pageSize + 1
	for range c.blocks {
		pages += 4
	}
	pages += s.limit / pageSize / 512 * 2 // the free list at its longest, 8 bytes a page
	return s.high+pages*pageSize+s.alloc <= s.limit
}

func (s *boltSegment) commit(c *commit) error {
	return s.use(func(db *bbolt.DB) error {
		if err := db.Update(func(tx *bbolt.Tx) error { return put(tx, c) }); err != nil {
			return err
		}
		// Pages are allocated at commit, so only a later transaction knows.
		if err := db.View(func(tx *bbolt.Tx) error { s.high = tx.Size(); return nil }); err != nil {
			return err
		}
		return s.measure()
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
	if c.log != nil {
		return tx.Bucket(bucketMeta).Put(keyEvictions, c.log)
	}
	return nil
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func (s *boltSegment) read(seq uint64) (data []byte, err error) {
	err = s.use(func(db *bbolt.DB) error {
		return db.View(func(tx *bbolt.Tx) error {
			sub := tx.Bucket(bucketBlocks).Bucket(seqKey(seq))
			if sub == nil {
				return fmt.Errorf("block %d is missing from %s", seq, s.path)
			}
			// The copy is made inside the transaction, all else outside: a
			// transaction held open would pin the pages freed after it.
			data = append([]byte(nil), sub.Get(keyData)...)
			return nil
		})
	})
	return data, err
}

// load reads what Open needs: the blocks' summaries, the last run and the log
// of evictions.
func (s *boltSegment) load() (infos []*blockInfo, log []byte, err error) {
	err = s.use(func(db *bbolt.DB) error {
		return db.View(func(tx *bbolt.Tx) error {
			meta, blocks := tx.Bucket(bucketMeta), tx.Bucket(bucketBlocks)
			if meta == nil || blocks == nil {
				return fmt.Errorf("%s is a bbolt file but not a segment of a span store", s.path)
			}
			if v := meta.Get(keyFormat); len(v) != 1 || v[0] != formatVersion {
				return fmt.Errorf("%w: %s has format %v, this build reads format %d", errFormat, s.path, v, formatVersion)
			}
			log = append(log, meta.Get(keyEvictions)...)
			return blocks.ForEachBucket(func(k []byte) error {
				if len(k) != 8 {
					return fmt.Errorf("block key %x", k)
				}
				info, err := decodeBlockInfo(binary.BigEndian.Uint64(k), blocks.Bucket(k).Get(keySummary))
				if err != nil {
					return fmt.Errorf("block %x of %s: %w", k, s.path, err)
				}
				info.seg = s
				infos = append(infos, info)
				return nil
			})
		})
	})
	return infos, log, err
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
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return errGone
	}
	return guard(func() error { return f(s.db) })
}

// giveUp lets go of a database whose locks may be held for ever.
func (s *boltSegment) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db, s.broken = nil, true
}

// seal reopens the file for reading only, so that other processes may read it.
func (s *boltSegment) seal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errGone
	}
	if err := guard(s.db.Close); err != nil {
		return err
	}
	s.db = nil
	return s.open(false)
}

func (s *boltSegment) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	err := guard(s.db.Close)
	s.db = nil
	return err
}

func (s *boltSegment) remove() error {
	err := s.close()
	if rm := os.Remove(s.path); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		return rm
	}
	s.bytes.Store(0)
	return err
}
