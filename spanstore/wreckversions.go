package spanstore

import (
	"bytes"
	"slices"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// known reports whether the block f is a find already, or stands elsewhere.
func (w *wreck) known(f *find) bool {
	b, err := w.bytes(f.at)
	if err != nil {
		return true
	}
	for _, o := range w.finds {
		if !related(o.info, f.info) {
			continue
		}
		switch other, err := w.bytes(o.at); {
		case err != nil:
		case w.within(b, other):
			return true
		case w.within(other, b): // the way to the newest version is lost
			f.info.seq, f.sure = o.info.seq, o.sure
			*o = *f
			return true
		}
	}
	return w.elsewhere(f)
}

// elsewhere reports whether f is in another segment, or still in memory. Where
// it is the later version of a block in another segment, it gets that one's
// number, under which it takes its place.
func (w *wreck) elsewhere(f *find) bool {
	w.s.mu.Lock()
	infos := slices.Clone(w.s.infos)
	var views []*openView
	for _, p := range w.s.pending() {
		views = append(views, p.read(true))
	}
	w.s.mu.Unlock()
	infos = slices.DeleteFunc(infos, func(o *blockInfo) bool { return o.seg.number() == w.num || !related(o, f.info) })
	if len(infos) == 0 && len(views) == 0 {
		return false
	}
	b, err := w.bytes(f.at)
	if err != nil {
		return true
	}
	for _, o := range infos {
		switch other, err := o.seg.read(o.seq); {
		case err != nil:
		case w.within(b, other):
			return true
		case w.within(other, b):
			f.info.seq, f.sure = o.seq, true
		}
	}
	spans, ok := w.decode(b).(*block.Spans)
	return ok && slices.ContainsFunc(views, func(v *openView) bool {
		in, err := v.open()
		return err == nil && spans.Prefix(in)
	})
}

// related reports whether two blocks may be versions of one another.
func related(a, b *blockInfo) bool {
	if a.count > b.count {
		a, b = b, a
	}
	switch {
	case a.kind != b.kind:
		return false
	case a.kind == block.KindUsage: // there is one version only
		return a.count == b.count && a.min == b.min && a.max == b.max && slices.Equal(a.traces, b.traces)
	}
	return a.min >= b.min && a.max <= b.max && !slices.ContainsFunc(a.traces, func(fp uint32) bool { return !b.mayHold(fp) })
}

// within reports whether the encoded block a is b, or an earlier version of it.
func (w *wreck) within(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, _ := w.decode(a).(*block.Spans)
	y, _ := w.decode(b).(*block.Spans)
	return x != nil && y != nil && x.Prefix(y)
}

// pending returns the blocks in memory. s.mu is held.
func (s *Store) pending() []*pendingBlock {
	if s.open == nil { // in Open
		return nil
	}
	return append(slices.Clone(s.full), s.open)
}
