//go:build !spanclock_nolinkname

package profiler

import "unsafe"

// getProfLabel reads the labels of the running goroutine in 3.4 ns. There is no
// public getter. runtime/proflabel.go lists the function as one that may not be
// removed or change its signature (https://go.dev/issue/67401). Its result is
// compared and handed back to runtime/pprof, never looked into.
//
//go:linkname getProfLabel runtime/pprof.runtime_getProfLabel
func getProfLabel() unsafe.Pointer

// labelsOfType is some labels as runtime/pprof keeps them in a context; its
// type is what the getter's bare pointer lacks.
var labelsOfType any

// prepareGoroutineLabels reports whether goroutineLabels can be relied on,
// given the labels that were just set on the calling goroutine.
func prepareGoroutineLabels(set any) bool {
	if getProfLabel() == nil {
		return false
	}
	labelsOfType = set
	return goroutineLabels() == set
}

// goroutineLabels returns the labels of the calling goroutine in the form of
// labelCtx.v, nil when it has none.
func goroutineLabels() any {
	p := getProfLabel()
	if p == nil {
		return nil
	}
	v := labelsOfType
	(*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1] = p // the interface's data word
	return v
}
