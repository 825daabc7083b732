package bench

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

const (
	// maxNames bounds the span names that are told apart; the rest have one line.
	maxNames = 256
	others   = "(others)"

	// shards spreads the lock that each end of a span takes.
	shards = 16

	// maxEnded bounds what is remembered of ended spans, 16 bytes each, until the
	// CPU profile of their time is read.
	maxEnded = 1 << 21

	// firstEnded is for how many of them each shard has room from the beginning.
	firstEnded = 4096

	// maxUnknown bounds the spans whose CPU time came before they ended.
	maxUnknown = 1 << 14
)

// tally is a span processor that adds up spans by name, and passes two samples of the
// traces on: one to the store and one to the profiler. It takes some 50 ns a span: all
// else is done when the loop is over.
type tally struct {
	store  sdktrace.SpanProcessor // of the traces in the sample
	sample sample
	prof   *profiler.Profiler // set before the first span; nil without one
	labels labels
	names  atomic.Pointer[map[string]int32] // replaced when there is a new one
	naming sync.Mutex                       // held to do so
	shards [shards]shard

	mu      sync.Mutex // guards the rest
	cpu     []time.Duration
	unknown map[uint64]time.Duration // CPU time of spans that have not ended yet
	watched time.Duration            // of which there is a CPU profile
	hole    string                   // why there is none, lastly
}

// shard is a part of the spans, by their ids.
type shard struct {
	mu    sync.Mutex // guards the rest
	sums  []sum      // by the number of the name
	ended []ended    // since the last CPU profile was read
	older []ended    // before that

	// last are the names that were seen last, by where they are in memory: mostly a
	// name is a constant, and nothing has to be hashed.
	last [8]struct {
		name   string
		number int32
	}
}

// number returns the number of a name, for which there is room in sums. sh.mu is
// held.
func (sh *shard) number(t *tally, name string) int32 {
	at := unsafe.StringData(name)
	l := &sh.last[uintptr(unsafe.Pointer(at))/16%uintptr(len(sh.last))]
	if at != unsafe.StringData(l.name) || len(name) != len(l.name) || name == "" {
		l.name, l.number = name, t.number(name)
		for int(l.number) >= len(sh.sums) {
			sh.sums = append(sh.sums, sum{})
		}
	}
	return l.number
}

// sum is what spans of a name add up to.
type sum struct {
	spans, labelled int64
	wall            time.Duration
}

type ended struct {
	span uint64
	name int32
}

func newTally(store sdktrace.SpanProcessor) *tally {
	t := &tally{store: store, unknown: map[uint64]time.Duration{}}
	t.names.Store(&map[string]int32{})
	for i := range t.shards { // while nobody waits for it
		t.shards[i].ended, t.shards[i].older = make([]ended, 0, firstEnded), make([]ended, 0, firstEnded)
	}
	return t
}

// OnStart is called by the SDK.
func (t *tally) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	id := s.SpanContext().TraceID()
	h := hash(id)
	if p := s.Parent(); !p.SpanID().IsValid() || p.IsRemote() {
		t.sample.consider(id, h)
	}
	if t.prof != nil && t.labels.has(h) {
		t.prof.OnStart(ctx, s)
	}
}

// OnEnd is called by the SDK. The profiler gets all ends, and knows which are of spans
// that it has labelled.
func (t *tally) OnEnd(s sdktrace.ReadOnlySpan) {
	sc, wall := s.SpanContext(), s.EndTime().Sub(s.StartTime())
	id, h := spanNumber(sc.SpanID()), hash(sc.TraceID())
	labelled := t.prof != nil && t.labels.has(h)
	sh := &t.shards[id%shards]
	sh.mu.Lock()
	name := sh.number(t, s.Name())
	sum := &sh.sums[name]
	sum.spans++
	sum.wall += wall
	if labelled {
		sum.labelled++
		if len(sh.ended) < maxEnded/shards {
			sh.ended = append(sh.ended, ended{id, name})
		}
	}
	sh.mu.Unlock()
	if t.sample.takes(sc.TraceID(), h) {
		t.store.OnEnd(s)
	}
	t.prof.OnEnd(s)
	if labelled {
		t.labels.count()
	}
}

// Shutdown and ForceFlush have nothing to do: the recorder flushes the store.
func (t *tally) Shutdown(context.Context) error   { return nil }
func (t *tally) ForceFlush(context.Context) error { return nil }

func spanNumber(id trace.SpanID) uint64 { return binary.LittleEndian.Uint64(id[:]) }

// number returns the number of a name, a new one if need be.
func (t *tally) number(name string) int32 {
	if n, ok := (*t.names.Load())[name]; ok {
		return n
	}
	t.naming.Lock()
	defer t.naming.Unlock()
	old := *t.names.Load()
	if n, ok := old[name]; ok {
		return n
	}
	if len(old) >= maxNames {
		return old[others]
	}
	if len(old) == maxNames-1 {
		name = others
	}
	names := make(map[string]int32, len(old)+1)
	for k, v := range old {
		names[k] = v
	}
	n := int32(len(names))
	names[name] = n
	t.names.Store(&names)
	return n
}

// usage takes in what a CPU profile told. The spans that it is of have ended since
// the one before last, or are still running.
func (t *tally) usage(b spanstore.UsageBatch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range b.Windows {
		if w.Hole == "" {
			t.watched += w.End.Sub(w.Start)
		} else {
			t.hole = w.Hole
		}
	}
	for _, u := range b.Spans {
		t.unknown[spanNumber(u.SpanID)] += u.CPU
	}
	t.resolve()
	if len(t.unknown) > maxUnknown { // other tests' spans, or some that never end
		clear(t.unknown)
	}
	if len(b.Windows) > 0 {
		t.turn()
	}
}

// resolve puts CPU time to the names of the spans that have ended. t.mu is held.
func (t *tally) resolve() {
	if len(t.unknown) == 0 {
		return
	}
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, list := range [][]ended{sh.ended, sh.older} {
			for _, e := range list {
				if c, ok := t.unknown[e.span]; ok {
					t.add(e.name, c)
					delete(t.unknown, e.span)
				}
			}
		}
		sh.mu.Unlock()
	}
}

// add adds the CPU time of a span to its name's. t.mu is held.
func (t *tally) add(name int32, cpu time.Duration) {
	for int(name) >= len(t.cpu) {
		t.cpu = append(t.cpu, 0)
	}
	t.cpu[name] += cpu
}

// turn forgets the spans that ended before the last profile but one was read.
func (t *tally) turn() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		sh.older, sh.ended = sh.ended, sh.older[:0]
		sh.mu.Unlock()
	}
}

// reset forgets what was added up.
func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resolve() // what is still unknown is of spans that run on
	clear(t.cpu)
	t.watched = 0
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		clear(sh.sums)
		sh.mu.Unlock()
	}
}

// figures is what a name adds up to.
type figures struct {
	name string
	sum
	cpu time.Duration
}

// total returns the sums of all names.
func (t *tally) total() (all []figures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resolve()
	all = make([]figures, len(*t.names.Load()))
	for name, n := range *t.names.Load() {
		all[n].name = name
		if int(n) < len(t.cpu) {
			all[n].cpu = t.cpu[n]
		}
	}
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for n, s := range sh.sums {
			all[n].spans += s.spans
			all[n].labelled += s.labelled
			all[n].wall += s.wall
		}
		sh.mu.Unlock()
	}
	for i := range all {
		if f := &all[i]; f.labelled > 0 { // each stands for those that were not labelled
			f.cpu = time.Duration(float64(f.cpu) * float64(f.spans) / float64(f.labelled))
		}
	}
	return all
}
