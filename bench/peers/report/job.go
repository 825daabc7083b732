package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/bench/internal/workload"
	"github.com/spanclock/spanclock/bench/peers"
	"github.com/spanclock/spanclock/spanstore"
)

// job is one measurement, done by a process of its own that prints its figures
// as JSON.
type job struct {
	Phase, Store string
	Seed         uint64
	N, Rate      int
	On           string // another directory than the store's usual one
}

func (j *job) flags() {
	flag.StringVar(&j.Phase, "phase", "", "(for the processes that this one starts)")
	flag.StringVar(&j.Store, "store", "spanclock", "(likewise)")
	flag.Uint64Var(&j.Seed, "seed", 1, "(likewise)")
	flag.IntVar(&j.N, "n", 0, "(likewise)")
	flag.IntVar(&j.Rate, "rate", 0, "(likewise)")
	flag.StringVar(&j.On, "on", "", "(likewise)")
}

func (j *job) args(c config) []string {
	return []string{
		"-phase", j.Phase, "-store", j.Store, "-seed", fmt.Sprint(j.Seed), "-n", fmt.Sprint(j.N), "-rate", fmt.Sprint(j.Rate), "-on", j.On,
		"-dir", c.dir, "-kept", fmt.Sprint(c.kept), "-ring", fmt.Sprint(c.ring >> 20), "-wraps", fmt.Sprint(c.wraps),
		"-window", c.window.String(), fmt.Sprintf("-mixed=%v", c.mixed),
	}
}

// figures are a measurement's results by name.
type figures map[string]float64

// do does the job and prints its figures.
func (j *job) do(c config) error {
	f, err := j.measure(c)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

func (j *job) measure(c config) (figures, error) {
	do := map[string]func(config) (figures, error){
		"workload": j.workload, "pool": j.pool, "wrap": j.wrap, "write": j.write, "warm": j.warm, "cold": j.cold,
		"memory": j.memory, "disk": j.disk, "trickle": j.trickle, "onend": j.onEnd,
	}[j.Phase]
	if do == nil {
		return nil, fmt.Errorf("no such phase")
	}
	return do(c)
}

func (j *job) dir(c config) string {
	if j.On != "" {
		return j.On
	}
	return filepath.Join(c.dir, j.Store)
}

func (j *job) open(c config) (measure.Store, error) {
	dir := j.dir(c)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	switch j.Store {
	case "badger":
		return peers.OpenBadger(dir)
	case "sqlite":
		return peers.OpenSQLite(filepath.Join(dir, "spans.db"), int64(c.kept))
	}
	return measure.OpenSpanclock(dir, c.ring)
}

// spans returns a source of chunks. Each seed has a time of its own, one after
// the other, as the ring expects of time.
func (j *job) spans(c config) func(n int) []sdktrace.ReadOnlySpan {
	start := time.Now().Add(-time.Hour).Truncate(time.Hour).Add(time.Duration(j.Seed) * time.Minute)
	g := workload.New(j.Seed, start)
	return func(n int) []sdktrace.ReadOnlySpan {
		spans := g.Spans(n)
		if c.mixed {
			slices.SortStableFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return a.EndTime().Compare(b.EndTime()) })
		}
		return spans
	}
}

// workload measures the spans themselves.
func (j *job) workload(c config) (figures, error) {
	spans := j.spans(c)(measure.Chunk)
	var bytes, attributes int
	for at := 0; at < len(spans); at += measure.Batch {
		bytes += proto.Size(peers.Request(spans[at:min(at+measure.Batch, len(spans))]))
	}
	for _, s := range spans {
		attributes += len(s.Attributes())
	}
	n := float64(len(spans))
	return figures{"otlp": float64(bytes) / n, "attributes": float64(attributes) / n}, nil
}

// pool stores one chunk, for the floor to read.
func (j *job) pool(c config) (figures, error) {
	s, err := measure.OpenSpanclock(j.On, 64<<20)
	if err != nil {
		return nil, err
	}
	if err := s.Export(j.spans(c)(measure.Chunk)); err != nil {
		return nil, err
	}
	return figures{}, s.Close()
}

// wrap lets the ring go round and watches its directory. The same chunk is stored
// again and again, with new ids each time: making others would take most of the
// time.
func (j *job) wrap(c config) (figures, error) {
	s, err := measure.OpenSpanclock(j.dir(c), c.ring)
	if err != nil {
		return nil, err
	}
	chunk := j.spans(c)(measure.Chunk)
	most := make(chan int64)
	stop := make(chan struct{})
	go func() { most <- watch(j.dir(c), stop) }()
	var live []float64
	perSpan, segments, wraps := 0.0, int64(0), 0
	for pass := uint64(1); wraps < c.wraps; pass++ {
		spans := workload.Again(chunk, pass)
		for at := 0; at < len(spans); at += measure.Batch {
			if err := s.Export(spans[at:min(at+measure.Batch, len(spans))]); err != nil {
				return nil, err
			}
		}
		if err := s.Sync(); err != nil { // spans that wait in memory are no part of the budget
			return nil, err
		}
		st := s.Stats()
		segments = max(segments, int64(st.Segments))
		if st.EvictedSegments == 0 || perSpan == 0 { // later, copies of kept traces are written too
			perSpan = float64(st.WrittenBytes) / float64(st.Durable)
		}
		if wraps = int(st.EvictedSegments / segments); wraps > 0 {
			live = append(live, liveShare(st, perSpan, c.ring))
		}
	}
	close(stop)
	f := figures{
		"most": float64(<-most) / float64(c.ring), "live": measure.Quantile(live, 0.5), "least-live": measure.Quantile(live, 0),
		"segments": float64(segments),
	}
	return f, s.Close()
}

// liveShare is the part of the budget that holds spans: those of the ring take
// perSpan bytes each, the copies of kept traces what they take.
func liveShare(st spanstore.Stats, perSpan float64, ring int64) float64 {
	return (perSpan*float64(st.Spans-st.KeptSpans) + float64(st.KeptBytes)) / float64(ring)
}

// watch returns the most bytes that were ever seen in dir.
func watch(dir string, stop chan struct{}) (most int64) {
	for {
		select {
		case <-stop:
			return most
		case <-time.After(2 * time.Millisecond):
			size, room := measure.DirBytes(dir)
			most = max(most, size, room)
		}
	}
}

// write stores N spans as fast as they are taken. Closing counts: what a store
// puts off until then it has to do all the same.
func (j *job) write(c config) (figures, error) {
	s, err := j.open(c)
	if err != nil {
		return nil, err
	}
	next := j.spans(c)
	var ids []trace.TraceID
	w, err := measure.Write(s, j.N, func() []sdktrace.ReadOnlySpan {
		spans := next(measure.Chunk)
		ids = append(ids, workload.TraceIDs(spans)...)
		return spans
	})
	if err != nil {
		return nil, err
	}
	before := measure.Spent()
	if err := s.Close(); err != nil {
		return nil, err
	}
	w.Cost = w.Cost.Add(measure.Spent().Since(before))
	if err := j.remember(c, ids); err != nil {
		return nil, err
	}
	f := j.costs(w)
	f["wall"] = float64(w.Spans) / w.Wall.Seconds()
	return f, nil
}

// costs takes the bytes of write calls for what was written, but for badger,
// which writes through maps.
func (j *job) costs(w measure.Writing) figures {
	n, written := float64(w.Spans), float64(w.Cost.Written)
	if j.Store == "badger" {
		written = float64(w.Cost.Dirtied)
	}
	return figures{
		"rate": n / w.Cost.CPU.Seconds(), "mallocs": float64(w.Cost.Mallocs) / n,
		"amplification": written / float64(w.Payload), "bytes": written / w.Wall.Seconds(),
		"export-p50": measure.Quantile(w.Exports, 0.5).Seconds(), "export-p99": measure.Quantile(w.Exports, 0.99).Seconds(),
	}
}

// remember appends the ids of the traces that a store got.
func (j *job) remember(c config, ids []trace.TraceID) error {
	f, err := os.OpenFile(j.dir(c)+".ids", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, id := range ids {
		if _, err := f.Write(id[:]); err != nil {
			return err
		}
	}
	return f.Close()
}

// disk measures what a store leaves behind when it is closed: while they are
// open some keep files of gigabytes that are mostly holes.
func (j *job) disk(c config) (figures, error) {
	s, err := j.open(c)
	if err != nil {
		return nil, err
	}
	held := s.Spans()
	if err := s.Close(); err != nil {
		return nil, err
	}
	size, room := measure.DirBytes(j.dir(c))
	return figures{"size": float64(max(size, room)) / float64(held)}, nil
}

// trickle measures a steady rate below saturation, after a while to settle.
// Spanclock gets its spans as they end; the others as a batching exporter would
// hand them over, every two seconds, since each transaction costs them.
func (j *job) trickle(c config) (figures, error) {
	s, err := j.open(c)
	if err != nil {
		return nil, err
	}
	pace := min(2*time.Second, c.window/5)
	if j.Store == "spanclock" {
		pace = 20 * time.Millisecond
	}
	next := j.spans(c)
	settle := next(min(2*j.Rate, measure.Chunk))
	spans := next(min(int(c.window.Seconds()*float64(j.Rate)), measure.Chunk))
	if _, err := measure.Trickle(s, j.Rate, pace, 2*time.Second, settle); err != nil {
		return nil, err
	}
	w, err := measure.Trickle(s, j.Rate, pace, c.window, spans)
	if err != nil {
		return nil, err
	}
	return j.costs(w), s.Close()
}

// onEnd compares processors, taking turns.
func (j *job) onEnd(c config) (figures, error) {
	s, err := measure.OpenSpanclock(filepath.Join(c.dir, "onend"), c.ring)
	if err != nil {
		return nil, err
	}
	spans := j.spans(c)(1024)
	ours, sdk := s.Processor(), measure.SDKBatcher()
	f := figures{}
	for _, goroutines := range []int{1, 8} {
		var a, b []time.Duration
		for range j.N {
			a = append(a, measure.OnEnd(ours, spans, goroutines, 20))
			b = append(b, measure.OnEnd(sdk, spans, goroutines, 20))
		}
		f[fmt.Sprintf("ours-%d", goroutines)] = measure.Quantile(a, 0.5).Seconds()
		f[fmt.Sprintf("sdk-%d", goroutines)] = measure.Quantile(b, 0.5).Seconds()
	}
	if err := s.Sync(); err != nil { // it fails when spans were dropped
		return nil, err
	}
	return f, s.Close()
}
