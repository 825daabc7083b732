package measure

import (
	"bytes"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessCPU returns the CPU time, user and system, of all threads.
func ProcessCPU() time.Duration {
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
	return strings.TrimSuffix(kind[int64(st.Type)]+", "+kernel(), ", ")
}

// kernel names the kernel and ends with ", "; empty when it is not known.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return "kernel " + unix.ByteSliceToString(u.Release[:]) + ", "
}

// ThreadTimes returns the CPU time of each thread of the process, by its id.
func ThreadTimes() map[string]time.Duration {
	times := map[string]time.Duration{}
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/schedstat")
		ran, _, _ := bytes.Cut(b, []byte{' '})
		if ns, err := strconv.ParseInt(string(ran), 10, 64); err == nil {
			times[t.Name()] = time.Duration(ns)
		}
	}
	return times
}

// ThreadCPU returns the CPU time of the calling thread, to which the goroutine
// must be locked.
func ThreadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// BurnCPU uses about d of CPU time on this thread and returns how much.
func BurnCPU(d time.Duration) time.Duration {
	begin := ThreadCPU()
	x := uint64(1)
	for {
		for range 2_000 { // some 3 µs
			x = x*6364136223846793005 + 1442695040888963407
		}
		if used := ThreadCPU() - begin; used >= d {
			runtime.KeepAlive(x)
			return used
		}
	}
}
