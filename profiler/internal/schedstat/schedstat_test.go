package schedstat

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func write(t *testing.T, dir string, id int, text string) {
	t.Helper()
	dir = filepath.Join(dir, fmt.Sprint(id))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "schedstat"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRead: more threads than files stay open are all read, time and again, and
// what cannot be read is no thread.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	for id := 1; id <= 5; id++ {
		write(t, dir, id, fmt.Sprintf("%d %d 7\n", 1000*id, id))
	}
	r := New(dir, 3)
	defer r.Close()
	ids := r.List()
	slices.Sort(ids)
	if !slices.Equal(ids, []int{1, 2, 3, 4, 5}) {
		t.Errorf("got threads %v; want 1 to 5", ids)
	}
	for range 2 {
		for _, id := range ids {
			if cpu, delay, ok := r.Read(id); !ok || cpu != int64(1000*id) || delay != int64(id) {
				t.Errorf("thread %d: got %d, %d, %v", id, cpu, delay, ok)
			}
		}
	}
	if len(r.open) != 3 {
		t.Errorf("got %d files open; want 3", len(r.open))
	}
	if err := os.Truncate(filepath.Join(dir, "1", "schedstat"), 0); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int{1, 6} {
		if _, _, ok := r.Read(id); ok {
			t.Errorf("thread %d has ended; got figures of it", id)
		}
	}
	write(t, dir, 7, "nonsense here")
	if _, _, ok := r.Read(7); ok {
		t.Error("got figures of nonsense")
	}
	if got := New(filepath.Join(dir, "nowhere"), 1).List(); got != nil {
		t.Errorf("got threads %v of no directory", got)
	}
}
