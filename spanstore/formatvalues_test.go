package spanstore_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// attributes reads the attribute table of n items whose first column is base.
func (c rawColumns) attributes(base byte, n int, strs []string) [][]attribute.KeyValue {
	out := make([][]attribute.KeyValue, n)
	type column struct {
		key  string
		typ  byte
		vals []int64
	}
	var cols []*column
	keys, values := &bytesReader{c.tb, c.cols[base]}, &bytesReader{c.tb, c.cols[base+3]}
	for len(keys.b) > 0 {
		cols = append(cols, &column{strs[keys.uvarint()], keys.byte(), values.ints()})
	}
	values.end("the value columns")
	var shapes [][]*column
	for r := (&bytesReader{c.tb, c.cols[base+1]}); len(r.b) > 0; {
		shape, l := []*column{}, &bytesReader{c.tb, r.take(r.uvarint())}
		for len(l.b) > 0 {
			shape = append(shape, cols[l.uvarint()])
		}
		shapes = append(shapes, shape)
	}
	for i, s := range c.ints(base+2, n) {
		if len(shapes) == 0 {
			break
		}
		for _, col := range shapes[s] {
			out[i] = append(out[i], attribute.KeyValue{Key: attribute.Key(col.key), Value: columnValue(c.tb, col.typ, col.vals[0], strs)})
			col.vals = col.vals[1:]
		}
	}
	for _, col := range cols {
		if len(col.vals) > 0 {
			c.tb.Errorf("%d values of %s are left", len(col.vals), col.key)
		}
	}
	return out
}

// columnValue makes a value of what its column has.
func columnValue(tb testing.TB, typ byte, v int64, strs []string) attribute.Value {
	switch typ {
	case 0:
		return attribute.Value{}
	case 1:
		return attribute.BoolValue(v == 1)
	case 2:
		return attribute.Int64Value(v)
	case 3:
		return attribute.Float64Value(math.Float64frombits(uint64(v)))
	case 4:
		return attribute.StringValue(strs[v])
	}
	r := &bytesReader{tb, []byte(strs[v])}
	if r.b[0] != typ {
		tb.Errorf("a value of type %d in a column of type %d", r.b[0], typ)
	}
	defer r.end("a value")
	return r.value()
}

func (r *bytesReader) bool() bool     { return r.byte() == 1 }
func (r *bytesReader) float() float64 { return math.Float64frombits(uint64(r.i64())) }

// value reads an encoded value.
func (r *bytesReader) value() attribute.Value {
	switch typ := r.byte(); typ {
	case 0:
		return attribute.Value{}
	case 1:
		return attribute.BoolValue(r.bool())
	case 2:
		return attribute.Int64Value(r.varint())
	case 3:
		return attribute.Float64Value(r.float())
	case 4:
		return attribute.StringValue(r.text())
	case 5:
		return attribute.BoolSliceValue(listOf(r, r.bool))
	case 6:
		return attribute.Int64SliceValue(listOf(r, r.varint))
	case 7:
		return attribute.Float64SliceValue(listOf(r, r.float))
	case 8:
		return attribute.StringSliceValue(listOf(r, r.text))
	case 9:
		return attribute.ByteSliceValue([]byte(r.text()))
	case 10:
		return attribute.SliceValue(listOf(r, r.value)...)
	case 11:
		return attribute.MapValue(listOf(r, r.keyValue)...)
	default:
		r.tb.Fatalf("a value of type %d", typ)
		return attribute.Value{}
	}
}

func (r *bytesReader) keyValue() attribute.KeyValue {
	return attribute.KeyValue{Key: attribute.Key(r.text()), Value: r.value()}
}

// usageOf reads a block of usage.
func usageOf(tb testing.TB, k rawBlock) (u spanstore.UsageBatch) {
	ids, cols, strs := k.sections[1], k.sections[2], k.sections[3].strings()
	stacks := stacksOf(k.sections[4], strs)
	which, samples := k.sections[4].ints(0, -1), k.sections[4].ints(1, -1)
	of, counts := cols.ints(0, k.count), [4][]int64{cols.ints(1, k.count), cols.ints(2, k.count), cols.ints(3, k.count), cols.ints(4, k.count)}
	for i := range k.count {
		s := spanstore.Usage{
			TraceID: trace.TraceID(ids.ids(1, 16)[of[i]]), SpanID: trace.SpanID(ids.ids(2, 8)[i]),
			Samples: int(counts[0][i]), CPU: time.Duration(counts[1][i]), LateSamples: int(counts[2][i]),
		}
		for range counts[3][i] {
			s.Stacks = append(s.Stacks, spanstore.Stack{Frames: stacks[which[0]], Samples: int(samples[0])})
			which, samples = which[1:], samples[1:]
		}
		u.Spans = append(u.Spans, s)
	}
	if len(which)+len(samples) > 0 {
		tb.Errorf("%d stacks are no record's", len(which))
	}
	var w [8][]int64
	for i := range w {
		w[i] = cols.ints(byte(32+i), -1)
	}
	for i, start := range w[0] {
		u.Windows = append(u.Windows, spanstore.Window{
			Start: timeOf(start), End: timeOf(start + w[1][i]), Period: time.Duration(w[2][i]), Samples: int(w[3][i]), Labeled: int(w[4][i]),
			Process: time.Duration(w[5][i]), Hole: strs[w[6][i]], RootsOnly: w[7][i] == 1,
		})
	}
	if c, ok := k.sections[8]; ok {
		u.Signals = signalsOf(c)
	}
	if c, ok := k.sections[9]; ok {
		exactOf(c, u.Spans, stacks, strs)
	}
	return u
}

func stacksOf(c rawColumns, strs []string) (stacks [][]spanstore.Frame) {
	var frames []spanstore.Frame
	files, lines := c.ints(5, -1), c.ints(6, -1)
	for i, name := range c.ints(4, -1) {
		frames = append(frames, spanstore.Frame{Func: strs[name], File: strs[files[i]], Line: int(lines[i])})
	}
	all := c.ints(3, -1)
	for _, n := range c.ints(2, -1) {
		var stack []spanstore.Frame
		for _, f := range all[:n] {
			stack = append(stack, frames[f])
		}
		stacks, all = append(stacks, stack), all[n:]
	}
	if len(all) > 0 {
		c.tb.Errorf("%d frames are in no stack", len(all))
	}
	return stacks
}

func signalsOf(c rawColumns) (out []spanstore.Signals) {
	starts := c.ints(0, -1)
	lengths := c.ints(1, len(starts))
	for i, start := range starts {
		s := spanstore.Signals{Start: timeOf(start), End: timeOf(start + lengths[i]), Values: map[string]int64{}}
		for n, name := range strings.Split(string(c.cols[2]), "\x00") {
			if v := c.ints(byte(16+n), len(starts))[i]; v != math.MinInt64 {
				s.Values[name] = v
			}
		}
		out = append(out, s)
	}
	return out
}

// exactOf puts what execution traces tell to the records.
func exactOf(c rawColumns, records []spanstore.Usage, stacks [][]spanstore.Frame, strs []string) {
	var col [10][]int64
	var seg, wait [5][]int64
	for i := range col {
		col[i] = c.ints(byte(i), -1)
	}
	for i := range seg {
		seg[i], wait[i] = c.ints(byte(32+i), -1), c.ints(byte(48+i), -1)
	}
	stack := func(v int64) []spanstore.Frame {
		if v == 0 {
			return nil
		}
		return stacks[v-1]
	}
	s, w := 0, 0
	for i, record := range col[0] {
		e := &spanstore.Exact{
			Start: timeOf(col[1][i]), End: timeOf(col[2][i]), Running: time.Duration(col[3][i]), Stolen: time.Duration(col[4][i]),
			StolenLow: time.Duration(col[5][i]), StolenHigh: time.Duration(col[6][i]), Goroutines: int(col[7][i]),
		}
		at := time.Duration(0)
		for range col[8][i] {
			from := at + time.Duration(seg[0][s])
			at = from + time.Duration(seg[1][s])
			e.Segments = append(e.Segments, spanstore.StateSegment{
				From: from, To: at, State: strs[seg[2][s]], Stolen: time.Duration(seg[3][s]), Wait: int(seg[4][s]) - 1,
			})
			s++
		}
		for range col[9][i] {
			e.Waits = append(e.Waits, spanstore.Wait{
				State: strs[wait[0][w]], Total: time.Duration(wait[1][w]), Count: int(wait[2][w]),
				Stack: stack(wait[3][w]), Waker: stack(wait[4][w]), WakerSpan: trace.SpanID(c.ids(64, 8)[w]),
			})
			w++
		}
		records[record].Exact = e
	}
	if s != len(seg[0]) || w != len(wait[0]) {
		c.tb.Errorf("%d segments and %d waits are no record's", len(seg[0])-s, len(wait[0])-w)
	}
}
