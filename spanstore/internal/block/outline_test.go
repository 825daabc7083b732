package block_test

import (
	"testing"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// TestOutlinesBeforeAndAfter wants of a block the same, whether it is asked before
// or after it was encoded, and counts the spans once more.
func TestOutlinesBeforeAndAfter(t *testing.T) {
	g := spangen.New(3)
	enc := block.NewEncoder(block.Limits{StringBytes: 1 << 16, SpanBytes: 1 << 18})
	spans, at := 0, time.Unix(1_700_000_000, 0)
	for i := range 100 {
		stubs := g.Request(at.Add(time.Duration(i)*time.Millisecond), 4)
		if i%5 == 0 {
			stubs = append(stubs, g.Wild())
		}
		for _, s := range stubs {
			if enc.Add(s.Snapshot()) {
				spans++
			}
		}
	}
	s, err := block.OpenSpans(enc.Encode(nil, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	before, after := enc.Outlines(nil), s.Outlines(nil)
	if len(before) != len(after) {
		t.Fatalf("%d traces before, %d after", len(before), len(after))
	}
	for i, o := range before {
		if o != after[i] {
			t.Errorf("trace %d: got %+v; want %+v", i, after[i], o)
		}
		spans -= o.Spans
		if o.Spans == 0 {
			continue
		}
		res, name := enc.Route(o.Entry)
		if r, n := s.Route(o.Entry); r != res || n != name {
			t.Errorf("trace %d came in by %d, %d; want %d, %d", i, r, n, res, name)
		}
		if got, want := s.ServiceOf(res)+s.NameOf(name), enc.ServiceOf(res)+enc.NameOf(name); got != want || s.NameOf(name) != s.Name(o.Entry) {
			t.Errorf("trace %d came in by %q; want %q", i, got, want)
		}
	}
	if spans != 0 {
		t.Errorf("the outlines miss %d spans", spans)
	}
}
