package measure

import (
	"bytes"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func processCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func processWritten() (written, dirtied int64) {
	return field("/proc/self/io", "wchar:"), field("/proc/self/io", "write_bytes:")
}

func anonymous() int64 { return field("/proc/self/status", "RssAnon:") << 10 }

// field returns the number behind a name in a file of /proc.
func field(path, name string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			n, _ := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return n
		}
	}
	return 0
}

func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return fi.Size()
}

// dropCache writes the file out first: dirty pages stay.
func dropCache(f *os.File) bool {
	return unix.Fdatasync(int(f.Fd())) == nil && unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) == nil
}

// Disk names the kernel and the kind of file system that dir is on.
func Disk(dir string) string {
	kind := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.TMPFS_MAGIC: "tmpfs (no disk)", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "unknown disk"
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return kind[int64(st.Type)]
	}
	return kind[int64(st.Type)] + ", kernel " + unix.ByteSliceToString(u.Release[:])
}
