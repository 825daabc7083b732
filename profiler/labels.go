package profiler

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// spanKey is the one label that a span puts on its goroutine. It holds the
// span id in hex, never a name or an URL: from Go 1.27 on tracebacks print
// goroutine labels. Pyroscope, Grafana and the OpenTelemetry eBPF profiler
// read the same key.
const spanKey = "span_id"

// ownKey labels the profiler's own goroutines, so that what they burn is not
// taken for anybody's span.
const ownKey = "spanclock"

// ownProfiler is its value on them; the store's goroutines have another.
// ownExact stands on those of the exact level, which has a budget of its own.
const (
	ownProfiler = "profiler"
	ownExact    = "exact"
)

// labelPair and labelSet have the layout of runtime/pprof's own, which learnLabels
// makes sure of before direct is set.
type labelPair struct{ key, value string }

type labelSet struct{ list []labelPair }

// A set of goroutine labels is passed around as what runtime/pprof keeps in a
// context: a pointer in an interface, nil for no labels. Two sets are the same
// when these are equal.
var (
	// labelKey is the key under which runtime/pprof keeps labels in a context.
	labelKey any

	// labelsOfType is some labels; its type is what a bare pointer to others
	// lacks.
	labelsOfType any

	// direct says that sets of labels are laid out as labelSet is, so that they
	// can be read and made in place: 2 allocations a span instead of 6. Otherwise
	// the public functions do it.
	direct bool
)

// learnLabels finds out how this Go version keeps goroutine labels, once and
// before the first frame is made, and reports whether those of the running
// goroutine can be read. It fails when runtime/pprof no longer keeps labels in
// the context's values.
var learnLabels = sync.OnceValues(func() (readable bool, err error) {
	probe := &keyProbe{Context: context.Background()}
	pprof.Label(probe, spanKey)
	sample := pprof.WithLabels(context.Background(), pprof.Labels(ownKey, "probe"))
	if probe.key == nil || sample.Value(probe.key) == nil {
		return false, fmt.Errorf("%w (%s)", errLabels, runtime.Version())
	}
	if !isPointer(sample.Value(probe.key)) {
		return false, fmt.Errorf("%w (%s)", errLabels, runtime.Version())
	}
	labelKey, labelsOfType = probe.key, sample.Value(probe.key)
	direct = laidOutAsLabelSet(reflect.TypeOf(labelsOfType))

	// What the getter returns must be what was set, or it is not used at all.
	// The trial runs on a goroutine of its own, which takes its labels along.
	verdict := make(chan bool)
	go func() {
		same := false
		defer func() {
			_ = recover() // nor is it when the comparison fails
			verdict <- same
		}()
		pprof.SetGoroutineLabels(sample)
		same = goroutineLabels() == labelsOfType
	}()
	return <-verdict, nil
})

// isPointer reports whether labels are a pointer: others are made from an address
// and compared with ==, which panics for a slice or a map.
func isPointer(labels any) bool { return reflect.TypeOf(labels).Kind() == reflect.Pointer }

var errLabels = errors.New("this Go version keeps goroutine labels in a way that is not understood; a newer spanclock may")

// keyProbe is a context that notes the key it is asked for.
type keyProbe struct {
	context.Context
	key any
}

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

// laidOutAsLabelSet reports whether t points to a slice of pairs of strings,
// however many structs that is wrapped in.
func laidOutAsLabelSet(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer {
		return false
	}
	t = t.Elem()
	for t.Kind() == reflect.Struct && t.NumField() == 1 {
		t = t.Field(0).Type
	}
	if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Struct || t.Elem().NumField() != 2 {
		return false
	}
	key, value := t.Elem().Field(0), t.Elem().Field(1)
	return key.Name == "Key" && key.Type.Kind() == reflect.String &&
		value.Name == "Value" && value.Type.Kind() == reflect.String
}

// labelCtx is a set of goroutine labels in the only form in which runtime/pprof
// takes one: a context. It carries nothing else, so it keeps nothing alive.
type labelCtx struct{ v any }

func (c *labelCtx) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *labelCtx) Done() <-chan struct{}       { return nil }
func (c *labelCtx) Err() error                  { return nil }

func (c *labelCtx) Value(key any) any {
	if key == labelKey {
		return c.v
	}
	return nil
}

// labelsAt returns the set of labels at p in the form that contexts have.
func labelsAt(p unsafe.Pointer) any {
	v := labelsOfType
	(*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1] = p // the interface's data word
	return v
}

// addressOf is the inverse of labelsAt.
func addressOf(labels any) unsafe.Pointer {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&labels))[1]
}

// listOf returns what is in labels, sorted by key; read only.
func listOf(labels any) (list []labelPair) {
	if labels == nil {
		return nil
	}
	if direct {
		return (*labelSet)(addressOf(labels)).list
	}
	pprof.ForLabels(&labelCtx{labels}, func(key, value string) bool {
		list = append(list, labelPair{key, value})
		return true
	})
	return list
}

// labelsOf returns list as labels. The caller lets go of it.
func labelsOf(list []labelPair) any {
	switch {
	case len(list) == 0:
		return nil
	case direct:
		return labelsAt(unsafe.Pointer(&labelSet{list}))
	}
	var args []string
	for _, l := range list {
		args = append(args, l.key, l.value)
	}
	return pprof.WithLabels(context.Background(), pprof.Labels(args...)).Value(labelKey)
}

// withLabel returns a copy of list with l, which replaces one of the same key.
func withLabel(list []labelPair, l labelPair) []labelPair {
	at, found := slices.BinarySearchFunc(list, l.key, func(l labelPair, key string) int { return strings.Compare(l.key, key) })
	merged := make([]labelPair, 0, len(list)+1)
	merged = append(append(merged, list[:at]...), l)
	if found {
		at++
	}
	return append(merged, list[at:]...)
}

// withSpan returns labels and the span label, which replaces one that is there.
func withSpan(labels any, span spanKey64) any {
	return labelsOf(withLabel(listOf(labels), labelPair{spanKey, span.hex()}))
}

// withoutSpan returns labels without the span label; nil when none is left.
func withoutSpan(labels any) any {
	return labelsOf(slices.DeleteFunc(slices.Clone(listOf(labels)), func(l labelPair) bool { return l.key == spanKey }))
}

// spanOf returns the span that labels name.
func spanOf(labels any) (spanKey64, bool) {
	for _, l := range listOf(labels) {
		if l.key == spanKey {
			return parseKey(l.value)
		}
	}
	return 0, false
}
