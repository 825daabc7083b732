package spanstore

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// find is a block in a damaged file whose checksum holds.
type find struct {
	info *blockInfo
	at   extent
	sure bool // its number was reached from the root; else it is a guess, or 0
}

// wreck is a damaged segment file and what can be got out of it.
type wreck struct {
	s    *Store
	f    *os.File
	size int64
	num  uint64

	finds []*find
	log   []byte // the log of evictions, nil when it is lost
	pins  []byte // the pinned traces, nil when they are lost
	runs  []Run

	lostSpans, lostBlocks int // as far as summaries tell; blocks without any
}

// explore finds every block of the file whose checksum holds: those that can
// still be reached by number, then those that lie about, in free pages or where
// the way to them is broken. Of the latter, what another find holds already is
// left out: they are mostly earlier versions of the segment's unfinished block.
func (w *wreck) explore() error {
	res, err := walkLeniently(w.f, w.size)
	if err != nil && !isDamage(err) {
		return err
	}
	if err := res.checkVersion(w.f); errors.Is(err, errFormat) {
		return err
	}
	for _, p := range res.blocks {
		w.reach(p)
	}
	w.readLog(res)
	hints, err := w.hints()
	if err != nil {
		return err
	}
	loose, err := w.search(hints)
	if err != nil {
		return err
	}
	// The longest version first: the others are its beginnings. What was reached
	// is no exception, as the way to it may be an old one.
	longest := func(a, b *find) int { return cmp.Compare(b.info.count, a.info.count) }
	slices.SortStableFunc(w.finds, longest)
	slices.SortStableFunc(loose, longest)
	found := append(w.finds, loose...)
	w.finds = nil
	for _, f := range found {
		if !w.known(f) {
			w.finds = append(w.finds, f)
		}
	}
	return nil
}

// reach takes a block that the tree leads to. Its summary knows its number and
// its size better than the tree.
func (w *wreck) reach(p place) {
	var summary *blockInfo
	if b, err := w.bytes(p.summary); err == nil {
		if summary, err = decodeSummary(b); err == nil {
			p.seq, p.data.len = summary.seq, int64(summary.size)
		}
	}
	switch info := w.read(p.data, p.seq); {
	case info != nil:
		if summary != nil && info.kind == block.KindUsage {
			info.kept = summary.kept // which usage does not tell
		}
		w.finds = append(w.finds, &find{info: info, at: p.data, sure: true})
	case summary == nil:
		w.lostBlocks++
	case summary.kind == block.KindSpans:
		w.lostSpans += summary.count
	}
}

func (w *wreck) bytes(at extent) ([]byte, error) {
	if at.off < 0 || at.len <= 0 || at.len > w.size-at.off {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, at.len)
	_, err := w.f.ReadAt(b, at.off)
	return b, err
}

// read returns the summary of the block at a place, nil when there is none.
func (w *wreck) read(at extent, seq uint64) *blockInfo {
	b, err := w.bytes(at)
	if err != nil {
		return nil
	}
	switch v := w.decode(b).(type) {
	case *block.Spans:
		return infoOfSpans(seq, len(b), v)
	case *block.Usage:
		return infoOfUsage(seq, len(b), v)
	}
	return nil
}

// decode returns a *block.Spans or *block.Usage, or nil.
func (w *wreck) decode(b []byte) any {
	kind, _, ok := block.Length(b[:min(len(b), block.MaxHeader)])
	if !ok {
		return nil
	}
	if kind == block.KindSpans {
		if v, err := block.OpenSpans(b, w.s.codec); err == nil {
			return v
		}
		return nil
	}
	if v, err := block.DecodeUsage(b, w.s.codec, true); err == nil {
		return v
	}
	return nil
}

func (w *wreck) readLog(res *walkResult) {
	if at, ok := res.meta[string(keyEvictions)]; ok {
		if b, err := w.bytes(at); err == nil && len(b) > 4 {
			w.log = b
		}
	}
	if at, ok := res.meta[string(keyPins)]; ok {
		if b, err := w.bytes(at); err == nil {
			w.pins = b
		}
	}
	for _, at := range res.runs {
		if b, err := w.bytes(at); err == nil {
			if r, err := decodeRun(b); err == nil {
				w.runs = append(w.runs, r)
			}
		}
	}
}

func (w *wreck) spans() (n int) {
	for _, f := range w.finds {
		if f.info.kind == block.KindSpans {
			n += f.info.count
		}
	}
	return n
}
