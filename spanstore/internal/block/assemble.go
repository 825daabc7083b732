package block

import (
	"encoding/binary"
	"slices"
	"sync"
)

// Snapshot returns a copy of e to Encode while e goes on: a few memory copies.
// Nothing can be added to it.
func (e *Encoder) Snapshot() *Encoder {
	c := &Encoder{
		n: e.n, min: e.min, max: e.max, longest: e.longest, errors: e.errors, untimed: e.untimed, clipped: e.clipped,
		traces: traceTable{raw: slices.Clone(e.traces.raw)}, spanIDs: slices.Clone(e.spanIDs),
		parents: slices.Clone(e.parents), linkIDs: slices.Clone(e.linkIDs), kept: slices.Clone(e.kept),
		ends: slices.Clone(e.ends), durations: slices.Clone(e.durations),
		services: slices.Clone(e.services), resourceText: slices.Clone(e.resourceText), scopeText: slices.Clone(e.scopeText),
		spanAttrs: e.spanAttrs.snapshot(), eventAttrs: e.eventAttrs.snapshot(), linkAttrs: e.linkAttrs.snapshot(),
		eventTimes: slices.Clone(e.eventTimes),
	}
	c.strs.ends, c.strs.text = slices.Clone(e.strs.ends), slices.Clone(e.strs.text)
	c.rows = slices.Clone(e.rows)
	for i := range e.eventCols {
		c.eventCols[i] = slices.Clone(e.eventCols[i])
	}
	for i := range e.linkCols {
		c.linkCols[i] = slices.Clone(e.linkCols[i])
	}
	return c
}

// Encode appends the block of e's spans to dst. A nil codec leaves it
// uncompressed. It changes nothing in e.
func (e *Encoder) Encode(dst []byte, c *Codec) []byte {
	t := scratches.Get().(*scratch)
	defer scratches.Put(t)
	t.refs, t.foreign = e.parentRefs(t)
	t.ids = appendColumn(t.ids[:0], idTraces, e.traces.raw)
	t.ids = appendColumn(t.ids, idSpans, e.spanIDs)
	t.ids = appendColumn(t.ids, idParents, t.foreign)
	t.ids = appendColumn(t.ids, idLinks, e.linkIDs)
	if e.kept != nil {
		t.ids = appendColumn(t.ids, idKept, append(e.kept[:len(e.kept):len(e.kept)], make([]byte, e.Traces()-len(e.kept))...))
	}
	t.strings, t.col = e.strs.appendTo(t.strings[:0], t.col)
	e.encodeCore(t)
	e.encodeDetails(t)
	return pack(dst, c, KindSpans, e.n, e.min, e.max, []section{
		{id: secIDs, raw: true, buf: t.ids},
		{id: secCore, buf: t.core},
		{id: secStrings, buf: t.strings},
		{id: secDetails, buf: t.details},
	})
}

// scratch is memory that encoding a block takes and gives back.
type scratch struct {
	refs, slots, col            []uint32
	foreign                     []byte
	ids, core, strings, details []byte
	buf                         []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (e *Encoder) encodeCore(t *scratch) {
	t.core = appendInts(t.core[:0], colEnd, e.ends)
	t.core = appendInts(t.core, colDuration, e.durations)
	t.core = appendInts(t.core, colParent, t.refs)
	t.col = slices.Grow(t.col[:0], e.n)[:e.n]
	for id := range numCols {
		if id == colEnd || id == colDuration || id == colParent {
			continue // from elsewhere
		}
		for i := range e.rows {
			t.col[i] = e.rows[i][id]
		}
		t.core = appendInts(t.core, byte(id), t.col)
	}
	t.core = appendInts(t.core, tabResources, e.resourceText)
	t.core = appendInts(t.core, tabScopes, e.scopeText)
}

func (e *Encoder) encodeDetails(t *scratch) {
	d := t.details[:0]
	d, t.buf = e.spanAttrs.appendTo(d, t.buf, tabSpanAttrs)
	d, t.buf = e.eventAttrs.appendTo(d, t.buf, tabEventAttrs)
	d, t.buf = e.linkAttrs.appendTo(d, t.buf, tabLinkAttrs)
	d = appendInts(d, colEventTime, e.eventTimes)
	d = appendInts(d, colEventName, e.eventCols[0])
	d = appendInts(d, colEventDropped, e.eventCols[1])
	d = appendInts(d, colLinkFlags, e.linkCols[0])
	d = appendInts(d, colLinkState, e.linkCols[1])
	t.details = appendInts(d, colLinkDropped, e.linkCols[2])
}

// parentRefs names each span's parent: 0 for none, an odd number for a span of
// this block (its distance, zigzag, times two plus one), an even one for an id
// in foreign (its position plus one, times two). A parent mostly stands a few
// places on, so this costs a byte where the id would cost eight.
func (e *Encoder) parentRefs(t *scratch) (refs []uint32, foreign []byte) {
	spans := newSpanTable(e.spanIDs, t.slots)
	t.slots = spans.slots
	refs, foreign = slices.Grow(t.refs[:0], e.n)[:e.n], t.foreign[:0]
	for i := range e.n {
		refs[i] = 0
		id := e.parents[8*i : 8*i+8]
		if binary.LittleEndian.Uint64(id) == 0 {
			continue
		}
		if p := spans.find(id); p >= 0 {
			d := p - int32(i)
			refs[i] = uint32(d<<1^d>>31)<<1 | 1
			continue
		}
		foreign = append(foreign, id...)
		refs[i] = uint32(len(foreign)/8) << 1
	}
	return refs, foreign
}
