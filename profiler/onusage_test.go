package profiler_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// TestOnUsage is told what goes to the store; its panic stays here.
func TestOnUsage(t *testing.T) {
	var windows atomic.Int64
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	prof, err := profiler.Start(store, &profiler.Options{
		MinWindow: 100 * time.Millisecond,
		OnUsage: func(b spanstore.UsageBatch) {
			windows.Add(int64(len(b.Windows)))
			panic("the program's own")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := prof.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := prof.Stop(); err != nil {
		t.Error(err)
	}
	st := prof.Stats()
	if windows.Load() == 0 || st.Panics != windows.Load() || st.Windows != windows.Load() {
		t.Errorf("got %d windows told of, %d panics, %d windows stored; want as many of each", windows.Load(), st.Panics, st.Windows)
	}
}
