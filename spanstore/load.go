package spanstore

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load finds the segments that a former process left.
func (r *ring) load() error {
	nums, err := r.findFiles()
	if err != nil {
		return err
	}
	found := r.readSegments(nums)
	for i, num := range nums {
		if err := r.take(num, i == len(nums)-1, found[i], nil); err != nil {
			for _, f := range found[i+1:] {
				err = errors.Join(err, f.close())
			}
			return errors.Join(err, r.close())
		}
	}
	r.recall(found)
	if err := r.salvageAll(); err != nil {
		return errors.Join(err, r.close())
	}
	// MaxBytes may be less than it was, and files set aside count too. Room for
	// another segment is made when one is begun, and not while somebody waits.
	active := int64(0)
	if r.active != nil {
		active = r.active.size()
	}
	if err := r.makeRoom(active, fmt.Sprintf("the ring was opened with a budget of %s", formatBytes(r.budget()+reserveBytes))); err != nil {
		return errors.Join(err, r.close())
	}
	// Copies that were too old for the former process are in their segments still.
	if age := r.s.opts.MaxAge; age > 0 {
		r.expireKept(time.Now().Add(-age), fmt.Sprintf("it was older than %v", age))
	}
	if err := r.fitMemory(); err != nil {
		return errors.Join(err, r.close())
	}
	r.loaded = true
	r.publish()
	return nil
}

// recall takes the log of evictions and the pins from the newest segment that can
// be read.
func (r *ring) recall(found []foundSegment) {
	for _, f := range slices.Backward(found) {
		if f.err == nil {
			r.s.mu.Lock()
			r.s.gone.decode(f.log, time.Now())
			r.s.pins.decode(f.pins)
			r.s.mu.Unlock()
			return
		}
	}
}

// findFiles returns the numbers of the segments in the directory, ascending, and
// notes the files that were set aside. What has no name of ours is left alone.
func (r *ring) findFiles() (nums []uint64, err error) {
	entries, err := os.ReadDir(r.s.dir)
	if err != nil {
		return nil, err
	}
	r.next = 1
	for _, e := range entries {
		suffix := filepath.Ext(e.Name())
		num, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), suffix), 10, 64)
		if err != nil || !e.Type().IsRegular() || e.Name() != fmt.Sprintf("%08d%s", num, suffix) {
			continue
		}
		switch suffix {
		case segmentSuffix:
			nums = append(nums, num)
		case damagedSuffix:
			if fi, err := e.Info(); err == nil {
				r.damaged = append(r.damaged, damagedFile{filepath.Join(r.s.dir, e.Name()), fi.Size()})
			}
		case salvageSuffix:
			// Its segment still stands beside it.
			if r.s.opts.ReadOnly {
				continue
			}
			if err := os.Remove(filepath.Join(r.s.dir, e.Name())); err != nil {
				return nil, err
			}
		default:
			continue
		}
		r.next = max(r.next, num+1)
	}
	slices.Sort(nums)
	return nums, nil
}

// maxReaders bounds the segments that are read at a time. A disk is faster at
// several things at once.
const maxReaders = 8

// readSegments reads the segments of the given numbers.
func (r *ring) readSegments(nums []uint64) []foundSegment {
	found := make([]foundSegment, len(nums))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(len(nums), maxReaders) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(nums); i = int(next.Add(1)) - 1 {
				found[i] = r.readSegment(nums[i], i == len(nums)-1)
			}
		})
	}
	wg.Wait()
	return found
}

// foundSegment is a segment that a former process left, opened, or why not.
type foundSegment struct {
	*contents
	seg     *boltSegment
	written bool // seg can be written
	err     error
}

// readSegment reads what the index needs of a segment, and opens it; the newest
// to be written, if it is within its bounds.
func (r *ring) readSegment(num uint64, newest bool) (f foundSegment) {
	path := segmentPath(r.s.dir, num)
	f.err = guard(func() (err error) {
		if f.contents, err = readContents(path); err != nil {
			return err
		}
		f.written = newest && f.file.Size() <= r.s.layout.segmentMost()
		f.seg, err = openSegment(path, num, r.s.layout.segmentMost(), f.written)
		return err
	})
	if f.err != nil {
		return f
	}
	for _, info := range f.infos {
		info.seg = f.seg
	}
	return f
}

func (f *foundSegment) close() error {
	if f.err != nil {
		return nil // it is not open
	}
	return f.seg.close()
}

// loadSegment reads one segment and takes it into the ring.
func (r *ring) loadSegment(num uint64, newest bool, instead segment) error {
	f := r.readSegment(num, newest)
	if err := r.take(num, newest, f, instead); err != nil {
		return err
	}
	after := func(seg sealedSegment) bool { return seg.number() > num }
	if !r.loaded && !slices.ContainsFunc(r.sealed, after) && (r.active == nil || r.active.number() <= num) {
		r.recall([]foundSegment{f}) // the one that others gave way to was newest, but damaged
	}
	return nil
}

// take indexes a segment's blocks; the newest goes on being written, if it is
// within its bounds. A damaged one is left for salvageAll. One of another
// format is an error, as is one that cannot be reached: setting it aside would
// lose it. The segment that it stands instead of, if any, leaves the index in
// the same moment.
func (r *ring) take(num uint64, newest bool, f foundSegment, instead segment) error {
	path, err := segmentPath(r.s.dir, num), f.err
	switch {
	case err == nil:
	case isLocked(err):
		return fmt.Errorf("another process holds %s: stop it, or give each process a directory of its own", path)
	case errors.Is(err, errFormat):
		return fmt.Errorf("%w: open it with a newer version, or give this one a directory of its own", err)
	case isDamage(err) && newest && onlyBegun(path):
		return os.Remove(path)
	case isDamage(err):
		r.wreckAt(path, num, nil, err)
		return nil
	default:
		return fmt.Errorf("%w: %s", err, elsewhere)
	}
	r.s.mu.Lock()
	if instead != nil {
		r.s.forgetLocked(instead)
	}
	for _, info := range f.infos {
		r.s.addInfo(info)
		r.s.seq = max(r.s.seq, info.seq)
	}
	at, _ := slices.BinarySearchFunc(r.sealed, num, func(seg sealedSegment, num uint64) int { return cmp.Compare(seg.number(), num) })
	r.s.mu.Unlock()
	if f.written {
		r.active, r.since, r.logged = f.seg, time.Now(), true
	} else {
		r.sealed = slices.Insert(r.sealed, at, sealedSegment{f.seg, f.file.ModTime()})
	}
	return nil
}

// onlyBegun reports whether the file is a segment that a kill stopped before its
// first commit was done: bbolt begins with four pages, of which the first is
// transaction 0's, makes the file longer, writes pages, and at last that first
// one anew. Nothing can be in it. The first page must say all that bbolt begins
// with: one of a later commit that is damaged may only look like transaction 0's.
func onlyBegun(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := readExtent(f, extent{0, min(fi.Size(), pageSize)})
	if err != nil || len(b) < pageSize {
		return err == nil && len(b) == 0
	}
	m := parseMeta(b)
	return m != nil && m.tx == 0 && m.root == 3 && m.freelist == 2 && m.pages == 4
}

// setFileAside renames a damaged file, so that it is neither used nor lost
// before its room is needed.
func (r *ring) setFileAside(path string, why error) {
	r.s.counts.damaged.Add(1)
	aside := strings.TrimSuffix(path, segmentSuffix) + damagedSuffix
	r.s.report("damaged "+path, fmt.Errorf("segment %s cannot be read and is set aside as %s: %w", path, filepath.Base(aside), why))
	if err := os.Rename(path, aside); err != nil {
		r.s.report("aside "+path, err)
		aside = path
	}
	if fi, err := os.Stat(aside); err == nil {
		r.damaged = append(r.damaged, damagedFile{aside, fi.Size()})
	}
}
