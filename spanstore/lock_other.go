//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package spanstore

import "os"

// tryLock leaves it to bbolt to lock the segment that is written.
func tryLock(*os.File) (bool, error) { return true, nil }
