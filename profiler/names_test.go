package profiler

import (
	"encoding/binary"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// The book is bounded, and what it lets go is what ended first.
func TestNamesOfTheLatest(t *testing.T) {
	var b nameBook
	b.open()
	defer b.close()
	const spans = 3 * maxNames
	for i := 1; i <= spans; i++ {
		var id trace.SpanID
		binary.BigEndian.PutUint64(id[:], uint64(i))
		b.note(tracetest.SpanStub{Name: "span", SpanContext: trace.NewSpanContext(trace.SpanContextConfig{SpanID: id})}.Snapshot())
	}
	if n := len(b.now) + len(b.last); n > 2*maxNames {
		t.Errorf("got %d names; want at most %d", n, 2*maxNames)
	}
	for i := spans - maxNames; i <= spans; i++ {
		if _, ok := b.get(spanKey64(i)); !ok {
			t.Fatalf("span %d of %d is not known; want the latest known", i, spans)
		}
	}
	if _, ok := b.get(1); ok {
		t.Error("got the first; want it gone")
	}
}

func TestOnlyPointersAreLabels(t *testing.T) {
	for _, v := range []any{[]labelPair{}, map[string]string{}, labelSet{}, "", func() {}} {
		if isPointer(v) {
			t.Errorf("got %T taken for labels; want pointers alone, for others cannot be compared", v)
		}
	}
	if !isPointer(&labelSet{}) {
		t.Error("got a pointer refused")
	}
}
