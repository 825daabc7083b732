package spanstore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	bolterrors "go.etcd.io/bbolt/errors"
)

// errFormat is wrapped by errors about a segment of a format that this build
// does not know.
var errFormat = errors.New("unknown format")

// errNotWhole is wrapped by the damage of a block without a summary, or a summary
// without a block.
var errNotWhole = errors.New("it is not whole")

func isLocked(err error) bool { return errors.Is(err, bolterrors.ErrTimeout) }

// contents is what Open needs of a segment file. It is read through ReadAt
// before bbolt maps the file into memory, where one that is damaged or is
// something else would be a fault.
type contents struct {
	file  os.FileInfo // tells later whether the same one still stands there
	walk  *walkResult
	infos []*blockInfo
	log   []byte // of evictions; nil when there is none
	pins  []byte // likewise
}

// readContents walks the segment file at path and reads what the walk found.
func readContents(path string) (*contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := &contents{}
	if c.file, err = f.Stat(); err == nil {
		c.walk, err = walkSegment(f, c.file.Size())
	}
	if err == nil {
		c.infos, err = c.walk.summaries(f)
	}
	if err == nil {
		c.log, err = c.walk.value(f, keyEvictions)
	}
	if err == nil {
		c.pins, err = c.walk.value(f, keyPins)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", path, err)
	}
	return c, nil
}

// value reads a value of the bucket meta, nil when it is not there.
func (res *walkResult) value(r io.ReaderAt, key []byte) ([]byte, error) {
	at, ok := res.meta[string(key)]
	if !ok {
		return nil, nil
	}
	return readExtent(r, at)
}

// walkSegment walks a file and checks that it is a segment.
func walkSegment(r io.ReaderAt, size int64) (*walkResult, error) {
	res, err := walk(r, size)
	if err == nil {
		err = res.checkFormat(r)
	}
	return res, err
}

// summaries reads the summaries of the blocks, which tell a damaged key or
// length.
func (res *walkResult) summaries(r io.ReaderAt) (infos []*blockInfo, err error) {
	for i := range res.blocks {
		at := &res.blocks[i]
		b := at.read
		if at.read = nil; b == nil {
			if b, err = readExtent(r, at.summary); err != nil {
				return nil, err
			}
		}
		info, err := decodeBlockInfo(at.seq, int(at.data.len), b)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", at.seq, err)
		}
		if info.kept {
			info.bytes = at.summary.len + at.data.len
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func readExtent(r io.ReaderAt, at extent) ([]byte, error) { return readExtentInto(r, at, nil) }

// readExtentInto reads it into the memory of b, as far as that suffices.
func readExtentInto(r io.ReaderAt, at extent, b []byte) ([]byte, error) {
	b = slices.Grow(b[:0], int(at.len))[:at.len]
	if n, err := r.ReadAt(b, at.off); n < len(b) {
		if errors.Is(err, io.EOF) {
			return nil, damage("it is cut off at byte %d", at.off+int64(n))
		}
		return nil, err
	}
	return b, nil
}

// placeOf returns where the block of a number stands.
func placeOf(places []place, seq uint64) (place, bool) {
	i, ok := slices.BinarySearchFunc(places, seq, func(p place, seq uint64) int { return cmp.Compare(p.seq, seq) })
	if !ok {
		return place{}, false
	}
	return places[i], true
}

// checkFormat refuses what is a sound bbolt file but no whole segment, or one of
// a format that this build does not read.
func (res *walkResult) checkFormat(r io.ReaderAt) error {
	if err := res.checkVersion(r); err != nil {
		return err
	}
	for _, name := range [][]byte{bucketMeta, bucketRuns, bucketBlocks, bucketCommit} {
		if !slices.Contains(res.top, string(name)) {
			return damage("it has no bucket %s", name)
		}
	}
	for _, b := range res.blocks {
		if b.summary.len == 0 || b.data.len == 0 {
			return damage("block %d: %w", b.seq, errNotWhole)
		}
	}
	if res.stray != nil {
		return damage("block %x is no bucket", res.stray)
	}
	tx, err := readExtent(r, res.commit)
	if err != nil {
		return err
	}
	if !bytes.Equal(tx, seqKey(res.tx)) {
		return damage("its meta page is of transaction %d, its content of %x", res.tx, tx)
	}
	if res.torn {
		// bbolt would go back to the commit before. Blocks of the last one may be
		// there all the same.
		return damage("one of its meta pages is damaged")
	}
	return nil
}

// checkVersion reads the segment's mark. It holds the version twice: a bit that
// fell over must not look like a later version, which nobody may touch.
func (res *walkResult) checkVersion(r io.ReaderAt) error {
	v, ok := res.meta[string(keyFormat)]
	if !ok || v.len != int64(len(formatMark)) {
		return damage("it is a bbolt file but not a segment of a span store")
	}
	b := make([]byte, v.len)
	if _, err := r.ReadAt(b, v.off); err != nil {
		return err
	}
	if b[1] != ^b[0] {
		return damage("the mark of its format is damaged")
	}
	if b[0] != formatVersion {
		return fmt.Errorf("%w %d: this build reads format %d", errFormat, b[0], formatVersion)
	}
	return nil
}

// formatMark is what a segment's bucket meta has under format: the version and
// its complement.
var formatMark = []byte{formatVersion, ^byte(formatVersion)}
