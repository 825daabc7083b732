package profiler

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/spanclock/spanclock/spanstore"
)

// location is a place in the code with the calls inlined there, leaf first.
func location(id uint64, names ...string) *profile.Location {
	l := &profile.Location{ID: id}
	for i, name := range names {
		l.Line = append(l.Line, profile.Line{Function: &profile.Function{Name: name, Filename: name + ".go"}, Line: int64(i + 1)})
	}
	return l
}

func sample(n int64, span spanKey64, stack ...*profile.Location) *profile.Sample {
	s := &profile.Sample{Value: []int64{n, n * 1e7}, Location: stack}
	if span != 0 {
		s.Label = map[string][]string{spanKey: {span.hex()}}
	}
	return s
}

func TestAttribute(t *testing.T) {
	main, hash, read := location(1, "main"), location(2, "inlined", "hash"), location(3, "read")
	own := sample(3, 0, main)
	own.Label = map[string][]string{ownKey: {"profiler"}}
	odd := sample(1, 0, main)
	odd.Label = map[string][]string{spanKey: {"not a span id"}}
	tenant := sample(2, 1, hash, main)
	tenant.Label["tenant"] = []string{"blue"}

	prof := &profile.Profile{Period: 1e7, Sample: []*profile.Sample{
		sample(1, 1, read, main),
		sample(4, 1, hash, main),
		tenant, // the same stack in the same span, set apart by a label only
		sample(1, 1, main),
		sample(5, 2, hash, main),
		sample(7, 3, main), // over
		sample(8, 4, main), // never heard of
		sample(9, 0, main),
		own,
		odd,
		sample(2, 5), // no stack
	}}
	known := map[spanKey64]identity{
		1: {trace: traceID(1)}, 2: {trace: traceID(1)}, 3: {trace: traceID(3), over: true}, 5: {trace: traceID(5)},
	}
	got := attribute(prof, func(spans map[spanKey64]identity) {
		for k := range spans {
			spans[k] = known[k]
		}
	}, 1.5, 2, 2)

	if got.samples != 43 || got.labeled != 15 || got.late != 7 || got.unattributed != 8 || got.own != 3 {
		t.Errorf("got %d samples, %d labeled, %d late, %d unattributed, %d own; want 43, 15, 7, 8, 3",
			got.samples, got.labeled, got.late, got.unattributed, got.own)
	}
	frame := func(name string, line int) spanstore.Frame {
		return spanstore.Frame{Func: name, File: name + ".go", Line: line}
	}
	hashing := []spanstore.Frame{frame("inlined", 1), frame("hash", 2)} // main is too deep
	want := map[spanKey64]spanstore.Usage{
		1: {TraceID: traceID(1), SpanID: spanKey64(1).spanID(), Samples: 8, CPU: 120 * time.Millisecond, Stacks: []spanstore.Stack{
			{Frames: hashing, Samples: 6},
			{Frames: []spanstore.Frame{frame("read", 1), frame("main", 1)}, Samples: 1}, // the third one is too many
		}},
		2: {TraceID: traceID(1), SpanID: spanKey64(2).spanID(), Samples: 5, CPU: 75 * time.Millisecond,
			Stacks: []spanstore.Stack{{Frames: hashing, Samples: 5}}},
		3: {TraceID: traceID(3), SpanID: spanKey64(3).spanID(), LateSamples: 7},
		5: {TraceID: traceID(5), SpanID: spanKey64(5).spanID(), Samples: 2, CPU: 30 * time.Millisecond},
	}
	if len(got.usage) != len(want) {
		t.Errorf("got usage of %d spans; want %d", len(got.usage), len(want))
	}
	for _, u := range got.usage {
		if w := want[keyOf(u.SpanID)]; !reflect.DeepEqual(u, w) {
			t.Errorf("span %s: got %+v; want %+v", u.SpanID, u, w)
		}
	}
}
