package httpui

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/profiler/stall"
)

// columnsJSON is a trace as the page reads it: its spans as columns, of which a
// browser makes typed arrays. Fifty thousand spans as objects are 38 MB and as
// many objects in the browser's heap; as columns they are 3 MB. The form is the
// page's own and changes with it.
type columnsJSON struct {
	traceHead
	Columns columns `json:"columns"`
}

// columns are the spans in display order. Data has numbers as varints, zigzag, by
// the name of the column: the JSON of a number takes a browser ten times as long to
// read. A column that would be nothing but zeros is left out.
type columns struct {
	N     int               `json:"n"`
	Words []string          `json:"words"` // what the columns of words refer to; the first is ""
	IDs   string            `json:"ids"`   // 16 hex digits each
	Data  map[string][]byte `json:"data"`
}

// data are the columns of numbers. Of lists, as the segments of a span, one column
// has how many each span has and another all of them on end.
type data struct {
	name, service, detail, kind, statusText, reason column // words; reason is of the CPU figure

	flags    column // see flags
	depth    column
	children column
	start    column // less that of the span before
	wall     column
	self     column
	cpu      column
	below    column // CPU less the low end of its interval
	above    column // the high end less CPU
	samples  column
	links    column

	// Segments run in pairs: from the end of the one before (at first from the
	// span's start), length. A count of -1 is one segment: the whole span.
	selfCount, selfAt         column
	criticalCount, criticalAt column

	// States: a word and evidence as word*4+evidence; its time.
	stateCount, state, stateTime column

	// The timeline of an execution trace: a word; from the end of the one before,
	// length; how much of it was stolen. Exact has, of spans that one covers, from
	// when to when it is known, as a segment.
	lineCount, lineState, lineAt, lineStolen column
	exactCount, exactAt                      column

	// Events: a word; nanoseconds after the one before, at first after the
	// span's start.
	eventCount, eventName, eventAt column
}

func (d *data) named() map[string]*column {
	return map[string]*column{
		"name": &d.name, "service": &d.service, "detail": &d.detail, "kind": &d.kind, "status_text": &d.statusText, "reason": &d.reason,
		"flags": &d.flags, "depth": &d.depth, "children": &d.children, "start": &d.start, "wall": &d.wall, "self": &d.self,
		"cpu": &d.cpu, "below": &d.below, "above": &d.above, "samples": &d.samples, "links": &d.links,
		"self_count": &d.selfCount, "self_at": &d.selfAt, "critical_count": &d.criticalCount, "critical_at": &d.criticalAt,
		"state_count": &d.stateCount, "state": &d.state, "state_time": &d.stateTime,
		"line_count": &d.lineCount, "line_state": &d.lineState, "line_at": &d.lineAt, "line_stolen": &d.lineStolen,
		"exact_count": &d.exactCount, "exact_at": &d.exactAt,
		"event_count": &d.eventCount, "event_name": &d.eventName, "event_at": &d.eventAt,
	}
}

// column is a list of numbers.
type column struct {
	bytes []byte
	any   bool // one of them is not 0
}

func (c *column) add(numbers ...int64) {
	for _, n := range numbers {
		c.bytes = binary.AppendVarint(c.bytes, n)
		c.any = c.any || n != 0
	}
}

// Bits of data.flags. The evidence of the CPU figure is in the two lowest, as
// its position in evidences.
const (
	flagAwaited = 4 << iota
	flagLocalRoot
	flagDecidesEnd
	flagError
	flagOK
	flagPending
)

var evidences = []stall.Evidence{stall.None, stall.Inferred, stall.Sampled, stall.Exact}

// maxMarks is how many events of a span are drawn: as many as the SDK's usual
// limit lets it have. All are in its details.
const maxMarks = 128

func newColumns(a *stall.Analysis, values bool) columnsJSON {
	b := &columnsBuilder{words: map[string]int64{"": 0}, list: []string{""}, values: values}
	ids := make([]byte, 0, 16*len(a.Nodes))
	before := time.Duration(0)
	for i := range a.Nodes {
		n := &a.Nodes[i]
		id := n.Span.SpanID()
		ids = hex.AppendEncode(ids, id[:])
		b.start.add(int64(n.Start - before))
		before = n.Start
		b.add(a, n)
	}
	c := columns{len(a.Nodes), b.list, string(ids), map[string][]byte{}}
	for name, col := range b.named() {
		if col.any {
			c.Data[name] = col.bytes
		}
	}
	return columnsJSON{newHead(a, values), c}
}

type columnsBuilder struct {
	data
	words  map[string]int64 // positions in list
	list   []string
	values bool
}

func (b *columnsBuilder) word(s string) int64 {
	i, ok := b.words[s]
	if !ok {
		i = int64(len(b.list))
		b.words[s], b.list = i, append(b.list, s)
	}
	return i
}

func (b *columnsBuilder) add(a *stall.Analysis, n *stall.Node) {
	s := n.Span
	b.name.add(b.word(s.Name))
	b.service.add(b.word(s.Service()))
	b.detail.add(b.word(detail(s, b.values)))
	b.kind.add(b.word(kindName(s.Kind)))
	b.statusText.add(b.word(hide(s.Status.Description, b.values)))
	b.reason.add(b.word(n.CPU.Reason))
	b.flags.add(flags(n))
	b.depth.add(int64(n.Depth))
	b.children.add(int64(n.Children))
	b.wall.add(int64(n.Wall()))
	b.self.add(int64(n.Self))
	b.cpu.add(int64(n.CPU.Value))
	b.below.add(int64(n.CPU.Value - n.CPU.Low))
	b.above.add(int64(n.CPU.High - n.CPU.Value))
	b.samples.add(int64(n.CPU.Samples))
	b.links.add(int64(len(s.Links)))
	addSegments(&b.selfCount, &b.selfAt, n, n.SelfSegments)
	addSegments(&b.criticalCount, &b.criticalAt, n, n.Critical)
	b.stateCount.add(int64(len(n.States)))
	for _, share := range n.States {
		b.state.add(b.word(string(share.State))*4 + evidenceNumber(share.Evidence))
		b.stateTime.add(int64(share.Time))
	}
	b.addTimeline(a, n)
	b.addEvents(a, n, s.Events)
}

func evidenceNumber(e stall.Evidence) int64 { return int64(slices.Index(evidences, e)) }

func flags(n *stall.Node) int64 {
	f := evidenceNumber(n.CPU.Evidence)
	for _, bit := range []struct {
		set  bool
		flag int64
	}{
		{n.Awaited, flagAwaited}, {n.Span.LocalRoot(), flagLocalRoot}, {n.DecidesEnd, flagDecidesEnd},
		{n.Span.Status.Code == codes.Error, flagError}, {n.Span.Status.Code == codes.Ok, flagOK}, {n.CPU.Pending, flagPending},
	} {
		if bit.set {
			f |= bit.flag
		}
	}
	return f
}

func addSegments(count, at *column, n *stall.Node, segs []stall.Segment) {
	if len(segs) == 1 && segs[0] == (stall.Segment{From: n.Start, To: n.End}) {
		count.add(-1)
		return
	}
	count.add(int64(len(segs)))
	end := n.Start
	for _, s := range segs {
		at.add(int64(s.From-end), int64(s.To-s.From))
		end = s.To
	}
}

func (b *columnsBuilder) addTimeline(a *stall.Analysis, n *stall.Node) {
	b.lineCount.add(int64(len(n.Timeline)))
	end := n.Start
	for _, s := range n.Timeline {
		b.lineState.add(b.word(string(s.State)))
		b.lineAt.add(int64(s.From-end), int64(s.To-s.From))
		b.lineStolen.add(int64(s.Stolen))
		end = s.To
	}
	var exact []stall.Segment
	if s, ok := exactRange(a, n); ok {
		exact = append(exact, s)
	}
	addSegments(&b.exactCount, &b.exactAt, n, exact)
}

// exactRange returns for which part of the time of n it is known from event to
// event what it did.
func exactRange(a *stall.Analysis, n *stall.Node) (known stall.Segment, ok bool) {
	e := n.Usage.Exact
	if e == nil {
		return known, false
	}
	within := func(t time.Time) time.Duration { return max(n.Start, min(n.End, t.Sub(a.Start))) }
	return stall.Segment{From: within(e.Start), To: within(e.End)}, true
}

func (b *columnsBuilder) addEvents(a *stall.Analysis, n *stall.Node, events []sdktrace.Event) {
	events = events[:min(len(events), maxMarks)]
	b.eventCount.add(int64(len(events)))
	before := n.Start
	for _, e := range events {
		at := e.Time.Sub(a.Start)
		b.eventName.add(b.word(e.Name))
		b.eventAt.add(int64(at - before))
		before = at
	}
}
