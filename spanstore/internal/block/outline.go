package block

import (
	"encoding/binary"
	"math"
	"unsafe"

	"go.opentelemetry.io/otel/codes"
)

// Outline is what a block says of one of its traces: enough to judge whether it
// is worth keeping, in a pass that touches few columns.
type Outline struct {
	Spans  int
	Failed bool // a span has the status Error

	// Entry is the span that tells how the trace came in and how long that took,
	// Rank how much it can be trusted to: 2 for a root, 1 for a span whose parent
	// is in another process, 0 for the earliest.
	Entry      int
	Rank       byte
	Start, End int64 // of Entry

	Min, Max int64 // of all spans with a time; Min is greater than Max when none has one
}

const (
	rankEntry = 1
	rankRoot  = 2
)

func (o *Outline) add(i int, rank byte, failed bool, start, end int64) {
	if o.Spans == 0 {
		o.Min, o.Max = math.MaxInt64, math.MinInt64
	}
	if o.Spans == 0 || rank > o.Rank || rank == o.Rank && start < o.Start {
		o.Entry, o.Rank, o.Start, o.End = i, rank, start, end
	}
	o.Spans++
	o.Failed = o.Failed || failed
	if start != ZeroTime {
		o.Min, o.Max = min(o.Min, start), max(o.Max, start)
	}
	if end != ZeroTime {
		o.Min, o.Max = min(o.Min, end), max(o.Max, end)
	}
}

// outlines makes room for n in to.
func outlines(to []Outline, n int) []Outline {
	if cap(to) < n {
		return make([]Outline, n)
	}
	to = to[:n]
	clear(to)
	return to
}

// Outlines returns what is known of each of e's traces, in the memory of to. A
// trace that is only named, by a parent in it, has no spans.
func (e *Encoder) Outlines(to []Outline) []Outline {
	to = outlines(to, e.Traces())
	end := int64(0)
	for i := range e.n {
		row := &e.rows[i]
		end += e.ends[i]
		rank := byte(0)
		switch {
		case binary.LittleEndian.Uint64(e.parents[8*i:]) == 0:
			rank = rankRoot
		case row[colFlags]&flagParentRemote != 0:
			rank = rankEntry
		}
		to[row[colTrace]].add(i, rank, row[colStatus] == uint32(codes.Error), end-e.durations[i], end)
	}
	return to
}

// Route returns numbers that stand for the resource and the name of span i.
// Within a block the same ones are the same.
func (e *Encoder) Route(i int) (resource, name uint32) {
	return e.rows[i][colResource], e.rows[i][colName]
}

// ServiceOf returns the service.name of a resource, "" when it has none, and NameOf
// the text of a name. They are valid until something is added to e.
func (e *Encoder) NameOf(name uint32) string { return e.strs.at(name) }
func (e *Encoder) ServiceOf(resource uint32) (service string) {
	if resource == 0 || int(resource) > len(e.resourceText) {
		return ""
	}
	r := valueReader{s: e.strs.at(e.resourceText[resource-1])}
	r.string() // the schema
	for _, kv := range r.keyValues(0) {
		if kv.Key == serviceName {
			service = serviceOf(kv.Value)
		}
	}
	return service
}

// at returns the string at position id in place.
func (b *stringBuilder) at(id uint32) string {
	if id == 0 || int(id) >= len(b.ends) || b.ends[id] == b.ends[id-1] {
		return ""
	}
	from := b.ends[id-1]
	return unsafe.String(&b.text[from], b.ends[id]-from)
}

// Outlines returns what is known of each of s's traces, in the memory of to.
func (s *Spans) Outlines(to []Outline) []Outline {
	to = outlines(to, s.Traces())
	for i := range s.Len() {
		rank := byte(0)
		switch {
		case !s.ParentID(i).IsValid():
			rank = rankRoot
		case s.RemoteParent(i):
			rank = rankEntry
		}
		to[s.trace[i]].add(i, rank, s.Failed(i), s.starts[i], s.ends[i])
	}
	return to
}

// Route is that of Encoder, and ServiceOf and NameOf tell what it stands for.
func (s *Spans) Route(i int) (resource, name uint32) {
	return uint32(s.cols[colResource].at(i)), uint32(s.cols[colName].at(i))
}
func (s *Spans) NameOf(name uint32) string { return s.strs.at(int64(name)) }
func (s *Spans) ServiceOf(resource uint32) string {
	if r := int(resource) - 1; r >= 0 && r < len(s.resources) {
		return s.resources[r].service
	}
	return ""
}
