package httpui

import (
	"context"
	"math"
	"time"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// route is an operation that traces begin with; Name is empty for all of a service.
type route struct{ service, name string }

// routeSample is what the newest traces tell, by route.
type routeSample struct {
	traces int
	routes map[route]*requestJSON
	codes  map[route]map[string]int
	fault  any // a panic, to be had by who asked
}

// sample looks into the newest traces, and into the newest that failed.
func (h *handler) sample(ctx context.Context, from, to time.Time, service string) (s routeSample) {
	s.routes, s.codes = map[route]*requestJSON{}, map[route]map[string]int{}
	defer func() { s.fault = recover() }()
	st := h.opts.Profiler.Stats()
	q := spanstore.Query{From: from, To: to, Service: service, Limit: overviewTraces}
	visit := func(t *spanstore.Summary, d *digest) {
		cpu := stall.SummaryCPU(t)
		if st.Running {
			cpu = stall.SummaryCPULive(t, st.CoveredUntil)
		}
		s.add(t, d, cpu)
	}
	// What the running window may still add to says nothing about CPU yet. It will
	// have to do when there is hardly anything else.
	whole := true
	if q.To = st.CoveredUntil; st.Running && q.To.After(from) && q.To.Before(to) {
		whole = h.eachDigest(ctx, q, visit)
	}
	if q.To = to; s.traces < overviewTraces/4 && (whole || s.traces == 0) {
		s.traces, s.routes = 0, map[route]*requestJSON{}
		h.eachDigest(ctx, q, visit)
	}
	q.Errors = true
	h.eachDigest(ctx, q, func(_ *spanstore.Summary, d *digest) { s.addCodes(d) })
	for _, r := range s.routes {
		r.settle()
	}
	return s
}

// eachDigest visits the traces that a query selects, as long as overviewTime lasts.
// Traces of requests in flight are none yet: what has ended of them is not a request.
// It reports whether it came to the end.
func (h *handler) eachDigest(ctx context.Context, q spanstore.Query, visit func(*spanstore.Summary, *digest)) (whole bool) {
	ctx, cancel := context.WithTimeout(ctx, overviewTime)
	defer cancel()
	page, err := h.store.Traces(ctx, q)
	if err != nil {
		return false
	}
	inFlight := h.inFlight(page.Traces)
	for i := range page.Traces {
		t := &page.Traces[i]
		if _, is := inFlight[t.TraceID]; is {
			continue
		}
		switch d, err := h.digest(ctx, t.TraceID, t.Spans); {
		case err != nil && ctx.Err() != nil:
			return false
		case d != nil:
			visit(t, d)
		}
	}
	return true
}

func (s *routeSample) addCodes(d *digest) {
	for _, c := range d.codes {
		s.addCode(route{c.service, c.name}, c.code)
		if c.entry { // a service's errors are those of its entry spans
			s.addCode(route{c.service, ""}, c.code)
		}
	}
}

func (s *routeSample) addCode(of route, code string) {
	if s.codes[of] == nil {
		s.codes[of] = map[string]int{}
	}
	s.codes[of][code]++
}

func (s *routeSample) add(t *spanstore.Summary, d *digest, cpu stall.CPU) {
	s.traces++
	for _, key := range []route{{t.Service, t.Name}, {t.Service, ""}} {
		r := s.routes[key]
		if r == nil {
			r = &requestJSON{States: map[stall.State]int64{}}
			s.routes[key] = r
		}
		r.Traces++
		r.WallNS += d.wall
		for _, share := range d.budget {
			r.States[share.State] += share.NS
		}
		if cpu.Evidence == stall.None || cpu.Pending {
			continue
		}
		r.known++
		r.cpu += cpu.Value
		r.Samples += cpu.Samples
	}
}

// noSample is the CPU time that would have had a sample in 95 of 100 cases.
const noSample = 30 * time.Millisecond

// settle makes means of sums. Samples on many requests scatter by the root of
// their number.
func (r *requestJSON) settle() {
	n := int64(r.Traces)
	r.WallNS /= n
	for state := range r.States {
		r.States[state] /= n
	}
	r.Evidence, r.Reason = stall.None, "no CPU profile covers these requests, or not yet"
	if r.known == 0 {
		return
	}
	r.Evidence, r.Reason = stall.Sampled, ""
	if r.Samples == 0 {
		r.HighNS = min(r.WallNS, int64(noSample)/int64(r.known))
		return
	}
	value := float64(r.cpu) / float64(r.known)
	half := 2 * value / float64(r.Samples) * math.Sqrt(float64(r.Samples)+1)
	r.NS, r.LowNS, r.HighNS = int64(value), int64(max(0, value-half)), int64(value+half)
}
