package profiler

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Request is a request that has not ended.
type Request struct {
	// Service and Name are those of its local root, which says where in the
	// process the trace begins; of several, the one that started first.
	Service, Name string
	Start         time.Time
}

// InFlight returns those of the given traces of which a local root is in flight.
// It reads the registry and no stacks: an answer costs some 50 ns for each span in
// flight. It knows the spans that Live knows.
func (p *Profiler) InFlight(traces []trace.TraceID) map[trace.TraceID]Request {
	if p == nil || len(traces) == 0 {
		return nil
	}
	wanted := make(map[trace.TraceID]bool, len(traces))
	for _, id := range traces {
		wanted[id] = true
	}
	out := map[trace.TraceID]Request{}
	for _, f := range p.spans.framesOf(wanted) {
		r, ok := p.request(f)
		if known, is := out[f.trace]; ok && (!is || r.Start.Before(known.Start)) {
			out[f.trace] = r
		}
	}
	return out
}

// request asks a span for what a Request has; ok is false unless it is a local
// root. Its code may be the program's, and fail.
func (p *Profiler) request(f liveFrame) (r Request, ok bool) {
	defer p.rescue()
	if !isLocalRoot(f.span) {
		return r, false
	}
	return Request{Service: serviceOf(f.span), Name: f.span.Name(), Start: wall(f.span.StartTime())}, true
}

// framesOf returns what is known of the live spans of some traces.
func (r *registry) framesOf(traces map[trace.TraceID]bool) (out []liveFrame) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for f := s.oldest; f != nil; f = f.newer {
			if traces[f.trace] {
				out = append(out, liveFrame{trace: f.trace, span: f.span})
			}
		}
		s.mu.Unlock()
	}
	return out
}

// frames returns what is known of the live spans.
func (r *registry) frames() map[spanKey64]liveFrame {
	out := map[spanKey64]liveFrame{}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for f := s.oldest; f != nil; f = f.newer {
			out[f.key] = liveFrame{trace: f.trace, span: f.span}
		}
		s.mu.Unlock()
	}
	return out
}

// traffic counts the live frames, and all spans that ever ended.
func (r *registry) traffic() (live int, ended uint64) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		live += s.live.n
		ended += s.total
		s.mu.Unlock()
	}
	return live, ended
}

// tick sets the clock, and puts out frames of spans that started longer ago than
// most.
func (r *registry) tick(now, most uint32) {
	r.clock.Store(now)
	if now <= most {
		return
	}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for s.oldest != nil && s.oldest.born < now-most {
			s.unlink(s.oldest).release()
			r.aged.Add(1)
		}
		s.mu.Unlock()
	}
}
