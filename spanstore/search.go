package spanstore

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// scanBlock is a block in memory or on disk.
type scanBlock struct {
	min, max int64
	untimed  bool         // it has spans without a start or an end
	info     *blockInfo   // nil in memory
	mem      *block.Spans // nil on disk
	fps      []uint32     // of one in memory

	searched bool
	hits     []hit     // the traces with a span that meets the conditions, by fingerprint
	whole    []figures // of those of them that have no part elsewhere, for LongestFirst
}

// hit is a trace that has a span which meets the conditions.
type hit struct {
	fp uint32
	id trace.TraceID
}

// scanBlocks returns all blocks of spans, the one with the latest end first.
func (sn *snapshot) scanBlocks() (blocks []scanBlock) {
	for _, v := range sn.views {
		if b := sn.view(v); b != nil {
			least, greatest := b.Bounds()
			blocks = append(blocks, scanBlock{
				min: least, max: greatest, untimed: true, mem: b, fps: sortedFingerprints(b.Traces(), b.TraceID),
			})
		}
	}
	for _, info := range sn.infos {
		blocks = append(blocks, scanBlock{min: info.min, max: info.max, untimed: info.untimed > 0, info: info})
	}
	slices.SortStableFunc(blocks, func(a, b scanBlock) int { return cmp.Compare(b.max, a.max) })
	return blocks
}

func (b *scanBlock) spans(sn *snapshot) *block.Spans {
	if b.mem != nil {
		return b.mem
	}
	return sn.spans(b.info)
}

func (b *scanBlock) fingerprints() []uint32 {
	if b.info == nil {
		return b.fps
	}
	return b.info.traces
}

// placeIndex tells in which blocks of a scan the parts of a trace are. Nearly
// all traces are in one block: only the others are in it.
type placeIndex map[uint32][]int32

func newPlaceIndex(blocks []scanBlock) placeIndex {
	// Two bits for each of a few million values of a fingerprint's hash say
	// whether it was met once and twice. What is wrong about that is sorted out
	// by the second pass.
	const bits = 64 * sieveWords
	met := sieves.Get().(*sieve)
	defer sieves.Put(met)
	*met = sieve{}
	once, twice := &met.once, &met.twice
	for i := range blocks {
		for _, fp := range blocks[i].fingerprints() {
			at, bit := fp%bits/64, uint64(1)<<(fp%64)
			twice[at] |= once[at] & bit
			once[at] |= bit
		}
	}
	ix := placeIndex{}
	for i := range blocks {
		for _, fp := range blocks[i].fingerprints() {
			if twice[fp%bits/64]>>(fp%64)&1 != 0 {
				ix[fp] = append(ix[fp], int32(i))
			}
		}
	}
	return ix
}

// sieve is a megabyte that newPlaceIndex needs for a moment.
type sieve struct{ once, twice [sieveWords]uint64 }

const sieveWords = 1 << 16

var sieves = sync.Pool{New: func() any { return new(sieve) }}

// shared returns the places of all blocks that may hold parts of a trace, if
// they are more than one.
func (ix placeIndex) shared(fp uint32) []int32 {
	if places := ix[fp]; len(places) > 1 {
		return places
	}
	return nil
}

// maxAhead bounds the blocks that are searched before it is known whether the
// page needs them: 128 are about 10 ms of two processors' time.
const maxAhead = 128

// hits returns the traces with spans in the block at a place that meet the
// conditions. Blocks that the scan comes to next are searched with it.
func (sc *scan) hits(place int) []hit {
	if b := &sc.blocks[place]; b.searched || !sc.mayHold(b) {
		return b.hits
	}
	if !sc.cs.ofSpans() && !sc.after.longest {
		sc.blocks[place].takeAll(sc.sn)
		return sc.blocks[place].hits
	}
	work := []int{place}
	sc.ahead = min(max(2*sc.ahead, 1), maxAhead)
	for i := place + 1; i < len(sc.blocks) && len(work) < sc.ahead && sc.blocks[i].max >= sc.from; i++ {
		if b := &sc.blocks[i]; !b.searched && !sc.tooLate(b) && sc.mayHold(b) {
			work = append(work, i)
		}
	}
	sc.search(work)
	return sc.blocks[place].hits
}

func (sc *scan) mayHold(b *scanBlock) bool { return b.info == nil || sc.cs.mayHold(b.info) }

// takeAll makes a hit of every trace of the block.
func (b *scanBlock) takeAll(sn *snapshot) {
	b.searched = true
	spans := b.spans(sn)
	if spans == nil {
		return
	}
	for t := range spans.Traces() {
		b.addHit(spans.TraceID(t))
	}
	b.sortHits()
}

func (b *scanBlock) addHit(id trace.TraceID) { b.hits = append(b.hits, hit{fingerprint(id), id}) }

func (b *scanBlock) sortHits() {
	slices.SortFunc(b.hits, func(x, y hit) int { return cmp.Compare(x.fp, y.fp) })
}

// spanRef is a span whose usage is to be looked at.
type spanRef struct {
	trace      trace.TraceID
	span       trace.SpanID
	start, end int64
	self       int64 // the wall time that no child span covers; set when it is asked for
}

// search asks the conditions of the blocks at some places.
func (sc *scan) search(places []int) {
	spans := make([][]spanRef, len(places)) // instead of hits, where usage decides
	eachBlock(sc.sn, sc.blocks, places, func() func(int) error {
		m := matcher{cs: sc.cs}
		scanner := block.NewScanner(sc.sn.s.codec)
		scanner.Borrow = true // of a span that is found only ids and times are kept
		return func(i int) (err error) {
			spans[i], err = sc.searchBlock(&m, scanner, &sc.blocks[places[i]])
			return err
		}
	})
	for i, p := range places {
		b := &sc.blocks[p]
		b.searched = true
		if len(sc.cs.usage) > 0 {
			sc.wholeSelfTimes(spans[i])
			sc.usage.filter(sc.cs.usage, b, spans[i])
		}
	}
}

// maxWorkers bounds the goroutines of one query: each holds a block or two, and
// the host has other things to do.
const maxWorkers = 8

// eachBlock calls what work returns with the position in places of each block,
// from as many goroutines as there are processors, up to maxWorkers; work is
// called once for each of them. It ends early when the query is given up. Of
// blocks in which something went wrong the query's problems tell.
func eachBlock(sn *snapshot, blocks []scanBlock, places []int, work func() func(int) error) {
	faults := make([]error, len(places))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(len(places), runtime.GOMAXPROCS(0), maxWorkers) {
		wg.Go(func() {
			do := work()
			for sn.ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(places) {
					return
				}
				faults[i] = recovered(func() error { return do(i) })
			}
		})
	}
	wg.Wait()
	for i, err := range faults {
		switch info := blocks[places[i]].info; {
		case err == nil:
		case info != nil:
			sn.problem(info, err)
		default:
			sn.problems = append(sn.problems, fmt.Sprintf("spans in memory could not be searched: %v", err))
		}
	}
}

// recovered turns a panic of f into an error: in a goroutine of its own it would
// end the program.
func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("search failed: %v", p)
		}
	}()
	return f()
}

// searchBlock asks the conditions of one block. Where usage decides it returns
// the spans that are left to be asked about.
func (sc *scan) searchBlock(m *matcher, scanner *block.Scanner, b *scanBlock) (refs []spanRef, err error) {
	c, err := b.columns(sc.sn, scanner)
	if err != nil {
		return nil, err
	}
	if spans := m.match(c); spans != nil {
		if len(sc.cs.usage) > 0 {
			refs = spanRefs(c, spans)
			if sc.cs.asksStall() {
				sc.selfTimes(c, spans, refs)
			}
		} else {
			b.takeHits(c, spans)
		}
		if sc.after.longest {
			sc.weigh(c, b, spans)
		}
	}
	return refs, c.Err()
}

// columns opens a block's columns.
func (b *scanBlock) columns(sn *snapshot, scanner *block.Scanner) (*block.Columns, error) {
	if b.mem != nil {
		return b.mem.Columns(), nil
	}
	if spans, ok := sn.s.cache.get(b.info).(*block.Spans); ok {
		return spans.Columns(), nil
	}
	data, err := b.info.seg.readInto(b.info.seq, scanner.Buf)
	if err != nil {
		return nil, err
	}
	scanner.Buf = data
	return scanner.Open(data)
}

// takeHits makes hits of the traces that the marked spans belong to.
func (b *scanBlock) takeHits(c *block.Columns, spans []bool) {
	ids := c.IDs()
	seen := make([]bool, ids.Traces())
	for i, t := range c.Traces(nil) {
		if spans[i] && int(t) < len(seen) && !seen[t] {
			seen[t] = true
			b.addHit(ids.Trace(t))
		}
	}
	b.sortHits()
}

func spanRefs(c *block.Columns, spans []bool) (refs []spanRef) {
	ids := c.IDs()
	starts, ends := c.Times()
	for i, t := range c.Traces(nil) {
		if spans[i] {
			refs = append(refs, spanRef{trace: ids.Trace(t), span: ids.Span(i), start: starts[i], end: ends[i]})
		}
	}
	return refs
}
