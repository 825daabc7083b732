package bench

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// sampleStep is how many spans are kept until only every second trace is taken that
// would have been: of n spans it keeps about 128·log₂(n/128). To keep them all
// would cost another processor a fifth of what is benchmarked.
const sampleStep = 128

// sample chooses the traces that are kept whole: all of the first, then fewer and
// fewer, by their ids, so that services which share a trace agree.
type sample struct {
	mask atomic.Uint64 // a trace whose hash has none of these bits is chosen

	mu     sync.Mutex // guards the rest
	weight map[trace.TraceID]float64
	chosen []trace.TraceID // in their order
	spans  int             // that were kept
}

// hash spreads the ids of any generator.
func hash(id trace.TraceID) uint64 {
	h := binary.LittleEndian.Uint64(id[8:])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(id[:8])
	return h ^ h>>32
}

// consider is called when a local root starts; h is the hash of its trace.
func (s *sample) consider(id trace.TraceID, h uint64) {
	mask := s.mask.Load()
	if h&mask != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.weight == nil {
		s.weight = map[trace.TraceID]float64{}
	}
	if _, known := s.weight[id]; known {
		return
	}
	s.weight[id] = float64(mask + 1)
	s.chosen = append(s.chosen, id)
}

// takes reports whether a span that ends is of a trace in the sample. Traces that
// were chosen three steps ago or more count as over, so that hardly one is looked up
// in vain.
func (s *sample) takes(id trace.TraceID, h uint64) bool {
	mask := s.mask.Load()
	if h&(mask>>2) != 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.weight[id]; !ok {
		return false
	}
	if s.spans++; s.spans%sampleStep == 0 {
		s.mask.Store(mask<<1 | 1)
	}
	return true
}

// some returns at most n traces of the sample, evenly spread, with how many traces
// each stands for.
func (s *sample) some(n int) map[trace.TraceID]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[trace.TraceID]float64{}
	step := max(1, (len(s.chosen)+n-1)/n)
	for i := 0; i < len(s.chosen); i += step {
		out[s.chosen[i]] = s.weight[s.chosen[i]]
	}
	return out
}

const (
	// maxLabelled is how many spans are labelled in a second of the process's CPU time
	// until every second trace is left out that would have been. A label costs 0.2 to
	// 0.5 µs, so all of them cost 1 or 2 percent. Of shorter operations there are more:
	// together they have the samples that one alone would not.
	maxLabelled = 40_000

	// labelStep is how many go by until the rate is looked at.
	labelStep = 1024
)

// labels chooses the traces whose spans the profiler sees: all of them unless there
// are too many, then by their ids.
type labels struct {
	mask atomic.Uint64
	n    atomic.Int64 // spans with labels that have ended
	last atomic.Int64 // the CPU time when n was last a multiple of labelStep
}

func (l *labels) has(h uint64) bool { return h>>32&l.mask.Load() == 0 }

// count is called when a span with a label has ended.
func (l *labels) count() {
	if l.n.Add(1)%labelStep != 0 {
		return
	}
	now := int64(cpuTime())
	if last := l.last.Swap(now); last != 0 && now-last < int64(time.Second)*labelStep/maxLabelled {
		l.mask.Store(l.mask.Load()<<1 | 1)
	}
}
