package block_test

import (
	"reflect"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// What the columns of a block say is what its spans say.
func TestColumns(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	c := newCodec(t)
	sc := block.NewScanner(c)
	for range 5 { // one scanner, block after block
		stubs := wild(g, 1+g.IntN(400))
		e := encode(stubs)
		cols, err := sc.Open(e.Encode(nil, c))
		if err != nil {
			t.Fatal(err)
		}
		opened, err := block.OpenSpans(e.Encode(nil, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, cols := range []*block.Columns{cols, opened.Columns()} {
			names, kinds, statuses := cols.Names(nil), cols.Kinds(nil), cols.Statuses(nil)
			resources, traces, table, ids := cols.Resources(nil), cols.Traces(nil), cols.ResourceTable(), cols.IDs()
			starts, ends := cols.Times()
			parents, remote := cols.Parents(nil, nil)
			events := 0
			for i, s := range stubs {
				parent := trace.SpanID{}
				switch p := parents[i]; {
				case p >= 0:
					parent = ids.Span(int(p))
				case p == block.ForeignParent:
					parent = cols.ForeignParent(ids, i)
				}
				service := ""
				if resources[i] > 0 {
					service = table[resources[i]-1].Service
				}
				switch {
				case cols.String(int(names[i])) != s.Name, trace.SpanKind(kinds[i]) != s.SpanKind, statuses[i] != uint32(s.Status.Code),
					ids.Trace(traces[i]) != s.SpanContext.TraceID(), ids.Span(i) != s.SpanContext.SpanID(),
					starts[i] != block.UnixNano(s.StartTime), ends[i] != block.UnixNano(s.EndTime),
					parent != s.Parent.SpanID(), remote[i] != s.Parent.IsRemote(), service != opened.Service(i):
					t.Fatalf("span %d differs", i)
				}
				events += len(s.Events)
			}
			owners := cols.Events(nil)
			if len(owners) != events {
				t.Fatalf("got %d events; want %d", len(owners), events)
			}
			eventNames := cols.EventNames(nil, events)
			at := 0
			for i, s := range stubs {
				for _, ev := range s.Events {
					if int(owners[at]) != i || cols.String(int(eventNames[at])) != ev.Name {
						t.Fatalf("event %d differs", at)
					}
					at++
				}
			}
			checkAttrs(t, cols.SpanAttrs(), len(stubs), func(i int) []attribute.KeyValue { return stubs[i].Attributes })
			at = 0
			var all [][]attribute.KeyValue
			for _, s := range stubs {
				for _, ev := range s.Events {
					all = append(all, ev.Attributes)
				}
			}
			checkAttrs(t, cols.EventAttrs(events), events, func(i int) []attribute.KeyValue { return all[i] })
			if err := cols.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkAttrs compares a table's columns with the items' attributes: those that
// have a key, and those that have its first value.
func checkAttrs(t *testing.T, table *block.AttrTable, n int, of func(int) []attribute.KeyValue) {
	t.Helper()
	keys := map[string]bool{"absent": true}
	for i := range n {
		for _, kv := range of(i) {
			keys[string(kv.Key)] = true
		}
	}
	for key := range keys {
		has, same := make([]bool, n), make([]bool, n)
		wantSame := make([]bool, n)
		for _, col := range table.Columns(key) {
			col.Mark(has, nil)
			values := col.Values(nil)
			least, most, count := col.Bounds()
			if count != len(values) {
				t.Fatalf("%s: %d values, Bounds says %d", key, len(values), count)
			}
			if len(values) == 0 {
				continue
			}
			first := col.Value(values[0])
			hit := make([]bool, count)
			for k, v := range values {
				hit[k] = v == values[0]
				if v < least || v > most {
					t.Fatalf("%s: %d is beyond %d and %d", key, v, least, most)
				}
			}
			col.Mark(same, hit)
			for i := range n {
				for _, kv := range of(i) {
					if string(kv.Key) == key && reflect.DeepEqual(kv.Value, first) {
						wantSame[i] = true
					}
				}
			}
		}
		for i := range n {
			want := false
			for _, kv := range of(i) {
				want = want || string(kv.Key) == key
			}
			if has[i] != want || same[i] != wantSame[i] {
				t.Fatalf("%s: item %d: got %v, %v; want %v, %v", key, i, has[i], same[i], want, wantSame[i])
			}
		}
	}
}

// FuzzColumns: columns of damaged blocks say anything, but crash nothing.
func FuzzColumns(f *testing.F) {
	for n := range 4 {
		f.Add(encode(wild(spangen.New(uint64(n)), 5*n)).Encode(nil, nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := block.NewScanner(nil).Open(block.Reseal(data))
		if err != nil {
			return
		}
		n := c.Len()
		names, kinds, statuses, resources, traces := c.Names(nil), c.Kinds(nil), c.Statuses(nil), c.Resources(nil), c.Traces(nil)
		starts, ends := c.Times()
		parents, remote := c.Parents(nil, nil)
		for _, l := range []int{len(names), len(kinds), len(statuses), len(resources), len(traces), len(starts), len(ends), len(parents), len(remote)} {
			if l != n {
				t.Fatalf("a column has %d values; want %d", l, n)
			}
		}
		ids := c.IDs()
		for i := range n {
			_, _, _ = ids.Trace(traces[i]), ids.Span(i), c.ForeignParent(ids, i)
			c.String(int(names[i]))
		}
		c.ResourceTable()
		owners := c.Events(nil)
		for _, at := range owners {
			if int(at) >= n {
				t.Fatalf("an event of span %d of %d", at, n)
			}
		}
		c.EventNames(nil, len(owners))
		items := make([]bool, max(n, len(owners)))
		for _, table := range []*block.AttrTable{c.SpanAttrs(), c.EventAttrs(len(owners))} {
			for s := range min(c.Strings(), 50) {
				for _, col := range table.Columns(c.String(s)) {
					values := col.Values(nil)
					for _, v := range values[:min(len(values), 100)] {
						col.Value(v)
					}
					col.Bounds()
					col.Mark(items, nil)
				}
			}
		}
	})
}
