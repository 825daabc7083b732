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

func isLocked(err error) bool { return errors.Is(err, bolterrors.ErrTimeout) }

// checkFile looks at a file through ReadAt before bbolt maps it into memory,
// where a file that is damaged or is something else would be a fault.
func checkFile(path string) error {
	_, _, err := walkFile(path)
	return err
}

// walkFile walks the segment file at path. What it returns of the file tells
// later whether the same one still stands there.
func walkFile(path string) (*walkResult, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	res, err := walkSegment(f, fi.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("segment %s: %w", path, err)
	}
	return res, fi, nil
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
	for _, at := range res.blocks {
		b, err := readExtent(r, at.summary)
		if err != nil {
			return nil, err
		}
		info, err := decodeBlockInfo(at.seq, int(at.data.len), b)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", at.seq, err)
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
			return damage("block %d is not whole", b.seq)
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
