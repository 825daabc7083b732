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
	return s.snapshotWith(ctx, nil)
}

// snapshotWith calls also, when it is given, in the moment of the snapshot, with
// s.mu held.
func (s *Store) snapshotWith(ctx context.Context, also func()) (*snapshot, error) {
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
	if also != nil {
		also()
	}
	sn := &snapshot{s: s, ctx: ctx, waiting: slices.Clone(s.usage), problems: slices.Clone(s.skipped), trouble: map[segment]bool{}, pins: s.pins.ids}
	inMemory := map[uint64]bool{}
	for _, p := range s.full {
		inMemory[p.seq] = true
		sn.views = append(sn.views, p.read(s.codec))
	}
	if s.open.enc.Len() > 0 {
		inMemory[s.open.seq] = true
		sn.views = append(sn.views, s.open.read(s.codec))
	}
	for _, u := range s.usage {
		inMemory[u.info.seq] = true
	}
	for _, info := range s.infos {
		switch {
		case inMemory[info.seq]: // the copy in memory is newer
		case info.kind == block.KindUsage:
			sn.usage = append(sn.usage, info)
		default:
			sn.infos = append(sn.infos, info)
		}
	}
	return sn, nil
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
		s.infos[i] = info.older
		s.accountLocked(-1, info)
		s.accountLocked(1, info.older)
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
// parts of the trace are decoded, about 0.1 ms each.
func (s *Store) Trace(ctx context.Context, id trace.TraceID) (*Trace, error) {
	if s == nil {
		return nil, fmt.Errorf("trace %s: %w", id, ErrNotFound)
	}
	for try := 0; ; try++ {
		var gap Eviction
		var gaps bool
		sn, err := s.snapshotWith(ctx, func() { gap, gaps = s.gone.find(id) })
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
	for _, b := range sn.holding(id) {
		if err := sn.err(); err != nil {
			return nil, err
		}
		if t.Spans, err = appendSpans(t.Spans, b, id); err != nil {
			sn.problems = append(sn.problems, fmt.Sprintf("part of the trace could not be read: %v", err))
		}
		kept |= b.Kept(b.FindTrace(id))
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

// holding returns the blocks that hold spans of the trace.
func (sn *snapshot) holding(id trace.TraceID) (blocks []*block.Spans) {
	fp := fingerprint(id)
	for _, info := range sn.infos {
		if info.mayHold(fp) {
			if b := sn.spans(info); b != nil {
				blocks = append(blocks, b)
			}
		}
	}
	for _, v := range sn.views {
		if b := sn.view(v); b != nil {
			blocks = append(blocks, b)
		}
	}
	return blocks
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
