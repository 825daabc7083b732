package spanstore

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes the file's lock for this process, and reports whether it could.
// The byte that is locked lies far behind the text in the file, which others
// must be able to read.
func tryLock(f *os.File) (bool, error) {
	at := &windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// heldByWriter reports whether another process, or another part of this one,
// has the segment file locked as bbolt locks what it writes: its last byte.
func heldByWriter(f *os.File) bool {
	last := &windows.Overlapped{Offset: 0xffffffff, OffsetHigh: 0xffffffff}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, last)
	if err != nil {
		return errors.Is(err, windows.ERROR_LOCK_VIOLATION)
	}
	_ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, last) // closing it would do the same
	return false
}
