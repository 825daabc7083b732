package profiler

import (
	"context"
	"sync/atomic"
	"time"
	"unsafe"
)

// tag is the set of labels that a span puts on its goroutine, made in one piece
// with what it says. Goroutines that were created in the span keep it for as
// long as they run, and CPU profiles until they are written: it never changes
// and is never used again, and it lets go of the frame when the span ends. As a
// context it is what pprof.SetGoroutineLabels takes.
type tag struct {
	set labelSet     // first: a pointer to it is a pointer to the tag
	own [1]labelPair // what set lists, unless there are other labels too
	hex [16]byte     // the span label's value

	// frame is that of the span, nil when that is over.
	frame atomic.Pointer[frame]
}

var _ context.Context = (*tag)(nil)

// label makes t the labels of f's span, beside those that were there before.
func (t *tag) label(f *frame) {
	f.key.putHex(&t.hex)
	l := labelPair{spanKey, unsafe.String(&t.hex[0], len(t.hex))}
	if before := listOf(f.before.v); len(before) == 0 || len(before) == 1 && before[0].key == spanKey {
		t.own[0] = l
		t.set.list = t.own[:]
	} else {
		t.set.list = withLabel(before, l)
	}
	t.frame.Store(f)
}

// tagOf returns the tag that labels are, and nil when they are something else,
// as a set that was made from a tag's and other labels is.
//
// In a tag the span's label, with a key that is the constant of this very
// package, has its value at a fixed distance from the set. A set elsewhere may
// share the label but is at another distance from it.
func tagOf(labels any) *tag {
	if labels == nil || !direct {
		return nil
	}
	at := addressOf(labels)
	for i := range (*labelSet)(at).list {
		l := &(*labelSet)(at).list[i]
		if unsafe.StringData(l.key) != unsafe.StringData(spanKey) || len(l.value) != 16 {
			continue
		}
		if uintptr(unsafe.Pointer(unsafe.StringData(l.value))) == uintptr(at)+unsafe.Offsetof(tag{}.hex) {
			return (*tag)(at)
		}
		return nil
	}
	return nil
}

// labels returns t in the form that contexts have.
func (t *tag) labels() any { return labelsAt(unsafe.Pointer(t)) }

func (t *tag) Deadline() (time.Time, bool) { return time.Time{}, false }
func (t *tag) Done() <-chan struct{}       { return nil }
func (t *tag) Err() error                  { return nil }

func (t *tag) Value(key any) any {
	if key == labelKey {
		return t.labels()
	}
	return nil
}
