package spanstore_test

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// What is in this file reads blocks as the documentation of package block says,
// and nothing else: it must not share code with that package. It is strict, so
// that bytes nobody wrote down are found.

// bytesReader reads from the front of b.
type bytesReader struct {
	tb testing.TB
	b  []byte
}

func (r *bytesReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.tb.Helper()
		r.tb.Fatalf("%d bytes are left; want %d", len(r.b), n)
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *bytesReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.take(uint64(max(n, 0)))
	if n <= 0 {
		r.tb.Fatal("no uvarint where one should be")
	}
	return v
}

func (r *bytesReader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.take(uint64(max(n, 0)))
	if n <= 0 {
		r.tb.Fatal("no varint where one should be")
	}
	return v
}

func (r *bytesReader) byte() byte   { return r.take(1)[0] }
func (r *bytesReader) text() string { return string(r.take(r.uvarint())) }
func (r *bytesReader) u32() uint32  { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *bytesReader) i64() int64   { return int64(binary.LittleEndian.Uint64(r.take(8))) }

func (r *bytesReader) end(what string) {
	if len(r.b) > 0 {
		r.tb.Helper()
		r.tb.Errorf("%d bytes are left of %s", len(r.b), what)
	}
}

// listOf reads a number and so many of what read reads.
func listOf[T any](r *bytesReader, read func() T) []T {
	out := make([]T, r.uvarint())
	for i := range out {
		out[i] = read()
	}
	return out
}

func crc32c(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// rawBlock is a block's header and its columns by section.
type rawBlock struct {
	kind     byte
	count    int
	min, max int64
	sections map[byte]rawColumns
}

type rawColumns struct {
	tb   testing.TB
	cols map[byte][]byte
}

func readBlock(tb testing.TB, b []byte) rawBlock {
	r := &bytesReader{tb, b}
	if string(r.take(4)) != "SPCK" || r.byte() != 1 {
		tb.Fatal("no block of version 1")
	}
	k := rawBlock{kind: r.byte(), sections: map[byte]rawColumns{}}
	sections := binary.LittleEndian.Uint16(r.take(2))
	k.count = int(r.u32())
	without := slices.Concat(b[:12], make([]byte, 4), b[16:])
	if want := r.u32(); crc32c(without) != want {
		tb.Fatalf("a block's checksum is %08x; want %08x", crc32c(without), want)
	}
	k.min, k.max = r.i64(), r.i64()
	data := &bytesReader{tb, r.b}
	data.take(10 * uint64(sections))
	for range sections {
		id, codec, raw, stored := r.byte(), r.byte(), r.u32(), r.u32()
		body := data.take(uint64(stored))
		if codec == 1 {
			body = unzstd(tb, body)
		}
		if len(body) != int(raw) {
			tb.Fatalf("section %d has %d bytes; want %d", id, len(body), raw)
		}
		k.sections[id] = readColumns(tb, body)
	}
	data.end("a block")
	return k
}

func unzstd(tb testing.TB, b []byte) []byte {
	d, err := zstd.NewReader(nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer d.Close()
	out, err := d.DecodeAll(b, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func readColumns(tb testing.TB, b []byte) rawColumns {
	c, r := rawColumns{tb, map[byte][]byte{}}, &bytesReader{tb, b}
	for len(r.b) > 0 {
		id := r.byte()
		c.cols[id] = r.take(r.uvarint())
	}
	return c
}

// ints reads a column of n integers, of as many as there are when n is negative.
func (c rawColumns) ints(id byte, n int) []int64 {
	b, ok := c.cols[id]
	if !ok {
		return make([]int64, max(n, 0))
	}
	r := &bytesReader{c.tb, b}
	vs := r.ints()
	r.end("a column")
	if n >= 0 && len(vs) != n {
		c.tb.Helper()
		c.tb.Fatalf("column %d has %d values; want %d", id, len(vs), n)
	}
	return vs
}

func (r *bytesReader) ints() []int64 {
	vs := make([]int64, r.uvarint())
	least, width := r.varint(), r.byte()
	for i := range vs {
		vs[i] = least
	}
	for p := range width {
		for i, b := range r.take(uint64(len(vs))) {
			vs[i] += int64(uint64(b) << (8 * p))
		}
	}
	return vs
}

func (c rawColumns) strings() (out []string) {
	r := &bytesReader{c.tb, c.cols[2]}
	for _, n := range c.ints(1, -1) {
		out = append(out, string(r.take(uint64(n))))
	}
	r.end("the strings")
	if len(out) == 0 || out[0] != "" {
		c.tb.Errorf("string 0 of %d is not empty", len(out))
	}
	return out
}

// ids cuts a column into ids of a length.
func (c rawColumns) ids(id byte, length int) (out [][]byte) {
	for b := range slices.Chunk(c.cols[id], length) {
		out = append(out, b)
	}
	return out
}

func timeOf(ns int64) time.Time {
	if ns == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// spansOf reads a block of spans; whys are the reasons why its traces are kept.
func spansOf(tb testing.TB, k rawBlock) (spans []spanstore.Span, whys map[trace.TraceID]byte) {
	ids, core, strs := k.sections[1], k.sections[2], k.sections[3].strings()
	traces := ids.ids(1, 16)
	whys = map[trace.TraceID]byte{}
	for i, why := range ids.cols[5] {
		whys[trace.TraceID(traces[i])] = why
	}
	var resources []*resource.Resource
	for _, at := range core.ints(64, -1) {
		r := &bytesReader{tb, []byte(strs[at])}
		schema := r.text()
		resources = append(resources, resource.NewWithAttributes(schema, listOf(r, r.keyValue)...))
		r.end("a resource")
	}
	var scopes []instrumentation.Scope
	for _, at := range core.ints(65, -1) {
		r := &bytesReader{tb, []byte(strs[at])}
		s := instrumentation.Scope{Name: r.text(), Version: r.text(), SchemaURL: r.text()}
		s.Attributes = attribute.NewSet(listOf(r, r.keyValue)...)
		r.end("a scope")
		scopes = append(scopes, s)
	}
	var col [20][]int64
	for id := range col {
		col[id] = core.ints(byte(id), k.count)
	}
	details := detailsOf(k, strs, sum(col[18]), sum(col[19]))
	end := int64(0)
	for i := range k.count {
		end += col[0][i]
		start, flags := end-col[1][i], col[11][i]
		own := trace.SpanContextConfig{
			TraceID: trace.TraceID(traces[col[2][i]]), SpanID: trace.SpanID(ids.ids(2, 8)[i]),
			TraceFlags: trace.TraceFlags(flags & 0xff), Remote: flags&(1<<16) != 0, TraceState: stateOf(tb, strs[col[12][i]]),
		}
		parent := trace.SpanContextConfig{TraceFlags: trace.TraceFlags(flags >> 8 & 0xff), Remote: flags&(1<<17) != 0, TraceState: stateOf(tb, strs[col[13][i]])}
		switch v := col[3][i]; {
		case v&1 == 1:
			zigzag := v >> 1
			parent.SpanID = trace.SpanID(ids.ids(2, 8)[i+int(zigzag>>1^-(zigzag&1))])
		case v > 0:
			parent.SpanID = trace.SpanID(ids.ids(3, 8)[v/2-1])
		}
		switch v := col[4][i]; {
		case v == 1:
			parent.TraceID = own.TraceID
		case v > 1:
			parent.TraceID = trace.TraceID(traces[v-2])
		}
		s := spanstore.Span{
			SpanContext: trace.NewSpanContext(own), Parent: trace.NewSpanContext(parent), Start: timeOf(start), End: timeOf(end),
			Name: strs[col[5][i]], Kind: trace.SpanKind(col[6][i]), Scope: scopes[col[10][i]], ChildSpanCount: int(col[14][i]),
			Status:            sdktrace.Status{Code: []codes.Code{codes.Unset, codes.Error, codes.Ok}[col[7][i]], Description: strs[col[8][i]]},
			DroppedAttributes: int(col[15][i]), DroppedEvents: int(col[16][i]), DroppedLinks: int(col[17][i]), Attributes: details.spans[i],
		}
		if v := col[9][i]; v > 0 {
			s.Resource = resources[v-1]
		}
		s.Events, s.Links = details.take(tb, ids, start, int(col[18][i]), int(col[19][i]))
		spans = append(spans, s)
	}
	return spans, whys
}

func sum(vs []int64) (n int) {
	for _, v := range vs {
		n += int(v)
	}
	return n
}

func stateOf(tb testing.TB, text string) trace.TraceState {
	ts, err := trace.ParseTraceState(text)
	if err != nil {
		tb.Error(err)
	}
	return ts
}

// rawDetails are section 4 of a block of spans, and how much of it was taken.
type rawDetails struct {
	strs                     []string
	spans, eventKVs, linkKVs [][]attribute.KeyValue
	cols                     [6][]int64 // 32 to 37
	event, link              int
}

func detailsOf(k rawBlock, strs []string, events, links int) *rawDetails {
	c := k.sections[4]
	d := &rawDetails{strs: strs, spans: c.attributes(0, k.count, strs), eventKVs: c.attributes(4, events, strs), linkKVs: c.attributes(8, links, strs)}
	for i := range d.cols {
		n := events
		if i >= 3 {
			n = links
		}
		d.cols[i] = c.ints(byte(32+i), n)
	}
	return d
}

// take returns the next span's events and links.
func (d *rawDetails) take(tb testing.TB, ids rawColumns, start int64, events, links int) (es []sdktrace.Event, ls []sdktrace.Link) {
	for range events {
		i := d.event
		es = append(es, sdktrace.Event{
			Name: d.strs[d.cols[0][i]], Time: timeOf(start + d.cols[1][i]), DroppedAttributeCount: int(d.cols[2][i]), Attributes: d.eventKVs[i],
		})
		d.event++
	}
	for range links {
		i, id := d.link, ids.ids(4, 24)[d.link]
		flags := d.cols[3][i]
		ls = append(ls, sdktrace.Link{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: trace.TraceID(id[:16]), SpanID: trace.SpanID(id[16:]), TraceFlags: trace.TraceFlags(flags & 0xff),
				Remote: flags&(1<<16) != 0, TraceState: stateOf(tb, d.strs[d.cols[4][i]]),
			}),
			DroppedAttributeCount: int(d.cols[5][i]), Attributes: d.linkKVs[i],
		})
		d.link++
	}
	return es, ls
}
