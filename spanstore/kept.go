package spanstore

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// keptShare is the part of a segment that may be copied when it is evicted.
// Every segment begins with what was kept of one other, so it is the part of the
// ring that kept traces may take, too.
const keptShare = 10

// moveShare of a block of copies, in percent, must be chosen again for it to
// move on as it is, with the rest of it: to take such a block apart and make
// another costs as much as all else that eviction does.
const moveShare = 75

// rescue is what is kept of a segment that is evicted.
type rescue struct {
	blocks []encodedBlock // without numbers
	traces []uint32       // fingerprints of the traces that were copied whole, sorted
	spans  int
}

// rescue copies what is to be kept of a segment. What to keep is known from the
// blocks' shortlists; only blocks that have something of it are read, once. What
// cannot be read is not kept.
func (r *ring) rescue(seg segment) (out rescue) {
	defer func() {
		if p := recover(); p != nil {
			r.s.report("keep", fmt.Errorf("nothing is kept of segment %d: %v", seg.number(), p))
			out = rescue{}
		}
	}()
	k := r.newKeeper(seg)
	k.survey()
	// What a span takes is a guess from the segment's mean, before it is known
	// how well the chosen ones compress.
	for guess := 1.2; guess < 10; guess *= 1.6 {
		if out, times, ok := k.copy(k.choose(guess)); ok {
			r.keptTimes = times
			if !k.failed {
				r.s.passed("keep")
			}
			return out
		}
	}
	return rescue{}
}

// keeper looks for the traces to keep of one segment.
type keeper struct {
	r      *ring
	s      *Store
	infos  []*blockInfo // the segment's blocks of spans
	usage  []*blockInfo // and of usage
	wanted map[uint32]byte
	oldest int64     // what ended before is older than MaxAge
	limit  int64     // bytes that may be kept
	before intervals // when the traces ran that were kept of the segment before
	failed bool      // something could not be read

	lists  []*shortlist     // of infos; nil for one that cannot be read
	at     map[uint32]int32 // position in list, by fingerprint
	list   []candidate
	routes map[uint64]int32
	roots  []int // traces that came in by each route
	spans  int64
	bytes  int64
}

// trouble reports what cannot be kept.
func (k *keeper) trouble(err error) {
	k.failed = true
	k.s.report("keep", err)
}

func (r *ring) newKeeper(seg segment) *keeper {
	s := r.s
	k := &keeper{
		r: r, s: s, before: r.keptTimes, wanted: map[uint32]byte{}, oldest: math.MinInt64, limit: s.layout.segmentMax / keptShare,
		at: map[uint32]int32{}, routes: map[uint64]int32{},
	}
	if age := s.opts.MaxAge; age > 0 {
		k.oldest = time.Now().Add(-age).UnixNano()
	}
	// When several segments go at once, no more of them all than may wait; and of
	// the whole ring no more than its share, however many segments it has.
	waiting := int64(0)
	for _, b := range r.kept {
		waiting += b.info.bytes
	}
	k.limit = min(k.limit, 2*k.limit-waiting, s.maxMemory/8-waiting)
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.pins.ids {
		k.wanted[fingerprint(id)] |= keptPinned
	}
	elsewhere := k.sortLocked(seg)
	k.limit = min(k.limit, r.budget()/keptShare-elsewhere)
	return k
}

// sortLocked finds the segment's blocks, and what is kept in other segments for
// its own sake: fingerprints, and bytes. s.mu is held.
func (k *keeper) sortLocked(seg segment) (elsewhere int64) {
	inMemory := map[uint64]bool{k.s.open.sequence(): true}
	for _, p := range k.s.full {
		inMemory[p.seq] = true
	}
	for _, info := range k.s.infos {
		switch {
		case info.seg == seg && info.kind == block.KindUsage:
			k.usage = append(k.usage, info)
		case info.seg == seg && inMemory[info.seq]: // and will be committed again
		case info.seg == seg:
			k.infos = append(k.infos, info)
		case info.kept:
			elsewhere += info.bytes
			if info.parts || info.kind != block.KindSpans {
				continue
			}
			for _, fp := range info.traces {
				k.wanted[fp] |= keptPart
			}
		}
	}
	return elsewhere
}

// sequence is the block's number, 0 for none: while a store is opened.
func (b *pendingBlock) sequence() uint64 {
	if b == nil {
		return 0
	}
	return b.seq
}

// read returns a block of the segment, nil when it cannot be read.
func (k *keeper) read(info *blockInfo) *block.Spans {
	data, err := info.seg.read(info.seq)
	if err == nil {
		var b *block.Spans
		if b, err = block.OpenSpans(data, k.s.codec); err == nil {
			return b
		}
	}
	k.trouble(fmt.Errorf("nothing is kept of block %d: %w", info.seq, err))
	return nil
}

// lend returns a block whose spans are copied at once, in memory that is used
// again; nil when it cannot be read.
func (k *keeper) lend(info *blockInfo) *block.Spans {
	f := &k.r.lender
	data, err := info.seg.readInto(info.seq, f.Buf)
	if err == nil {
		f.Buf = data
		var b *block.Spans
		if b, err = f.Lend(data, k.s.codec); err == nil {
			return b
		}
	}
	k.trouble(fmt.Errorf("nothing is kept of block %d: %w", info.seq, err))
	return nil
}

// shortlist returns that of a block, nil when it cannot be read.
func (k *keeper) shortlist(info *blockInfo) *shortlist {
	if info.short != nil {
		return info.short.unpack(info)
	}
	b := k.read(info)
	if b == nil {
		return nil
	}
	return k.s.lister.list(b, info)
}

// survey gathers what choose needs to know.
func (k *keeper) survey() {
	for _, info := range k.infos {
		list := k.shortlist(info)
		k.lists = append(k.lists, list)
		k.spans, k.bytes = k.spans+int64(info.count), k.bytes+int64(info.size)
		if list != nil {
			k.merge(list)
		}
	}
	for i, info := range k.infos {
		if k.lists[i] != nil {
			k.count(info, k.lists[i])
		}
	}
	for i := range k.list {
		if c := &k.list[i]; c.max < k.oldest {
			c.why, c.was, c.root = 0, 0, 0
		}
	}
	markSlow(k.list, k.roots)
}

// merge adds what a block lists. A trace may be in several.
func (k *keeper) merge(l *shortlist) {
	to := make([]int32, len(l.routes))
	for i, r := range l.routes {
		to[i] = k.route(r.route)
		k.roots[to[i]] += r.roots
	}
	for _, c := range l.listed {
		c.route, c.spans = to[c.route], 0
		i, ok := k.at[c.fp]
		if !ok {
			k.at[c.fp] = int32(len(k.list))
			k.list = append(k.list, c)
			continue
		}
		was := &k.list[i]
		if c.root > was.root || c.root == was.root && c.min < was.min {
			was.root, was.route, was.duration = c.root, c.route, c.duration
		}
		was.why, was.was = was.why|c.why, was.was|c.was
		was.min, was.max = min(was.min, c.min), max(was.max, c.max)
	}
}

// count counts the spans of the traces that come into question, and finds those
// that do for what is known of them elsewhere. What is in a block follows others,
// or it competes: else copies would hold on to each other for ever.
func (k *keeper) count(info *blockInfo, l *shortlist) {
	follows := byte(keptPinned | keptPart)
	if info.kept && !info.parts {
		follows = keptPinned
	}
	for t, fp := range info.traces {
		if l.spans[t] == 0 {
			continue
		}
		why := k.wanted[fp] & follows
		i, ok := k.at[fp]
		if !ok && why == 0 {
			continue
		}
		if !ok {
			i = int32(len(k.list))
			k.at[fp] = i
			k.list = append(k.list, candidate{fp: fp, min: info.min, max: info.max, route: k.route(0)})
		}
		k.list[i].why |= why
		k.list[i].spans += int32(l.spans[t])
	}
}

func (k *keeper) route(key uint64) int32 {
	i, ok := k.routes[key]
	if !ok {
		i = int32(len(k.roots))
		k.routes[key] = i
		k.roots = append(k.roots, 0)
	}
	return i
}

// selection is what is to be kept of a segment.
type selection struct {
	chosen []*candidate
	moved  map[*blockInfo]bool // blocks of copies that move on as they are
}

// choose selects what should fit into the limit, when a span takes guess times
// what it takes on average.
func (k *keeper) choose(guess float64) (sel selection) {
	each := float64(k.bytes) / float64(max(1, k.spans)) * guess
	for room := float64(k.limit); room > 0; room -= float64(k.limit) / 16 {
		sel.chosen = choose(k.list, len(k.roots), room, each)
		if k.addMoved(&sel); k.weigh(sel, each) <= float64(k.limit) {
			return sel
		}
	}
	return selection{}
}

// addMoved finds the blocks that move on as they are. What is in them besides is
// then chosen too.
func (k *keeper) addMoved(sel *selection) {
	chosen := map[uint32]bool{}
	for _, c := range sel.chosen {
		chosen[c.fp] = true
	}
	sel.moved = map[*blockInfo]bool{}
	for i, info := range k.infos {
		if !info.kept || k.lists[i] == nil || !k.movable(info, k.lists[i], chosen) {
			continue
		}
		sel.moved[info] = true
		for _, fp := range info.traces {
			if !chosen[fp] {
				chosen[fp] = true
				sel.chosen = append(sel.chosen, &k.list[k.at[fp]])
			}
		}
	}
}

// movable reports whether enough of a block is chosen, there still is a reason to
// keep each of its traces, and it says of each that it has a gap when it does.
func (k *keeper) movable(info *blockInfo, l *shortlist, chosen map[uint32]bool) bool {
	spans, again := 0, 0
	for t, fp := range info.traces {
		i, ok := k.at[fp]
		if !ok || k.list[i].why == 0 {
			return false
		}
		if k.list[i].was&keptGap == 0 && k.gap(fp) {
			return false
		}
		spans += int(l.spans[t])
		if chosen[fp] {
			again += int(l.spans[t])
		}
	}
	return 100*again >= moveShare*spans
}

// weigh is about how many bytes a selection takes.
func (k *keeper) weigh(sel selection, each float64) (bytes float64) {
	spans := 0
	for _, c := range sel.chosen {
		spans += int(c.spans)
	}
	for info := range sel.moved {
		spans -= info.count
		bytes += float64(info.bytes)
	}
	return bytes + float64(max(0, spans))*each
}

// gap reports whether parts of a trace are known to have been evicted.
func (k *keeper) gap(fp uint32) bool {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	_, ok := k.s.gone.findPrint(fp)
	return ok
}

// reasons returns why each of the chosen traces is kept.
func (k *keeper) reasons(chosen []*candidate) map[uint32]byte {
	whys := make(map[uint32]byte, len(chosen))
	for _, c := range chosen {
		why := c.why | c.was&keptGap
		if k.gap(c.fp) {
			why |= keptGap
		}
		whys[c.fp] = why
	}
	return whys
}

// copy makes blocks of what was selected, and of its usage. It fails when they
// take more bytes than they may.
func (k *keeper) copy(sel selection) (out rescue, times intervals, ok bool) {
	whys := k.reasons(sel.chosen)
	w := k.r.newKeptWriter(k)
	complete := true
	for i, info := range k.infos {
		if !slices.ContainsFunc(info.traces, func(fp uint32) bool { return whys[fp] != 0 }) {
			continue
		}
		if sel.moved[info] {
			complete = w.move(info, k.lists[i]) && complete
		} else {
			complete = w.take(info, whys) && complete
		}
		if w.bytes > k.limit {
			return rescue{}, nil, false
		}
	}
	w.finish(w.whole)
	w.finish(w.parts)
	if w.bytes > k.limit {
		return rescue{}, nil, false
	}
	times = apart(w.times)
	k.copyUsage(&w, times, whys)
	out = rescue{blocks: w.out, spans: w.spans}
	if complete {
		for fp := range whys {
			out.traces = append(out.traces, fp)
		}
		slices.Sort(out.traces)
	}
	return out, times, true
}
