//go:build !linux

package exectrace

// ThreadClock reads the CPU time of the process's threads, where the system
// tells: not here. Running then counts as CPU time.
type ThreadClock struct{}

// Log does nothing here.
func (c *ThreadClock) Log() {}

// Close does nothing here.
func (c *ThreadClock) Close() {}
