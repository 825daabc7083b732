package profiler

import (
	"sync"
	"sync/atomic"

	"github.com/google/pprof/profile"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Labels of samples in profiles that are handed out, beside span_id.
const (
	traceLabel   = "trace_id"
	nameLabel    = "span_name"
	routeLabel   = "route" // the name of the local root
	serviceLabel = "service"
)

// maxNames bounds each half of what is noted of the spans of one window.
const maxNames = 1 << 16

// nameBook notes what the spans were that end while somebody collects a profile.
// Goroutines carry ids alone, and of ended spans nothing else is kept.
type nameBook struct {
	readers atomic.Int32 // while there are none nothing is noted

	mu        sync.Mutex // guards the rest
	now, last map[spanKey64]spanName
}

type spanName struct {
	service, name string
	parent        spanKey64 // 0 for a local root
}

func nameOf(s sdktrace.ReadOnlySpan) spanName {
	n := spanName{service: serviceOf(s), name: s.Name()}
	if !isLocalRoot(s) {
		n.parent = keyOf(s.Parent().SpanID())
	}
	return n
}

// note is called for every span that ends.
func (b *nameBook) note(s sdktrace.ReadOnlySpan) {
	if b.readers.Load() == 0 {
		return
	}
	key, n := keyOf(s.SpanContext().SpanID()), nameOf(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.now) >= maxNames { // the older half goes; the latest are wanted most
		b.last, b.now = b.now, nil
	}
	if b.now == nil {
		b.now = map[spanKey64]spanName{}
	}
	b.now[key] = n
}

// open begins the noting for one more reader, close ends it.
func (b *nameBook) open() { b.readers.Add(1) }

func (b *nameBook) close() {
	if b.readers.Add(-1) > 0 {
		return
	}
	b.mu.Lock()
	b.now, b.last = nil, nil
	b.mu.Unlock()
}

// turn forgets what ended before the window that was handed out last: the one
// that ends next has no samples of it, but for late ones.
func (b *nameBook) turn() {
	b.mu.Lock()
	b.last, b.now = b.now, nil
	b.mu.Unlock()
}

// get returns what a span was that has ended.
func (b *nameBook) get(k spanKey64) (spanName, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, ok := b.now[k]; ok {
		return n, true
	}
	n, ok := b.last[k]
	return n, ok
}

// putLabels gives the samples of prof what is known of their spans.
func (p *Profiler) putLabels(prof *profile.Profile, spans map[spanKey64]identity) {
	live := p.spans.frames()
	known := map[spanKey64]spanName{}
	find := func(k spanKey64) (spanName, bool) {
		n, ok := known[k]
		if ok {
			return n, n.name != ""
		}
		if n, ok = p.names.get(k); !ok {
			if f, alive := live[k]; alive {
				n = p.liveName(f.span)
			}
		}
		known[k] = n
		return n, n.name != ""
	}
	for _, s := range prof.Sample {
		k, ok := parseKey(label(s, spanKey))
		if !ok {
			continue
		}
		put := func(name, value string) {
			if value != "" {
				s.Label[name] = []string{value}
			}
		}
		if id := spans[k]; id.trace.IsValid() {
			put(traceLabel, id.trace.String())
		}
		n, ok := find(k)
		put(nameLabel, n.name)
		put(serviceLabel, n.service)
		for range 64 { // as deep as anybody nests
			if !ok || n.parent == 0 {
				break
			}
			n, ok = find(n.parent)
		}
		if ok {
			put(routeLabel, n.name)
		}
	}
}

// liveName asks a span in flight, whose code may be the program's.
func (p *Profiler) liveName(s sdktrace.ReadOnlySpan) (n spanName) {
	defer p.rescue()
	return nameOf(s)
}
