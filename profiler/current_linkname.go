//go:build !spanclock_nolinkname

package profiler

import "unsafe"

// getProfLabel reads the labels of the running goroutine in 3.4 ns. There is no
// public getter. runtime/proflabel.go lists the function as one that may not be
// removed or change its signature (https://go.dev/issue/67401).
//
//go:linkname getProfLabel runtime/pprof.runtime_getProfLabel
func getProfLabel() unsafe.Pointer

// goroutineLabels returns the labels of the calling goroutine.
func goroutineLabels() any {
	if p := getProfLabel(); p != nil {
		return labelsAt(p)
	}
	return nil
}
