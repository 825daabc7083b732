package bench

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/shared"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// Recorder records the spans of one benchmark, and reports what each name of them
// took when the benchmark is over.
type Recorder struct {
	b         *testing.B // nil in tests
	store     *spanstore.Store
	member    *shared.Member // nil without a profiler
	noCPU     string         // why there is none
	tally     *tally
	providers map[string]provider
}

// provider is the SDK's, and as the program sees it.
type provider struct {
	sdk    *sdktrace.TracerProvider
	labels trace.TracerProvider
}

// New returns a recorder for b. What it needs to begin and to end is not timed. When
// the benchmark function has returned it reports its metrics and closes itself; a
// benchmark with sub-benchmarks makes one for each of them.
func New(b *testing.B) *Recorder {
	b.Helper()
	defer untimed(b)()
	dir := b.TempDir()
	if keepsArtifacts() {
		dir = artifacts(b)
	}
	r, err := newRecorder(dir)
	if err != nil {
		kept.Delete(dir)
		b.Fatalf("bench: %v", err)
	}
	r.b = b
	b.Cleanup(func() {
		defer kept.Delete(dir)
		if err := r.finish(b); err != nil {
			b.Errorf("bench: %v", err)
		}
	})
	return r
}

// untimed stops the timer of b, if it runs, and returns what starts it again.
func untimed(b *testing.B) (resume func()) {
	before := b.Elapsed()
	for begin := time.Now(); time.Since(begin) == 0; {
	}
	if b.Elapsed() == before {
		return func() {}
	}
	b.StopTimer()
	return b.StartTimer
}

// kept are the directories of artifacts that recorders have open.
var kept sync.Map

// artifacts returns an empty directory for the traces. A benchmark with b.N runs many
// times with one directory for its artifacts: the traces of the run before, which was
// to find out b.N, give way. A second recorder of the same run has its own.
func artifacts(b *testing.B) string {
	b.Helper()
	for n := 1; ; n++ {
		dir := filepath.Join(b.ArtifactDir(), fmt.Sprintf("traces-%d", n))
		if _, open := kept.LoadOrStore(dir, true); open {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			kept.Delete(dir)
			b.Fatalf("bench: %v", err)
		}
		return dir
	}
}

func newRecorder(dir string) (*Recorder, error) {
	store, err := spanstore.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	if store == nil {
		return nil, errors.New("OTEL_SDK_DISABLED=true is set: no span would be recorded")
	}
	r := &Recorder{store: store, tally: newTally(store.Processor()), providers: map[string]provider{}}
	if r.member, err = shared.Join(store, &shared.Options{OnUsage: r.tally.usage}); err != nil {
		r.noCPU = err.Error()
	}
	r.tally.prof = r.member.Profiler()
	return r, nil
}

// Provider returns the provider whose spans are recorded, all of them.
func (r *Recorder) Provider() trace.TracerProvider { return r.ServiceProvider("bench") }

// ServiceProvider returns the provider of a further service. Its options are those
// of the first call.
func (r *Recorder) ServiceProvider(service string, opts ...sdktrace.TracerProviderOption) trace.TracerProvider {
	if p, ok := r.providers[service]; ok {
		return p.labels
	}
	opts = append([]sdktrace.TracerProviderOption{
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service))),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // whatever OTEL_TRACES_SAMPLER says
		sdktrace.WithSpanProcessor(r.tally),
	}, opts...)
	sdk := sdktrace.NewTracerProvider(opts...)
	p := provider{sdk, r.member.Profiler().Wrap(sdk)}
	r.providers[service] = p
	return p.labels
}

// Store returns the store with the traces that were kept.
func (r *Recorder) Store() *spanstore.Store { return r.store }

// Reset forgets what was added up so far: call it where a benchmark calls
// b.ResetTimer, after requests that warm something up. The time it takes is not timed.
func (r *Recorder) Reset() {
	if r.b != nil {
		defer untimed(r.b)()
	}
	_ = r.refresh() // without it some CPU time of the warm-up would count
	r.tally.reset()
}

// refresh waits until all CPU time used so far has been added up.
func (r *Recorder) refresh() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return r.member.Profiler().Refresh(ctx)
}

// finish reports the metrics and closes everything.
func (r *Recorder) finish(b *testing.B) error {
	if err := r.refresh(); err != nil {
		r.noCPU = err.Error()
	}
	metrics, left, unsure, err := r.metrics(b.N)
	for _, m := range metrics {
		b.ReportMetric(m.value, m.unit)
	}
	if len(metrics) == 0 && err == nil && !b.Failed() && !b.Skipped() {
		once(b, "bench: "+b.Name()+" recorded no span: does the code take its tracers from Recorder.Provider? A benchmark with sub-benchmarks calls New in each of them")
	}
	if left > 0 {
		once(b, fmt.Sprintf("bench: %d span names beyond the first %d have no metrics", left, maxReported))
	}
	if r.noCPU != "" {
		once(b, "bench: CPU metrics are left out: "+r.noCPU)
	}
	if len(unsure) > 0 && lastRun(b) {
		onceFor(b, "unsure "+b.Name(), fmt.Sprintf("bench: %s: cpu-ns/op and stall-share are left out of %s: less than %v of their own time ran while CPU was sampled; a longer -benchtime has them",
			b.Name(), strings.Join(unsure, ", "), leastSampled))
	}
	if keepsArtifacts() {
		once(b, "bench: spanclock view "+r.store.Dir())
	}
	return errors.Join(err, r.close())
}

func (r *Recorder) close() error {
	var errs []error
	for _, p := range r.providers {
		errs = append(errs, p.sdk.Shutdown(context.Background()))
	}
	return errors.Join(append(errs, r.member.Leave(), r.store.Close())...)
}

// lastRun reports whether this run of the benchmark function is the one whose metrics
// are printed, as testing decides it: with b.N it makes shorter ones before.
func lastRun(b *testing.B) bool {
	f := flag.Lookup("test.benchtime")
	if f == nil {
		return true
	}
	if n, fixed := strings.CutSuffix(f.Value.String(), "x"); fixed {
		return n == strconv.Itoa(b.N)
	}
	d, err := time.ParseDuration(f.Value.String())
	return err != nil || b.Elapsed() >= d || b.N >= 1e9
}

// said are the lines that were logged. A benchmark function runs many times.
var said sync.Map

func once(b *testing.B, line string) { onceFor(b, line, line) }

// onceFor logs a line that may differ from run to run, once for its key.
func onceFor(b *testing.B, key, line string) {
	if _, again := said.LoadOrStore(key, true); !again {
		b.Log(line)
	}
}

func keepsArtifacts() bool {
	f := flag.Lookup("test.artifacts")
	return f != nil && f.Value.String() == "true"
}

// maxReported is how many names have metrics, those that took the most time.
const maxReported = 24

type metric struct {
	unit  string
	value float64
}

// metrics returns what is to be reported for n operations, how many names were left
// out, and of which names there is too little to tell their CPU time.
func (r *Recorder) metrics(n int) (out []metric, left int, unsure []string, err error) {
	all := merged(r.tally.total())
	slices.SortFunc(all, func(a, b figures) int {
		return cmp.Or(cmp.Compare(b.wall, a.wall), strings.Compare(a.name, b.name))
	})
	if r.noCPU == "" && r.watchedNothing() {
		r.noCPU = r.reason()
	}
	selves, err := r.selfShares()
	left = max(0, len(all)-maxReported)
	for _, f := range all[:len(all)-left] {
		self, known := selves[f.name]
		sure := f.sampled(self, known) >= leastSampled
		if !sure && r.noCPU == "" {
			unsure = append(unsure, f.name)
		}
		out = append(out, f.metrics(float64(n), self, known, sure && r.noCPU == "")...)
	}
	return out, left, unsure, err
}

// merged adds up the names that are one in a unit, and leaves out those of no span.
func merged(all []figures) (out []figures) {
	at := map[string]int{}
	for _, f := range all {
		if f.spans == 0 {
			continue
		}
		f.name = unitName(f.name)
		i, known := at[f.name]
		if !known {
			at[f.name] = len(out)
			out = append(out, f)
			continue
		}
		to := &out[i]
		to.spans, to.labelled = to.spans+f.spans, to.labelled+f.labelled
		to.wall, to.cpu = to.wall+f.wall, to.cpu+f.cpu
	}
	return out
}

// unitName is a span's name as a part of a metric's unit, which has no blanks.
func unitName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
}

// leastSampled is how much self time of a name has to run under the CPU profile for
// its CPU time to be told. A sample stands for 10 ms, and up to three of them may fail
// to come by chance (rule of three, 95 %): in 150 ms that is a fifth. With less a span
// that did nothing but compute could look like one that did nothing but wait. It does
// not ask for samples: to report only runs that had some would make the mean too high.
const leastSampled = 150 * time.Millisecond

// sampled is how much of the spans' own time was under the CPU profile.
func (f figures) sampled(self float64, selfKnown bool) time.Duration {
	if !selfKnown {
		self = 1
	}
	return time.Duration(self * float64(f.wall) * float64(f.labelled) / float64(f.spans))
}

func (f figures) metrics(n, self float64, selfKnown, cpu bool) []metric {
	wall := float64(f.wall)
	out := []metric{{"wall-ns/op:" + f.name, wall / n}, {"spans/op:" + f.name, float64(f.spans) / n}}
	if selfKnown && self < 1 {
		out = append(out, metric{"self-ns/op:" + f.name, self * wall / n})
	}
	if cpu {
		out = append(out, metric{"cpu-ns/op:" + f.name, max(noZero, float64(f.cpu)/n)})
	}
	if cpu && selfKnown && wall > 0 {
		out = append(out, metric{"stall-share:" + f.name, max(0, self-float64(f.cpu)/wall)})
	}
	return out
}

// noZero stands for no CPU sample. Of a 0 benchstat does not convert the unit, and
// then takes it for one of another metric.
const noZero = 0.001

// watchedNothing reports that no CPU profile ran in the benchmark.
func (r *Recorder) watchedNothing() bool {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	return r.tally.watched == 0
}

// reason says why no CPU profile ran.
func (r *Recorder) reason() string {
	if f := flag.Lookup("test.cpuprofile"); f != nil && f.Value.String() != "" {
		return "the process's one CPU profile is that of -cpuprofile; its samples have the span ids as labels"
	}
	return r.member.Profiler().Stats().State
}

// maxAnalysed is how many traces of the sample the shares of self time are from.
const maxAnalysed = 1024

// selfShares returns for each name of a unit what part of its wall time no awaited child
// covered, from the traces that were kept, each standing for those that were not.
func (r *Recorder) selfShares() (map[string]float64, error) {
	ctx := context.Background()
	wall, self := map[string]float64{}, map[string]float64{}
	for id, weight := range r.tally.sample.some(maxAnalysed) {
		tr, err := r.store.Trace(ctx, id)
		if errors.Is(err, spanstore.ErrNotFound) {
			continue // it has not ended
		}
		if err != nil {
			return nil, err
		}
		a := stall.Analyze(tr)
		for i := range a.Nodes {
			name := unitName(a.Nodes[i].Span.Name)
			wall[name] += weight * float64(a.Nodes[i].Wall())
			self[name] += weight * float64(a.Nodes[i].Self)
		}
	}
	for name, w := range wall {
		if w > 0 {
			self[name] /= w
		} else {
			delete(self, name)
		}
	}
	return self, nil
}
