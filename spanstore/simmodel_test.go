package spanstore_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// simSpan is a span that the store accepted, and where it may be. The store's
// own word is not taken for that: segments are numbered in the order in which
// they are written and evicted, so what lies in first..last is there as long as
// the file with the number first is.
type simSpan struct {
	stub        tracetest.SpanStub
	order       int       // of acceptance
	at          time.Time // of acceptance
	opens       int       // how often the store had been opened by then
	first, last uint64    // segments that it may be in; last is 0 while its block may be committed again

	durable bool
	gone    bool // it was found missing, as it may be
	doubt   bool // a file that it may have been in was damaged
}

func (x *simSpan) id() trace.TraceID { return x.stub.SpanContext.TraceID() }

// simUsage is what was measured of a span, and where that may be.
type simUsage struct {
	samples     int
	first, last uint64
	doubt       bool
}

// simModel is what must, may and must not be in the store.
type simModel struct {
	spans     []*simSpan // in the order of acceptance
	settled   int        // so many of them have a last segment
	traces    map[trace.TraceID][]*simSpan
	ids       []trace.TraceID // of traces, in the order of their first spans
	usage     map[trace.SpanID][]*simUsage
	pending   []*simUsage // without a last segment
	pinned    map[trace.TraceID]bool
	wasPinned map[trace.TraceID]bool
	prints    map[uint32]trace.TraceID // the traces by fingerprint
	hurt      map[uint64]bool          // damaged segments
	opens     int
}

func newSimModel() *simModel {
	return &simModel{
		traces: map[trace.TraceID][]*simSpan{}, usage: map[trace.SpanID][]*simUsage{}, pinned: map[trace.TraceID]bool{}, wasPinned: map[trace.TraceID]bool{},
		prints: map[uint32]trace.TraceID{}, hurt: map[uint64]bool{},
	}
}

// fingerprint is as the package documentation has it.
func fingerprint(id trace.TraceID) uint32 {
	h := binary.LittleEndian.Uint64(id[:])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(id[8:])
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h >> 32)
}

// collides reports whether the store could take the trace for another.
func (m *simModel) collides(id trace.TraceID) bool {
	other, ok := m.prints[fingerprint(id)]
	return ok && other != id
}

// accept notes spans that the store has taken, into a block that is committed to
// segment first or a later one.
func (m *simModel) accept(stubs []tracetest.SpanStub, first uint64) {
	for _, stub := range stubs {
		x := &simSpan{stub: stub, order: len(m.spans), at: time.Now(), opens: m.opens, first: first}
		m.spans = append(m.spans, x)
		if m.traces[x.id()] == nil {
			m.ids = append(m.ids, x.id())
			m.prints[fingerprint(x.id())] = x.id()
		}
		m.traces[x.id()] = append(m.traces[x.id()], x)
	}
}

// flushed notes that everything is durable, when newest is the segment that is
// written. A block ends after 1,024 spans and an eighth of that, or with its process.
func (m *simModel) flushed(newest uint64, closed bool) {
	for _, x := range m.spans[m.settled:] {
		x.durable = true
	}
	for m.settled < len(m.spans) && (closed || m.settled+1024+1024/8 < len(m.spans)) {
		m.spans[m.settled].last = newest
		m.settled++
	}
	for _, u := range m.pending {
		u.last = newest
	}
	m.pending = nil
}

// damaged notes that a segment has lost something, when oldest is the first that
// is there: what was in it, and all copies of what has left the ring, may be
// lost.
func (m *simModel) damaged(num, oldest uint64) {
	m.hurt[num] = true
	in := func(first, last uint64) bool { return first <= num && (last == 0 || num <= last) }
	for id, spans := range m.traces {
		left := slices.ContainsFunc(spans, func(x *simSpan) bool { return x.first < oldest })
		for _, x := range spans {
			x.doubt = x.doubt || left || in(x.first, x.last)
			for _, u := range m.usage[x.stub.SpanContext.SpanID()] {
				u.doubt = u.doubt || left || in(u.first, u.last)
			}
		}
		if left {
			delete(m.pinned, id) // what is pinned stays so, and proves nothing any more
		}
	}
}

// emptied notes that all segments are gone, after which numbers begin anew.
func (m *simModel) emptied() {
	for _, x := range m.spans {
		x.first, x.last = 0, 0
	}
	for _, us := range m.usage {
		for _, u := range us {
			u.first, u.last = 0, 0
		}
	}
}

// segmentNumbers returns the numbers of a directory's segment files, ascending.
func segmentNumbers(dir string) (nums []uint64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".seg")
		if n, err := strconv.ParseUint(name, 10, 64); ok && err == nil && e.Type().IsRegular() {
			nums = append(nums, n)
		}
	}
	slices.Sort(nums)
	return nums
}

// look is one store that is compared with the model: the one that is written, a
// copy of its directory as a kill would leave it, a reader beside it.
type look struct {
	s        *spanstore.Store
	from, to uint64 // what is in these segments is there; what may be in others, perhaps
	live     bool   // what is in memory is there too, and what is not is told
	copies   bool   // what the ring has let go and kept is there
	maxAge   time.Duration
}

// must reports whether a span has to be there.
func (m *simModel) must(l look, x *simSpan) bool {
	switch {
	case x.doubt, !l.live && !x.durable:
		return false
	case m.pinned[x.id()] && l.copies && l.maxAge == 0:
		return !x.gone
	}
	return x.first >= l.from && (l.live || x.last > 0 && x.last <= l.to)
}

// check compares one trace, and returns what of it is there.
func (m *simModel) check(l look, id trace.TraceID) (there []tracetest.SpanStub, tr *spanstore.Trace, err error) {
	tr, err = l.s.Trace(ctx, id)
	if err != nil && !errors.Is(err, spanstore.ErrNotFound) {
		return nil, nil, err
	}
	if err != nil {
		tr = &spanstore.Trace{ID: id}
	}
	seen := map[trace.SpanID]*spanstore.Span{}
	for i := range tr.Spans {
		span := &tr.Spans[i]
		if seen[span.SpanID()] != nil {
			return nil, nil, fmt.Errorf("trace %s: span %s is there twice", id, span.SpanID())
		}
		seen[span.SpanID()] = span
	}
	doubt, missing := false, 0
	for _, x := range m.traces[id] {
		doubt = doubt || x.doubt
		got := seen[x.stub.SpanContext.SpanID()]
		delete(seen, x.stub.SpanContext.SpanID())
		if got == nil {
			if m.must(l, x) {
				return nil, nil, fmt.Errorf("trace %s: span %d, in segments %d to %d, is missing from those from %d to %d (pinned %v): %v %q",
					id, x.order, x.first, x.last, l.from, l.to, m.pinned[id], err, tr.Problems)
			}
			if l.live || x.durable {
				missing++
			}
			x.gone = x.gone || l.live
			continue
		}
		if diff := spangen.Diff(stub(*got), x.stub); diff != "" {
			return nil, nil, fmt.Errorf("trace %s: span %d was altered: %s", id, x.order, diff)
		}
		switch share := l.maxAge / 8; {
		case l.live && x.gone && !x.doubt:
			return nil, nil, fmt.Errorf("trace %s: span %d had been evicted, and is back", id, x.order)
		case l.live && l.maxAge > 0 && !x.doubt && time.Since(x.at) > l.maxAge+time.Duration(4+m.opens-x.opens)*share+time.Minute:
			return nil, nil, fmt.Errorf("trace %s: span %d is %v old, with a MaxAge of %v", id, x.order, time.Since(x.at), l.maxAge)
		}
		there = append(there, x.stub)
	}
	for span := range seen {
		return nil, nil, fmt.Errorf("trace %s: span %s was never stored", id, span)
	}
	if !doubt {
		err = m.told(l, id, tr, missing)
	} else {
		err = nil
	}
	return there, tr, errors.Join(err, m.checkUsage(l, tr))
}

// told checks that what is missing from a trace is named, and nothing else.
func (m *simModel) told(l look, id trace.TraceID, tr *spanstore.Trace, missing int) error {
	if !l.copies {
		return nil
	}
	ev, evicted := l.s.Evicted(id)
	switch {
	case missing > 0 && len(tr.Spans) > 0 && len(tr.Problems) == 0 && ev.Since.IsZero():
		return fmt.Errorf("trace %s: %d of %d spans are missing, and Problems says nothing (evicted %v %+v)", id, missing, len(m.traces[id]), evicted, ev)
	case missing > 0 && len(tr.Spans) == 0 && !evicted && ev.Since.IsZero():
		return fmt.Errorf("trace %s is gone, and Evicted knows nothing of it", id)
	case l.live && missing == 0 && (evicted || slices.ContainsFunc(tr.Problems, m.unexplained)):
		return fmt.Errorf("trace %s has lost nothing; Evicted says %v %+v, Problems %q", id, evicted, ev, tr.Problems)
	}
	// What left the ring and is there was kept for a reason, which parts of it in
	// other segments share without telling.
	first := m.traces[id][0]
	left := len(m.traces[id]) == 1 && missing == 0 && first.last > 0 && first.last < l.from
	if left && l.live && tr.Kept == "" && !m.wasPinned[id] {
		return fmt.Errorf("trace %s has left the ring, is still there, and Kept does not say why", id)
	}
	return nil
}

// unexplained reports whether a problem is not one of a damaged segment, which
// may have had usage of any trace.
func (m *simModel) unexplained(problem string) bool {
	return len(m.hurt) == 0 || !strings.Contains(problem, "could not be read")
}

// checkUsage compares the usage of a trace's spans: all of what must be there, none
// twice.
func (m *simModel) checkUsage(l look, tr *spanstore.Trace) error {
	for _, span := range tr.Spans {
		least, most := 0, 0
		for _, u := range m.usage[span.SpanID()] {
			most += u.samples
			if !u.doubt && u.first >= l.from && (l.live || u.last > 0 && u.last <= l.to) {
				least += u.samples
			}
		}
		if got := tr.Usage[span.SpanID()].Samples; got < least || got > most {
			return fmt.Errorf("trace %s: span %s has %d samples; want %d to %d", tr.ID, span.SpanID(), got, least, most)
		}
	}
	return nil
}
