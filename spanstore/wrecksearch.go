package spanstore

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// searchCost bounds how many bytes of a file are checked as a block that then is
// none, in multiples of the file: what has the looks of blocks at every byte
// must not stop the writer for long.
const searchCost = 4

// hint says that a block has a number: one with a page of its own by that page,
// a small one, which lies in the page of the bucket above, by its bytes.
type hint struct {
	root int64
	at   extent
	seq  uint64
}

// hints looks through all pages for entries that give a number to a block,
// whether or not they are reached. Pages are used again for later blocks, so the
// greatest number counts.
func (w *wreck) hints() (hints []hint, err error) {
	b := make([]byte, pageSize)
	for id := int64(2); id < w.size/pageSize; id++ {
		if n, err := w.f.ReadAt(b, id*pageSize); n < len(b) && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if order.Uint64(b) != uint64(id) || order.Uint16(b[8:]) != flagLeaf {
			continue
		}
		for i := range min(int(order.Uint16(b[10:])), (pageSize-pageHeaderLen)/elementLen) {
			e := pageHeaderLen + i*elementLen
			key, vsize := int64(e)+int64(order.Uint32(b[e+4:])), int64(order.Uint32(b[e+12:]))
			if order.Uint32(b[e:]) == flagBucket && order.Uint32(b[e+8:]) == 8 && vsize >= bucketLen && key+8+vsize <= pageSize {
				hints = append(hints, hint{
					root: int64(order.Uint64(b[key+8:])), at: extent{id*pageSize + key + 8, vsize}, seq: binary.BigEndian.Uint64(b[key:]),
				})
			}
		}
	}
	return hints, nil
}

// numberAt returns the number of the block that begins at off, 0 when it is not
// known. A block begins in the first page of its bucket unless its summary fills
// that.
func numberAt(hints []hint, off int64) (seq uint64) {
	for _, h := range hints {
		if h.root == 0 && off > h.at.off && off < h.at.off+h.at.len {
			return h.seq
		}
	}
	for page := off / pageSize; seq == 0 && page > off/pageSize-4; page-- {
		for _, h := range hints {
			if h.root == page {
				seq = max(seq, h.seq)
			}
		}
	}
	return seq
}

// search finds the blocks that were not reached by what they begin with.
func (w *wreck) search(hints []hint) (loose []*find, err error) {
	reached := map[int64]bool{}
	for _, f := range w.finds {
		reached[f.at.off] = true
	}
	budget := searchCost * w.size
	buf := make([]byte, 1<<20)
	for base := int64(0); base < w.size; {
		n, err := w.f.ReadAt(buf, base)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		b, at := buf[:n], 0
		for {
			i := block.Find(b[at:])
			if i < 0 {
				break
			}
			at += i
			off := base + int64(at)
			at += block.MagicLen
			if reached[off] || budget < 0 {
				continue
			}
			if f, cost := w.try(off); f != nil {
				f.info.seq = numberAt(hints, off)
				loose = append(loose, f)
			} else {
				budget -= cost
			}
		}
		if n < len(buf) {
			break
		}
		base += int64(n - block.MagicLen + 1) // what begins at the end of the buffer
	}
	return loose, nil
}

// try reads the block that may begin at off, and says what the attempt cost.
func (w *wreck) try(off int64) (*find, int64) {
	head := make([]byte, min(block.MaxHeader, w.size-off))
	if _, err := w.f.ReadAt(head, off); err != nil {
		return nil, 0
	}
	_, n, ok := block.Length(head)
	if !ok || n > w.size-off {
		return nil, 0
	}
	at := extent{off, n}
	if info := w.read(at, 0); info != nil {
		return &find{info: info, at: at}, 0
	}
	return nil, n
}
