package spanstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Run describes one process that wrote to a store. Every segment names the runs
// that wrote into it.
type Run struct {
	// ID is unique for each Open.
	ID string `json:"id"`

	// FirstBlock is the number of the first block of the run in its segment.
	FirstBlock uint64 `json:"first_block"`

	PID       int    `json:"pid"`
	GoVersion string `json:"go"`

	// Path and Version name the main module, Revision its version control
	// revision with "+dirty" behind it when files were changed, as far as the
	// build recorded them.
	Path     string `json:"path,omitempty"`
	Version  string `json:"version,omitempty"`
	Revision string `json:"revision,omitempty"`

	// Start is the wall-clock time of Open. Monotonic is the reading of the
	// process's monotonic clock at that moment, counted from an instant early
	// in the process.
	Start     time.Time     `json:"start"`
	Monotonic time.Duration `json:"monotonic"`
}

// processStart anchors the monotonic clock readings of this process's runs.
var processStart = time.Now()

func newRun() Run {
	now := time.Now()
	r := Run{
		ID: rand.Text(), PID: os.Getpid(), GoVersion: runtime.Version(),
		Start: now.UTC(), Monotonic: now.Sub(processStart),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		r.Path, r.Version = info.Main.Path, info.Main.Version
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				r.Revision = s.Value + r.Revision
			case s.Key == "vcs.modified" && s.Value == "true":
				r.Revision += "+dirty"
			}
		}
	}
	return r
}

func (r Run) encode() []byte {
	b, _ := json.Marshal(r) // strings, numbers and a time of this century always encode
	return b
}

func decodeRun(b []byte) (r Run, err error) {
	err = json.Unmarshal(bytes.TrimSpace(b), &r)
	return r, err
}

// Runs returns the processes that wrote what the store holds, oldest first, this
// one included once it has written.
func (s *Store) Runs(ctx context.Context) ([]Run, error) {
	if s == nil {
		return nil, nil
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var runs []Run
	seen := map[segment]bool{}
	known := map[string]bool{}
	for _, info := range append(sn.infos, sn.usage...) {
		seg, ok := info.seg.(interface{ runs() ([]Run, error) }) // one in memory has none
		if !ok || seen[info.seg] {
			continue
		}
		seen[info.seg] = true
		of, err := seg.runs()
		if err != nil {
			if errors.Is(err, errGone) {
				continue
			}
			return runs, fmt.Errorf("read the runs of segment %d: %w", info.seg.number(), err)
		}
		for _, r := range of {
			if !known[r.ID] {
				known[r.ID] = true
				runs = append(runs, r)
			}
		}
	}
	slices.SortStableFunc(runs, func(a, b Run) int { return a.Start.Compare(b.Start) })
	return runs, nil
}

// revisions tells which build's process wrote a block.
type revisions struct {
	sn *snapshot

	mu   sync.Mutex // guards runs
	runs map[segment][]Run
}

// of returns the revision of the build that wrote the block, this process's own
// for one that is in memory; empty when that is not known. Copies of kept traces
// do not tell.
func (r *revisions) of(info *blockInfo) string {
	if info == nil {
		return r.sn.s.ring.run.Revision
	}
	seg, ok := info.seg.(interface{ runs() ([]Run, error) })
	switch {
	case info.kept:
		return ""
	case !ok: // a store in memory
		return r.sn.s.ring.run.Revision
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	runs, known := r.runs[info.seg]
	if !known {
		if r.runs == nil {
			r.runs = map[segment][]Run{}
		}
		runs, _ = seg.runs() // none when it is gone or damaged; its blocks say so
		r.runs[info.seg] = runs
	}
	revision := ""
	for _, run := range runs { // oldest first
		if run.FirstBlock <= info.seq {
			revision = run.Revision
		}
	}
	return revision
}
