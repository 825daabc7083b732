package spanstore

import (
	"errors"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles bounds the size of every file that this process writes.
func limitFiles(bytes string) error {
	n, err := strconv.ParseUint(bytes, 10, 64)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ) // writes then fail with EFBIG
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	l.Cur = min(n, l.Max)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &l)
}

// The disk fills up under a running service, and gets room again: drops are
// counted, the service goes on, writing resumes. Where no small file system can
// be mounted, a limit on the size of files stands in for it.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Logf("no file system can be mounted (%v): files are limited instead", err)
		littleRoom(t, filepath.Join(dir, "store"),
			func(say func(string) string) { say("limit 300000") }, func(say func(string) string) { say("limit 1000000000") })
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	littleRoom(t, filepath.Join(dir, "store"), func(func(string) string) {}, func(func(string) string) {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=40m"); err != nil {
			t.Fatal(err)
		}
	})
}

// The stand-in, wherever.
func TestFilesLimited(t *testing.T) {
	littleRoom(t, filepath.Join(t.TempDir(), "store"),
		func(say func(string) string) { say("limit 300000") }, func(say func(string) string) { say("limit 1000000000") })
}
