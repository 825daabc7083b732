package spanstore

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

const defaultLimit = 100

// Traces returns summaries of the traces that q selects, in its order. Blocks are
// read from the newest on, and no further than the page needs; those that the
// conditions are asked of cost about 0.1 ms each, and are read by several
// goroutines when there are many. LongestFirst reads all blocks in the time
// range. It fails with a *QueryError for conditions that make no sense, and with
// ErrBadCursor.
func (s *Store) Traces(ctx context.Context, q Query) (*Page, error) {
	if s == nil {
		return &Page{}, nil
	}
	cs, err := q.conditions()
	if err != nil {
		return nil, err
	}
	after, err := parseCursor(q.Cursor, q.Order)
	if err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	for try := 0; ; try++ {
		sn, err := s.snapshot(ctx)
		if err != nil {
			return nil, err
		}
		p, err := sn.traces(q, cs, after)
		if err != nil || !sn.moved || try == maxRereads {
			return p, err
		}
	}
}

// traces returns the page behind a place in the order.
func (sn *snapshot) traces(q Query, cs *conditions, after position) (*Page, error) {
	sc := newScan(sn, q, cs, after)
	var page []*found
	var err error
	if q.Order == LongestFirst {
		page, err = sc.longest()
	} else {
		page, err = sc.newest()
	}
	if err != nil {
		return nil, err
	}
	return sc.page(page), nil
}

// position is a place in the order of a list: start descending, id ascending;
// with longest set, duration descending before that.
type position struct {
	longest  bool
	duration time.Duration
	start    int64
	id       trace.TraceID
}

func (p position) compare(o position) int {
	if p.longest {
		if c := cmp.Compare(o.duration, p.duration); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(o.start, p.start), slices.Compare(p.id[:], o.id[:]))
}

// first lies before every trace.
func first(o Order) position {
	return position{longest: o == LongestFirst, duration: math.MaxInt64, start: math.MaxInt64}
}

func (p position) cursor() string {
	if p.longest {
		return fmt.Sprintf("%d-%d-%s", p.duration, p.start, p.id)
	}
	return fmt.Sprintf("%d-%s", p.start, p.id)
}

// A cursor has the length that the greatest durations and starts before 1970
// need, and no more.
var cursorForm = regexp.MustCompile(`^(?:([0-9]{1,19})-)?(-?[0-9]{1,19})-([0-9a-f]{32})$`)

func parseCursor(s string, o Order) (position, error) {
	p := first(o)
	if s == "" {
		return p, nil
	}
	bad := fmt.Errorf("%w %q: leave it out to start at the first trace", ErrBadCursor, s)
	m := cursorForm.FindStringSubmatch(s)
	if m == nil || (m[1] != "") != p.longest {
		return p, bad
	}
	var err error
	if p.longest {
		var d int64
		if d, err = strconv.ParseInt(m[1], 10, 64); err != nil {
			return p, bad
		}
		p.duration = time.Duration(d)
	}
	if p.start, err = strconv.ParseInt(m[2], 10, 64); err != nil {
		return p, bad
	}
	hex.Decode(p.id[:], []byte(m[3]))
	return p, nil
}

// found gathers what is known of one trace.
type found struct {
	id          trace.TraceID
	spans, errs int
	services    []string

	root, first rootSpan // first is the earliest span, should no root come
	hasRoot     bool
	kept        byte  // why it is kept
	latest      int64 // greatest end

	place    int32 // of a block that holds a part of it
	adding   bool  // its blocks are being read
	complete bool  // they were
}

type rootSpan struct {
	start, end    int64
	service, name string
}

func (f *found) start() int64 {
	if f.hasRoot {
		return f.root.start
	}
	return f.first.start
}

// figures returns what decides about a complete trace.
func (f *found) figures() figures {
	g := figures{id: f.id, start: f.start(), first: f.first.start, latest: f.latest, spans: f.spans, errs: f.errs, place: f.place}
	from, to := g.first, g.latest
	if f.hasRoot {
		from, to = f.root.start, f.root.end
	}
	g.duration = time.Duration(wall(from, to))
	return g
}

// scan answers one query: it looks for spans that meet the conditions, block by
// block, then reads the whole traces that those belong to.
type scan struct {
	sn     *snapshot
	q      Query
	cs     *conditions
	from   int64 // q.From and q.To in Unix nanoseconds
	to     int64
	after  position
	blocks []scanBlock // the one with the latest end first
	index  placeIndex
	done   int // the blocks before this place were looked at
	found  map[trace.TraceID]*found
	names  map[string]string
	ahead  int // how many blocks the next search may read at once
	usage  usageLookup
}

func newScan(sn *snapshot, q Query, cs *conditions, after position) *scan {
	sc := &scan{
		sn: sn, q: q, cs: cs, after: after, from: math.MinInt64, to: math.MaxInt64,
		blocks: sn.scanBlocks(), found: map[trace.TraceID]*found{}, names: map[string]string{},
		usage: usageLookup{sn: sn},
	}
	if !q.From.IsZero() {
		sc.from = block.UnixNano(q.From)
	}
	if !q.To.IsZero() {
		sc.to = block.UnixNano(q.To)
	}
	if !cs.ofSpans() && sc.failedOnly() {
		// A trace with errors is one with a span that has failed.
		cs.span = append(cs.span, term{of: ofStatus, set: 1 << codes.Error})
	}
	sc.index = newPlaceIndex(sc.blocks)
	return sc
}

// failedOnly reports whether no trace without an error is asked for.
func (sc *scan) failedOnly() bool {
	return sc.q.Errors || slices.ContainsFunc(sc.cs.trace, func(t term) bool {
		return t.of == ofTraceErrors && !t.meets(0)
	})
}

// newest returns the traces of a page, and one more if there is one.
//
// A trace whose start or root is in no block so far has that in a block that
// ends no later than the frontier, so it did not start later either: once a
// page's worth of traces start after the frontier, they are the page.
func (sc *scan) newest() (page []*found, err error) {
	for i := range sc.blocks {
		if err := sc.sn.err(); err != nil {
			return nil, err
		}
		sc.visit(i)
		frontier := int64(math.MinInt64)
		if i+1 < len(sc.blocks) {
			frontier = sc.blocks[i+1].max
		}
		// Looking costs a pass over all traces met: not after every block.
		if i%8 == 7 || i < 8 || i+1 == len(sc.blocks) || frontier < sc.from {
			if page = sc.settled(frontier); len(page) > sc.q.Limit || frontier < sc.from {
				break
			}
		}
	}
	return page, sc.sn.err()
}

// visit finds the traces that the block at a place has a part of and that have
// spans that meet the conditions, there or elsewhere.
func (sc *scan) visit(i int) {
	sc.done = i + 1
	b := &sc.blocks[i]
	if sc.tooLate(b) {
		return
	}
	for _, h := range sc.hits(i) {
		sc.ensure(h, i)
	}
	if !sc.cs.ofSpans() {
		return // whatever is in a block was found there
	}
	for _, fp := range b.fingerprints() {
		for _, j := range sc.index.shared(fp) {
			if int(j) == i {
				continue
			}
			hits := sc.hits(int(j))
			at, _ := slices.BinarySearchFunc(hits, fp, func(h hit, fp uint32) int { return cmp.Compare(h.fp, fp) })
			for ; at < len(hits) && hits[at].fp == fp; at++ {
				sc.ensure(hits[at], int(j))
			}
		}
	}
}

// tooLate reports whether everything in a block starts after the page: the
// traces of the page that have a part of it have their start elsewhere.
func (sc *scan) tooLate(b *scanBlock) bool {
	to := sc.to
	if !sc.after.longest {
		to = min(to, sc.after.start)
	}
	return b.min > to && !b.untimed // a trace without a start comes last
}

func (sc *scan) ensure(h hit, place int) {
	if sc.after.longest && len(sc.index.shared(h.fp)) == 0 {
		return // the block's figures have it whole
	}
	if id := h.id; sc.found[id] == nil {
		sc.found[id] = &found{id: id, latest: math.MinInt64, place: int32(place)}
	}
}

// settled returns the traces of the page, in order, as far as they are certain:
// matching, and later than the frontier. What cannot come into any page is
// forgotten.
func (sc *scan) settled(frontier int64) (out []*found) {
	sc.complete()
	for id, f := range sc.found {
		switch sure := f.start() > frontier || frontier == math.MinInt64; {
		case !sure:
		case sc.matches(f.figures()):
			out = append(out, f)
		case sc.lastPlace(f) < sc.done:
			delete(sc.found, id) // no block to come finds it again
		}
	}
	slices.SortFunc(out, func(a, b *found) int { return sc.position(a.figures()).compare(sc.position(b.figures())) })
	return out
}

func (sc *scan) lastPlace(f *found) int {
	last := f.place
	for _, p := range sc.index.shared(fingerprint(f.id)) {
		last = max(last, p)
	}
	return int(last)
}

// complete reads all parts of the traces that were found, each block once.
func (sc *scan) complete() {
	var places []int32
	var begun []*found
	for _, f := range sc.found {
		if f.complete {
			continue
		}
		f.adding = true
		begun = append(begun, f)
		places = append(places, f.place)
		places = append(places, sc.index.shared(fingerprint(f.id))...)
	}
	slices.Sort(places)
	for _, p := range slices.Compact(places) {
		sc.fold(int(p))
	}
	for _, f := range begun {
		f.adding, f.complete = false, true
		if f.spans == 0 {
			delete(sc.found, f.id) // evicted meanwhile
		}
	}
}

// fold adds the spans of the block at a place to the traces that are being read.
func (sc *scan) fold(place int) {
	b := sc.blocks[place].spans(sc.sn)
	if b == nil {
		return
	}
	at := make([]*found, b.Traces())
	for t := range at {
		if f := sc.found[b.TraceID(t)]; f != nil && f.adding {
			at[t] = f
		}
	}
	for i := range b.Len() {
		if f := at[b.Trace(i)]; f != nil {
			sc.add(f, b, i)
		}
	}
}

func (sc *scan) add(f *found, b *block.Spans, i int) {
	service, name := sc.own(b.Service(i)), sc.own(b.Name(i))
	sp := rootSpan{b.Start(i), b.End(i), service, name}
	if f.spans == 0 || sp.start < f.first.start {
		f.first = sp
	}
	if !b.ParentID(i).IsValid() && (!f.hasRoot || sp.start < f.root.start) {
		f.root, f.hasRoot = sp, true
	}
	f.latest = max(f.latest, sp.end)
	f.kept |= b.Kept(b.Trace(i))
	f.spans++
	if b.Failed(i) {
		f.errs++
	}
	if at, ok := slices.BinarySearch(f.services, service); !ok {
		f.services = slices.Insert(f.services, at, service)
	}
}

// own returns s in memory of the query's own, so that names do not keep whole
// blocks.
func (sc *scan) own(s string) string {
	o, ok := sc.names[s]
	if !ok {
		o = strings.Clone(s)
		sc.names[o] = o
	}
	return o
}

// matches reports whether a trace that has a span which meets the conditions on
// spans belongs to this page or a later one.
func (sc *scan) matches(f figures) bool {
	if f.start < sc.from || f.start >= sc.to || sc.position(f).compare(sc.after) <= 0 ||
		f.duration < sc.q.MinDuration || sc.q.Errors && f.errs == 0 {
		return false
	}
	for i := range sc.cs.trace {
		t, holds := &sc.cs.trace[i], false
		switch t.of {
		case ofTraceDuration:
			holds = t.meets(int64(f.duration))
		case ofTraceErrors:
			holds = t.meets(int64(f.errs))
		case ofTraceSpans:
			holds = t.meets(int64(f.spans))
		case ofTraceCPU:
			holds = sc.usage.traceMeets(t, f)
		}
		if !holds {
			return false
		}
	}
	return true
}

func (sc *scan) page(list []*found) *Page {
	p := &Page{}
	if len(list) > sc.q.Limit {
		list = list[:sc.q.Limit]
		p.Cursor = sc.position(list[len(list)-1].figures()).cursor()
	}
	for _, f := range list {
		head := f.first
		if f.hasRoot {
			head = f.root
		}
		p.Traces = append(p.Traces, Summary{
			TraceID: f.id, Service: head.service, Name: head.name,
			Start: block.FromUnixNano(head.start), Rootless: !f.hasRoot, Duration: f.figures().duration,
			Spans: f.spans, Errors: f.errs, Services: f.services, Kept: sc.sn.kept(f.id, f.kept),
		})
	}
	sc.addUsage(list, p.Traces)
	p.Problems = sc.sn.problems
	return p
}

// addUsage sums the usage of the page's traces.
func (sc *scan) addUsage(list []*found, out []Summary) {
	if len(list) == 0 {
		return
	}
	at := map[trace.TraceID]int{}
	fps := make([]uint32, len(list))
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for i, f := range list {
		at[f.id], fps[i] = i, fingerprint(f.id)
		from, to = min(from, f.first.start), max(to, f.latest)
	}
	var windows []Window
	for _, u := range sc.sn.usageBlocks(false, func(b *blockInfo) bool {
		return b.overlaps(from, to) || slices.ContainsFunc(fps, b.mayHold)
	}) {
		windows = appendWindows(windows, u.Windows, from, to)
		for _, r := range u.Records {
			if i, ok := at[r.TraceID]; ok {
				r.Stacks = nil
				out[i].Usage = out[i].Usage.plus(u, r)
			}
		}
	}
	sortWindows(windows)
	for i, f := range list {
		out[i].Usage.TraceID, out[i].Usage.SpanID = f.id, trace.SpanID{}
		for _, w := range windows {
			if w.Start.UnixNano() <= f.latest && w.End.UnixNano() >= f.first.start {
				out[i].Windows = append(out[i].Windows, w)
			}
		}
	}
}
