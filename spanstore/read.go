package spanstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// snapshot is what the store held at one moment. Committed blocks are read
// lazily; one that is evicted meanwhile reads as empty.
type snapshot struct {
	s        *Store
	ctx      context.Context
	closed   bool         // the store was closed while it was read
	views    []*openView  // blocks in memory
	infos    []*blockInfo // committed blocks of spans, in the order of their numbers
	usage    []*blockInfo // committed blocks of usage
	waiting  []*pendingUsage
	problems []string
	trouble  map[segment]bool // that problems tell of
	pins     map[trace.TraceID]struct{}
	gap      bool // the trace that was read has lost parts, as its copy says
	moved    bool // a block was evicted meanwhile; what is kept of it is elsewhere
}

func (s *Store) snapshot(ctx context.Context) (*snapshot, error) {
	return s.snapshotWith(ctx, func(sn *snapshot) {
		for _, p := range s.pending() {
			if p.enc.Len() > 0 {
				sn.views = append(sn.views, p.read(p == s.open))
			}
		}
		sn.infos = s.committedOnly(s.lists().spans)
	})
}

// snapshotOf returns a snapshot in which there are only the blocks that may hold
// spans of one trace, and what the log of evictions says of it.
func (s *Store) snapshotOf(ctx context.Context, id trace.TraceID) (sn *snapshot, gap Eviction, gaps bool, err error) {
	sn, err = s.snapshotWith(ctx, func(sn *snapshot) {
		for _, p := range s.pending() {
			if p.holds(id) {
				sn.views = append(sn.views, p.read(p == s.open))
			}
		}
		fp := fingerprint(id)
		sn.infos = s.committedOnly(s.index.find(fp))
		gap, gaps = s.gone.find(id)
	})
	return sn, gap, gaps, err
}

// snapshotWith calls fill, which adds the blocks of spans, in the moment of the
// snapshot, with s.mu held.
func (s *Store) snapshotWith(ctx context.Context, fill func(*snapshot)) (*snapshot, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.takeQueued()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	sn := &snapshot{s: s, ctx: ctx, waiting: slices.Clone(s.usage), problems: slices.Clone(s.skipped), trouble: map[segment]bool{}, pins: s.pins.ids}
	sn.usage = s.committedOnly(s.lists().usage)
	fill(sn)
	return sn, nil
}

// committedOnly returns infos, which are in the order of their numbers, without
// the blocks of which the memory has a newer copy. It changes nothing in infos.
// s.mu is held.
func (s *Store) committedOnly(infos []*blockInfo) []*blockInfo {
	shared := true
	drop := func(seq uint64) {
		i, ok := slices.BinarySearchFunc(infos, seq, func(b *blockInfo, seq uint64) int { return cmp.Compare(b.seq, seq) })
		if !ok {
			return
		}
		if shared {
			infos, shared = slices.Clone(infos), false
		}
		infos = slices.Delete(infos, i, i+1)
	}
	for _, p := range s.pending() {
		if p.enc.Len() > 0 { // an empty one has no number yet that others see
			drop(p.seq)
		}
	}
	for _, u := range s.usage {
		drop(u.info.seq)
	}
	return infos
}

// spans returns a committed block, nil when it is gone or cannot be read.
func (sn *snapshot) spans(info *blockInfo) *block.Spans {
	if b, ok := sn.s.cache.get(info).(*block.Spans); ok {
		return b
	}
	data, err := info.seg.read(info.seq)
	if err == nil {
		var b *block.Spans
		if b, err = block.OpenSpans(data, sn.s.codec); err == nil {
			sn.s.cache.put(info, b, b.MemoryBytes())
			return b
		}
	}
	sn.problem(info, err)
	if info.older != nil && !errors.Is(err, errGone) {
		return sn.spans(info.older)
	}
	return nil
}

// demote puts a block's older version in the place of one that is damaged.
func (s *Store) demote(info *blockInfo, err error) {
	if info.older == nil || !errors.Is(err, block.ErrCorrupt) {
		return
	}
	if _, err := info.older.seg.read(info.seq); err != nil {
		return // it is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.infos, info); i >= 0 {
		s.replaceInfo(i, info.older)
	}
}

// problem records that a block could not be read. Eviction is none.
func (sn *snapshot) problem(info *blockInfo, err error) {
	switch {
	case errors.Is(err, errGone):
		sn.moved = true
		return
	case errors.Is(err, ErrClosed):
		sn.closed = true
		return
	}
	sn.s.demote(info, err)
	text := fmt.Sprintf("block %d of segment %d could not be read: %v", info.seq, info.seg.number(), err)
	if isDamage(err) { // its other blocks will follow
		text = fmt.Sprintf("segment %d could not be read: %v", info.seg.number(), err)
	}
	if !sn.trouble[info.seg] {
		sn.problems = append(sn.problems, text)
	}
	sn.trouble[info.seg] = true
	sn.s.report(fmt.Sprintf("read %d", info.seg.number()), errors.New(text))
}

// err says why reading cannot go on.
func (sn *snapshot) err() error {
	if sn.closed {
		return ErrClosed
	}
	return sn.ctx.Err()
}

// view returns a block in memory, nil when it is empty.
func (sn *snapshot) view(v *openView) *block.Spans {
	b, err := v.open()
	if err != nil {
		sn.problems = append(sn.problems, fmt.Sprintf("spans in memory could not be read: %v", err))
		return nil
	}
	return b
}

// Trace returns what the store holds of one trace, its newest spans included.
// It fails with ErrNotFound when that is nothing. Cost: the blocks that hold
// parts of the trace are unpacked, less than 0.1 ms each; no others are read.
func (s *Store) Trace(ctx context.Context, id trace.TraceID) (*Trace, error) {
	if s == nil {
		return nil, fmt.Errorf("trace %s: %w", id, ErrNotFound)
	}
	for try := 0; ; try++ {
		sn, gap, gaps, err := s.snapshotOf(ctx, id)
		if err != nil {
			return nil, err
		}
		t, err := sn.trace(id)
		if sn.moved && try < maxRereads && (err == nil || errors.Is(err, ErrNotFound)) {
			continue
		}
		if err == nil && gaps {
			t.Problems = append(t.Problems, fmt.Sprintf("parts of this trace were evicted at %s: %s", gap.When.UTC().Format("2006-01-02 15:04:05 UTC"), gap.Why))
		} else if err == nil && sn.gap {
			t.Problems = append(t.Problems, "parts of this trace were evicted, longer ago than the log of evictions reaches")
		}
		return t, err
	}
}

// maxRereads bounds how often a reader begins again because a segment was
// evicted while it read: what is kept of that has moved.
const maxRereads = 3

func (sn *snapshot) trace(id trace.TraceID) (t *Trace, err error) {
	t = &Trace{ID: id}
	var kept byte
	finder := sn.s.finders.get()
	defer sn.s.finders.put(finder)
	take := func(b *block.Spans) {
		if t.Spans, err = appendSpans(t.Spans, b, id); err != nil {
			sn.problems = append(sn.problems, fmt.Sprintf("part of the trace could not be read: %v", err))
		}
		kept |= b.Kept(b.FindTrace(id))
	}
	for _, info := range sn.infos {
		if b := sn.find(finder, info, id); b != nil {
			take(b)
		}
		if err := sn.err(); err != nil {
			return nil, err
		}
	}
	for _, v := range sn.views {
		if b := sn.view(v); b != nil {
			take(b)
		}
	}
	if err := sn.err(); err != nil {
		return nil, err
	}
	if len(t.Spans) == 0 {
		if len(sn.problems) > 0 {
			return nil, fmt.Errorf("trace %s: %w: %s", id, ErrNotFound, sn.problems[0])
		}
		return nil, fmt.Errorf("trace %s: %w", id, ErrNotFound)
	}
	slices.SortStableFunc(t.Spans, func(a, b Span) int {
		return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End))
	})
	sn.addUsage(t)
	t.Kept, t.Problems, sn.gap = sn.kept(id, kept), sn.problems, kept&keptGap != 0
	return t, nil
}

// find returns a committed block that has spans of the trace, nil when it has
// none or cannot be read. It is valid until the finder is used again.
func (sn *snapshot) find(f *block.Finder, info *blockInfo, id trace.TraceID) *block.Spans {
	if b, ok := sn.s.cache.get(info).(*block.Spans); ok {
		return b
	}
	data, err := info.seg.readInto(info.seq, f.Buf)
	if err == nil {
		f.Buf = data
		var b *block.Spans
		if b, err = f.Open(data, sn.s.codec, id); err == nil {
			return b
		}
	}
	sn.problem(info, err)
	if info.older != nil && !errors.Is(err, errGone) {
		return sn.find(f, info.older, id)
	}
	return nil
}

// appendSpans appends the block's spans of one trace, whole.
func appendSpans(to []Span, b *block.Spans, id trace.TraceID) ([]Span, error) {
	t := b.FindTrace(id)
	if t < 0 {
		return to, nil
	}
	r, err := b.Reader()
	if err != nil {
		return to, err
	}
	for i := range b.Len() {
		if b.Trace(i) != t {
			continue
		}
		r.Seek(i)
		to = append(to, readSpan(b, r, i))
	}
	return to, nil
}

// readSpan returns the span i of a block, to which r was moved.
func readSpan(b *block.Spans, r *block.Reader, i int) Span {
	s := Span{
		SpanContext: r.SpanContext(), Parent: r.Parent(), Name: b.Name(i), Kind: r.Kind(),
		Start: r.Start(), End: r.End(), Attributes: r.Attributes(), Events: r.Events(), Links: r.Links(),
		Status: r.Status(), ChildSpanCount: r.Children(), Resource: r.Resource(), Scope: r.Scope(),
	}
	s.DroppedAttributes, s.DroppedEvents, s.DroppedLinks = r.Dropped()
	return s
}

// Evicted tells whether the trace was removed from the store, when and why, as
// far back as the log of evictions reaches. A kept trace was not, as long as it
// is there. The log's ids are held as 32-bit
// fingerprints: of 10,000 unknown ids it takes less than one for another.
func (s *Store) Evicted(id trace.TraceID) (Eviction, bool) {
	if s == nil {
		return Eviction{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeps(fingerprint(id)) {
		return Eviction{Since: s.gone.since}, false
	}
	return s.gone.find(id)
}
