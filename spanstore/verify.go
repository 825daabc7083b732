package spanstore

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"os"

	bolterrors "go.etcd.io/bbolt/errors"
)

// errFormat is wrapped by errors about a segment of a format that this build
// does not know.
var errFormat = errors.New("unknown format")

func isLocked(err error) bool { return errors.Is(err, bolterrors.ErrTimeout) }

// The first two pages of a bbolt file are its metas; the one with the higher
// transaction whose checksum holds is in force.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	metaOffset  = 16 // behind the page header
	metaLen     = 64
)

// checkFile looks at a file through ReadAt before bbolt maps it into memory,
// where a file that is cut off or is something else would be a fault.
func checkFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	var inForce *boltMeta
	for page := range int64(2) {
		var b [metaLen]byte
		if _, err := f.ReadAt(b[:], page*pageSize+metaOffset); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if m := parseMeta(b[:]); m != nil && (inForce == nil || m.tx > inForce.tx) {
			inForce = m
		}
	}
	switch {
	case inForce == nil:
		return damage("it is no bbolt file, or both of its meta pages are damaged")
	case inForce.pageSize != pageSize:
		return damage("its pages have %d bytes, not %d", inForce.pageSize, pageSize)
	case inForce.pages > uint64(fi.Size())/pageSize || inForce.root >= inForce.pages:
		return damage("it is cut off: %d bytes hold no %d pages", fi.Size(), inForce.pages)
	}
	return nil
}

type boltMeta struct {
	pageSize        uint32
	root, pages, tx uint64
}

// parseMeta returns nil for a meta page that is not intact.
func parseMeta(b []byte) *boltMeta {
	order := binary.NativeEndian // as bbolt writes it
	sum := fnv.New64a()
	sum.Write(b[:56])
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion || order.Uint64(b[56:]) != sum.Sum64() {
		return nil
	}
	return &boltMeta{pageSize: order.Uint32(b[8:]), root: order.Uint64(b[16:]), pages: order.Uint64(b[40:]), tx: order.Uint64(b[48:])}
}
