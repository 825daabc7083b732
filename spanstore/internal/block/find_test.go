package block_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// A Finder gives every trace back as it went in, and what it handed out stays as
// it was when its memory is used for another block.
func TestFinder(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	c := newCodec(t)
	f := new(block.Finder)
	stubs, others := wild(g, 300), wild(g, 300)
	byTrace := map[trace.TraceID][]tracetest.SpanStub{}
	for _, s := range stubs {
		byTrace[s.SpanContext.TraceID()] = append(byTrace[s.SpanContext.TraceID()], s)
	}
	for name, codec := range map[string]*block.Codec{"compressed": c, "raw": nil} {
		data, other := encode(stubs).Encode(nil, codec), encode(others).Encode(nil, codec)
		open := func(data []byte, id trace.TraceID) *block.Spans {
			f.Buf = append(f.Buf[:0], data...)
			b, err := f.Open(f.Buf, codec, id)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		for id, want := range byTrace {
			got := found(t, open(data, id), id)
			if b := open(other, id); b != nil {
				t.Fatalf("%s: a block without trace %s was taken for one with it", name, id)
			}
			otherID := others[0].SpanContext.TraceID()
			found(t, open(other, otherID), otherID)
			if len(got) != len(want) {
				t.Fatalf("%s: got %d spans; want %d", name, len(got), len(want))
			}
			for i := range want {
				if diff := spangen.Diff(got[i], want[i]); diff != "" {
					t.Fatalf("%s: span %d of trace %s: %s", name, i, id, diff)
				}
			}
		}
	}
}

func found(t *testing.T, b *block.Spans, id trace.TraceID) (stubs []tracetest.SpanStub) {
	t.Helper()
	if b == nil {
		t.Fatalf("trace %s is missing", id)
	}
	r, err := b.Reader()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		if b.Trace(i) == b.FindTrace(id) {
			stubs = append(stubs, read(r, b, i))
		}
	}
	return stubs
}
