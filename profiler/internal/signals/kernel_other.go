//go:build !linux

package signals

import "runtime"

// kernelSources has none: only Linux tells a process how it was scheduled.
func kernelSources(string) ([]source, []string) {
	return nil, []string{"run delay, throttling, pressure and steal are unsupported on " + runtime.GOOS}
}
