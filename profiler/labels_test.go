package profiler

import (
	"context"
	"maps"
	"reflect"
	"runtime/pprof"
	"testing"
	"unsafe"
)

// labelsIn returns what runtime/pprof itself finds in labels.
func labelsIn(labels any) map[string]string {
	got := map[string]string{}
	pprof.ForLabels(&labelCtx{labels}, func(key, value string) bool {
		got[key] = value
		return true
	})
	return got
}

// Sets made in place say the same as those of the public functions.
func TestLabelSets(t *testing.T) {
	if _, err := learnLabels(); err != nil {
		t.Fatal(err)
	}
	if !direct {
		t.Error("got a layout of labels that is not understood; the public functions serve, at three times the cost")
	}
	defer func(was bool) { direct = was }(direct)
	with := func(args ...string) any {
		return pprof.WithLabels(context.Background(), pprof.Labels(args...)).Value(labelKey)
	}
	span := spanKey64(0xab)
	for _, fast := range []bool{direct, false} {
		direct = fast
		for _, tt := range []struct{ have, want map[string]string }{
			{nil, map[string]string{"span_id": span.hex()}},
			{map[string]string{"span_id": "0000000000000001"}, map[string]string{"span_id": span.hex()}},
			{map[string]string{"a": "1", "z": "2"}, map[string]string{"a": "1", "span_id": span.hex(), "z": "2"}},
			{map[string]string{"a": "1", "span_id": "x", "z": "2"}, map[string]string{"a": "1", "span_id": span.hex(), "z": "2"}},
		} {
			var args []string
			for k, v := range tt.have {
				args = append(args, k, v)
			}
			var have any
			if len(args) > 0 {
				have = with(args...)
			}
			got := withSpan(have, span)
			if !maps.Equal(labelsIn(got), tt.want) {
				t.Errorf("in place %v: got %v from %v and a span; want %v", fast, labelsIn(got), tt.have, tt.want)
			}
			f := &frame{key: span, before: labelCtx{have}}
			new(shard).label(f)
			if !maps.Equal(labelsIn(f.labels), tt.want) {
				t.Errorf("in place %v: got tag %v on %v; want %v", fast, labelsIn(f.labels), tt.have, tt.want)
			}
			if k, ok := spanOf(f.labels); k != span || !ok {
				t.Errorf("in place %v: got span %x, %v from a tag; want %x", fast, k, ok, span)
			}
			delete(tt.want, "span_id")
			if got := labelsIn(withoutSpan(f.labels)); !maps.Equal(got, tt.want) {
				t.Errorf("in place %v: got %v without the span; want %v", fast, got, tt.want)
			}
		}
	}
}

// A tag is told from sets that have its label, or a copy of it.
func TestTagOf(t *testing.T) {
	if _, err := learnLabels(); err != nil || !direct {
		t.Fatalf("labels cannot be made in place (%v)", err)
	}
	f := &frame{key: 1}
	new(shard).label(f)
	if got := tagOf(f.labels); got == nil || got.frame.Load() != f {
		t.Errorf("got tag %v; want that of the frame", got)
	}
	list := listOf(f.labels)
	do := func(rest ...string) any {
		return pprof.WithLabels(&labelCtx{f.labels}, pprof.Labels(rest...)).Value(labelKey)
	}
	for name, labels := range map[string]any{
		"none":            nil,
		"merged":          do("a", "1"),
		"merged with nil": do(),
		"copied":          labelsOf([]labelPair{{spanKey, list[0].value}}),
		"of its strings":  labelsOf([]labelPair{{spanKey, spanKey64(1).hex()}}),
		"empty":           labelsAt(unsafe.Pointer(&labelSet{})),
	} {
		if got := tagOf(labels); got != nil {
			t.Errorf("%s: got tag %v; want none", name, got)
		}
	}
}

func TestLayoutOfLabels(t *testing.T) {
	type entry struct{ Key, Value string }
	for _, tt := range []struct {
		v    any
		want bool
	}{
		{&struct{ List []entry }{}, true},
		{&struct{ Set struct{ List []entry } }{}, true},
		{&map[string]string{}, false},
		{&struct {
			N    int
			List []entry
		}{}, false},
		{&struct{ List []struct{ Value, Key string } }{}, false},
		{struct{ List []entry }{}, false},
	} {
		if got := laidOutAsLabelSet(reflect.TypeOf(tt.v)); got != tt.want {
			t.Errorf("%T: got %v; want %v", tt.v, got, tt.want)
		}
	}
}
