package spanstore

import (
	"testing"
	"time"
)

// left makes an entry of n fingerprints from a number on.
func left(when time.Time, from, n int) evictedSegment {
	e := evictedSegment{when: when, why: "it was time"}
	for i := range n {
		e.traces = append(e.traces, uint32(from+i))
	}
	return e
}

// What an entry has beyond the log's bound is not known, and the log says so,
// whatever was in it before.
func TestEvictionsCutFromAnEntry(t *testing.T) {
	first := time.Unix(1000, 0)
	then := first.Add(time.Hour)
	l := evictions{max: 100}
	l.add(left(first, 0, 10))
	l.add(left(then, 1000, 150))
	if ev, ok := l.findPrint(1149); ok || !ev.Since.Equal(then) {
		t.Errorf("what was cut off: got %+v, %v; want it unknown and the log to reach back to %v", ev, ok, then)
	}
	if ev, ok := l.findPrint(1000); !ok || !ev.When.Equal(then) {
		t.Errorf("what was not: got %+v, %v; want it at %v", ev, ok, then)
	}
	if _, ok := l.findPrint(0); ok {
		t.Error("an entry is known that left before the log begins")
	}
	l.add(left(then.Add(time.Hour), 5000, 1))
	if ev, _ := l.findPrint(1149); !ev.Since.Equal(then) {
		t.Errorf("after another entry the log reaches back to %v; want %v", ev.Since, then)
	}
}

// Entries of one trace each take more than the trace: the log is bounded all the
// same, also when it comes from a store with a greater bound.
func TestEvictionsOfFewTraces(t *testing.T) {
	begin := time.Unix(1000, 0)
	large := evictions{max: 1 << 20}
	for i := range 10_000 {
		large.add(left(begin.Add(time.Duration(i)*time.Second), i, 1))
	}
	small := evictions{max: 3300}
	small.decode(large.encode(), begin)
	for _, l := range []*evictions{&large, &small} {
		// A time, two headers and the reason's text.
		if held := int64(len(l.entries)) * (72 + 32 + 4); held > l.memory() {
			t.Errorf("%d entries take %d bytes; want %d at most", len(l.entries), held, l.memory())
		}
	}
	if len(small.entries) != 100 {
		t.Fatalf("the small log has %d entries; want the last 100", len(small.entries))
	}
	if ev, ok := small.findPrint(9899); ok || !ev.Since.Equal(begin.Add(9899*time.Second)) {
		t.Errorf("the newest that it lost: got %+v, %v", ev, ok)
	}
	if _, ok := small.findPrint(9900); !ok {
		t.Error("the oldest that it has is not found")
	}
}
