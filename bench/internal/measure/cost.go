// Package measure holds what the benchmarks have in common: the meters,
// the work that every store is given, and spanclock's store as one of those
// that do it.
package measure

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Cost is what this process has used up so far; of two readings the difference
// is what lay between them.
type Cost struct {
	CPU     time.Duration // user and system, all threads
	Mallocs uint64        // heap objects allocated

	// Bytes handed to write calls, and bytes of the page cache made dirty
	// whether by calls or through a map; 0 where that is not known. The second
	// counts too much where the file system caches files in large folios: the
	// whole folio is counted for the one page of it that reaches the disk.
	Written, Dirtied int64
}

// Spent returns the process's cost up to now.
func Spent() Cost {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c := Cost{CPU: ProcessCPU(), Mallocs: m.Mallocs}
	c.Written, c.Dirtied = processWritten()
	return c
}

// Since returns the cost between two readings.
func (c Cost) Since(before Cost) Cost {
	return Cost{c.CPU - before.CPU, c.Mallocs - before.Mallocs, c.Written - before.Written, c.Dirtied - before.Dirtied}
}

// Add returns the sum of two costs.
func (c Cost) Add(o Cost) Cost {
	return Cost{c.CPU + o.CPU, c.Mallocs + o.Mallocs, c.Written + o.Written, c.Dirtied + o.Dirtied}
}

// Memory is what this process holds now, after a collection.
type Memory struct {
	Heap      int64 // Go's heap in use
	Anonymous int64 // resident memory of no file; 0 where that is not known
}

// Held returns the process's memory.
func Held() Memory {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{int64(m.HeapInuse), anonymous()}
}

// DirBytes is the sum of the sizes of all files below dir, and of the room that
// the file system gave them, which differs for files with holes.
func DirBytes(dir string) (size, room int64) {
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // a file may go while we look
		}
		if fi, err := e.Info(); err == nil {
			size += fi.Size()
			room += allocated(fi)
		}
		return nil
	})
	return size, room
}

// Chill drops the files below dir from the page cache, as far as nobody maps
// them, and reports whether that can be done here.
func Chill(dir string) bool {
	cold := true
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		cold = dropCache(f) && cold
		return nil
	})
	return cold
}

// Quantile returns the value below which the share q of the values lies; 0 for
// none. It sorts them.
func Quantile[T time.Duration | float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(q*float64(len(values))))]
}
