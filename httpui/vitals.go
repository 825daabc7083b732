package httpui

import (
	"context"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// vitalsJSON are the store's and the profiler's own figures.
type vitalsJSON struct {
	Now      string        `json:"now"`
	Build    buildJSON     `json:"build"`
	Store    storeJSON     `json:"store"`
	Ring     ringJSON      `json:"ring"`
	Runs     []runJSON     `json:"runs"` // that wrote what the store has, oldest first
	Profiler profilerJSON  `json:"profiler"`
	Sampling samplingJSON  `json:"sampling"`
	Signals  signalSetJSON `json:"signals"`
	Problems []string      `json:"problems"`
}

type buildJSON struct {
	Go         string `json:"go"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	Spanclock  string `json:"spanclock"`
	Main       string `json:"main"`
	Revision   string `json:"revision"`
	Format     int    `json:"store_format"`
}

// ringJSON is all that a store says of itself beyond storeJSON.
type ringJSON struct {
	Dir             string           `json:"dir"`
	Blocks          int64            `json:"blocks"`
	Segments        int              `json:"segments"`
	Oldest          string           `json:"oldest"`
	DamagedBytes    int64            `json:"damaged_bytes"`
	DamagedSegments int64            `json:"damaged_segments"`
	MemoryBytes     int64            `json:"memory_bytes"`
	MaxMemory       int64            `json:"max_memory"`
	Accepted        int64            `json:"accepted"`
	Durable         int64            `json:"durable"`
	Queued          int64            `json:"queued"`
	Dropped         map[string]int64 `json:"dropped"`
	Lost            int64            `json:"lost"`
	Clipped         int64            `json:"clipped"`
	RedactFailed    int64            `json:"redact_failed"`
	UsageDropped    int64            `json:"usage_dropped"`
	EvictedSegments int64            `json:"evicted_segments"`
	LastEviction    *evicted         `json:"last_eviction"` // null when none is known
	KeptTraces      int              `json:"kept_traces"`
	KeptSpans       int64            `json:"kept_spans"`
	KeptBytes       int64            `json:"kept_bytes"`
	Commits         int64            `json:"commits"`
	WrittenBytes    int64            `json:"written_bytes"`
}

type runJSON struct {
	ID       string `json:"id"`
	PID      int    `json:"pid"`
	Go       string `json:"go"`
	Path     string `json:"path"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Start    string `json:"start"`
	This     bool   `json:"this"`
}

// samplingJSON is what the CPU profile windows gave.
type samplingJSON struct {
	CoveredUntil   string `json:"covered_until"`
	Windows        int64  `json:"windows"`
	Holes          int64  `json:"holes"`
	Samples        int64  `json:"samples"`
	Labeled        int64  `json:"labeled"`
	Late           int64  `json:"late"`
	Unattributed   int64  `json:"unattributed"`
	Own            int64  `json:"own"`
	LiveSpans      int    `json:"live_spans"`
	DroppedSpans   int64  `json:"dropped_spans"`
	AgedSpans      int64  `json:"aged_spans"`
	CoveredNS      int64  `json:"covered_ns"`
	MissedNS       int64  `json:"missed_ns"`
	LostNS         int64  `json:"lost_ns"`
	LabelsReadable bool   `json:"labels_readable"`
	Errors         int64  `json:"errors"`
	Panics         int64  `json:"panics"`
	LastError      string `json:"last_error"`
}

// signalSetJSON names the figures of the process that are read, and says why others
// are not.
type signalSetJSON struct {
	Known   []string `json:"known"`
	Missing []string `json:"missing"`
}

func (h *handler) serveHealth(w *response) {
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	v := h.vitals(w.r.Context())
	if w.form == formJSON {
		w.json(http.StatusOK, v)
		return
	}
	w.text(http.StatusOK, vitalsText(v))
}

// vitals never fails: what cannot be told is a problem among others.
func (h *handler) vitals(ctx context.Context) vitalsJSON {
	st := h.opts.Profiler.Stats()
	v := vitalsJSON{
		Now: formatTime(time.Now()), Build: newBuild(), Store: h.health(), Ring: ringJSON{Dropped: map[string]int64{}}, Runs: []runJSON{},
		Profiler: newProfiler(h.opts.Profiler, st), Sampling: newSampling(st),
		Signals:  signalSetJSON{append([]string{}, st.Signals...), append([]string{}, st.MissingSignals...)},
		Problems: []string{},
	}
	if h.store == nil {
		return v
	}
	s := h.store.Stats()
	v.Ring, v.Build.Revision = newRing(s), s.Run.Revision
	runs, err := h.store.Runs(ctx)
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
	}
	for _, r := range runs[max(0, len(runs)-20):] {
		v.Runs = append(v.Runs, runJSON{r.ID, r.PID, r.GoVersion, r.Path, r.Version, r.Revision, formatTime(r.Start), r.ID == s.Run.ID})
	}
	return v
}

func newBuild() buildJSON {
	b := buildJSON{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, GOMAXPROCS: runtime.GOMAXPROCS(0), Format: spanstore.Format}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	const module = "github.com/spanclock/spanclock"
	b.Main = strings.TrimSpace(info.Main.Path + " " + info.Main.Version)
	if info.Main.Path == module {
		b.Spanclock = info.Main.Version
	}
	if i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module }); i >= 0 {
		b.Spanclock = info.Deps[i].Version
	}
	return b
}

func newRing(s spanstore.Stats) ringJSON {
	r := ringJSON{
		Dir: s.Dir, Blocks: s.Blocks, Segments: s.Segments, DamagedBytes: s.DamagedBytes, DamagedSegments: s.DamagedSegments,
		MemoryBytes: s.MemoryBytes, MaxMemory: s.MaxMemory, Accepted: s.Accepted, Durable: s.Durable, Queued: s.Queued,
		Dropped: map[string]int64{"queue": s.DroppedQueue, "disk": s.DroppedDisk, "broken": s.DroppedBroken, "closed": s.DroppedClosed},
		Lost:    s.Lost, Clipped: s.Clipped, RedactFailed: s.RedactFailed, UsageDropped: s.UsageDropped, EvictedSegments: s.EvictedSegments,
		KeptTraces: s.KeptTraces, KeptSpans: s.KeptSpans, KeptBytes: s.KeptBytes, Commits: s.Commits, WrittenBytes: s.WrittenBytes,
	}
	if e := s.LastEviction; !e.When.IsZero() {
		r.LastEviction = &evicted{formatTime(e.When), e.Why}
	}
	if !s.Oldest.IsZero() {
		r.Oldest = formatTime(s.Oldest)
	}
	return r
}

func newSampling(s profiler.Stats) samplingJSON {
	j := samplingJSON{
		Windows: s.Windows, Holes: s.Holes, Samples: s.Samples, Labeled: s.Labeled, Late: s.Late, Unattributed: s.Unattributed, Own: s.Own,
		LiveSpans: s.LiveSpans, DroppedSpans: s.DroppedSpans, AgedSpans: s.AgedSpans, CoveredNS: int64(s.Covered), MissedNS: int64(s.Missed), LostNS: int64(s.Lost),
		LabelsReadable: s.LabelsReadable, Errors: s.Errors, Panics: s.Panics, LastError: s.LastError,
	}
	if !s.CoveredUntil.IsZero() {
		j.CoveredUntil = formatTime(s.CoveredUntil)
	}
	return j
}
