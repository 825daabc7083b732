package block_test

import (
	"bytes"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// ordinary returns n spans of requests of one service, whose names and shapes
// repeat.
func ordinary(seed uint64, n int) (spans []sdktrace.ReadOnlySpan) {
	g := spangen.New(seed)
	for len(spans) < n {
		for _, s := range g.Request(time.Unix(1_700_000_000, int64(len(spans))*1e6), 5) {
			spans = append(spans, s.Snapshot())
		}
	}
	return spans[:n]
}

// A block after the first costs less than an allocation for twenty spans: the
// memory of the one before is used again.
func TestEncoderUsesItsMemoryAgain(t *testing.T) {
	spans := ordinary(1, 1000)
	e := block.NewEncoder(limits)
	var out []byte
	allocs := testing.AllocsPerRun(10, func() {
		e.Reset()
		for _, s := range spans {
			e.Add(s)
		}
		out = e.Encode(out[:0], nil)
	})
	if allocs > float64(len(spans))/20 {
		t.Errorf("%v allocations for a block of %d spans", allocs, len(spans))
	}
}

// A snapshot has nothing in common with an encoder that goes on to another block.
func TestSnapshotOutlivesTheBlock(t *testing.T) {
	e := block.NewEncoder(limits)
	for _, s := range ordinary(1, 500) {
		e.Add(s)
	}
	snapshot, want := e.Snapshot(), e.Encode(nil, nil)
	e.Reset()
	for _, s := range wild(spangen.New(2), 300) {
		e.Add(s.Snapshot())
	}
	if got := snapshot.Encode(nil, nil); !bytes.Equal(got, want) {
		t.Error("the snapshot changed with the next block")
	}
}

// What a Finder read of one block stays as it is when it opens another.
func TestFinderKeepsNoText(t *testing.T) {
	c, f := newCodec(t), new(block.Finder)
	var kept [][]string
	var want [][]string
	for seed := range uint64(3) {
		e := block.NewEncoder(limits)
		for _, s := range ordinary(seed, 40) {
			e.Add(s)
		}
		b := e.Encode(nil, c)
		id := e.TraceID(0)
		f.Buf = append(f.Buf[:0], b...)
		s, err := f.Open(f.Buf, c, id)
		if err != nil || s == nil {
			t.Fatal(s, err)
		}
		r, err := s.Reader()
		if err != nil {
			t.Fatal(err)
		}
		r.Seek(0)
		var got, own []string
		for _, kv := range r.Attributes() {
			got = append(got, string(kv.Key), kv.Value.String())
			own = append(own, string(bytes.Clone([]byte(kv.Key))), string(bytes.Clone([]byte(kv.Value.String()))))
		}
		kept, want = append(kept, got), append(want, own)
		clear(f.Buf)
	}
	for i := range want {
		for k := range want[i] {
			if kept[i][k] != want[i][k] {
				t.Errorf("block %d: %q became %q", i, want[i][k], kept[i][k])
			}
		}
	}
}

// A scanner that lends its texts has the same as one that copies them, as long as
// the block is open.
func TestScannerThatLends(t *testing.T) {
	c := newCodec(t)
	lends, copies := block.NewScanner(c), block.NewScanner(c)
	lends.Borrow = true
	var kept, want []string
	for seed := range uint64(3) {
		e := block.NewEncoder(limits)
		for _, s := range wild(spangen.New(seed), 50) {
			e.Add(s.Snapshot())
		}
		b := e.Encode(nil, c)
		x, err := lends.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		y, err := copies.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		if x.Strings() != y.Strings() {
			t.Fatalf("got %d strings; want %d", x.Strings(), y.Strings())
		}
		for i := range x.Strings() {
			if x.String(i) != y.String(i) {
				t.Errorf("string %d is %q; want %q", i, x.String(i), y.String(i))
			}
			kept, want = append(kept, y.String(i)), append(want, string([]byte(y.String(i))))
		}
	}
	for i := range want {
		if kept[i] != want[i] {
			t.Errorf("a copy of %q became %q", want[i], kept[i])
		}
	}
}
