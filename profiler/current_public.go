//go:build spanclock_nolinkname

package profiler

// goroutineLabels is never the labels of the calling goroutine: the public API
// sets them but does not tell them.
func goroutineLabels() any { return nil }
