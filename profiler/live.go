package profiler

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/google/pprof/profile"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

const (
	// A view is served again for liveEach times the goroutines there are, and
	// liveLeast at least. It takes 10 µs of CPU a goroutine when each has a span of
	// its own (see BenchmarkLiveView): 1 % of one CPU, however many look.
	liveEach  = time.Millisecond
	liveLeast = time.Second

	// maxLiveSpans bounds a view, maxGoroutines the goroutines whose stacks are
	// looked at: with more the profile takes half a second.
	maxLiveSpans  = 1000
	maxGoroutines = 100_000
)

// LiveView is what was in flight at one moment. It is shared between those who
// asked: read only.
type LiveView struct {
	// At is when it was taken, Next when the next one can be.
	At, Next time.Time

	// Spans have started and not ended, the oldest first. Those with goroutines
	// come before others where there are too many; Omitted counts the rest.
	Spans   []LiveSpan
	Omitted int

	// Late counts goroutines that carry the label of a span that is over.
	Late int

	// Problems say what is missing, a sentence each.
	Problems []string
}

// LiveSpan is a span in flight.
type LiveSpan struct {
	TraceID  trace.TraceID
	SpanID   trace.SpanID
	ParentID trace.SpanID

	// Service is that of its resource, Route the name of the local root that it
	// belongs to, "" when that is over or not known.
	Service, Route, Name string

	LocalRoot bool
	Start     time.Time

	// Age is the time since Start, at the moment of the view.
	Age time.Duration

	// Goroutines count those that work for it: with its label, its own and those
	// created in it. Stacks are where they stand, the most frequent first.
	Goroutines int
	Stacks     []LiveStack
}

// LiveStack is where some goroutines stand. Frames run from the leaf to the root.
type LiveStack struct {
	Frames     []spanstore.Frame
	Goroutines int
}

// Live returns the spans that are in flight, with the stacks in which their
// goroutines stand now. Views are taken when somebody asks, and not more often
// than at 1 % of one CPU; who asks meanwhile gets the last one. It returns the
// context's error when that is done first.
//
// It knows the spans that are labelled (see Options.Labels), up to
// Options.MaxLive of them and no older than Options.MaxAge.
func (p *Profiler) Live(ctx context.Context) (*LiveView, error) {
	if p == nil {
		return &LiveView{Problems: []string{"there is no profiler"}}, nil
	}
	for {
		p.mu.Lock()
		v, taking := p.live, p.takingLive
		switch {
		case v != nil && time.Now().Before(v.Next):
			p.mu.Unlock()
			return v, nil
		case taking != nil: // somebody is at it; share what he gets
		case p.stopping:
			p.mu.Unlock()
			return &LiveView{At: time.Now(), Problems: []string{"the profiler is stopped"}}, nil
		default:
			taking = make(chan struct{})
			p.takingLive = taking
			p.background.Go(func() { p.takeLive(taking) })
		}
		p.mu.Unlock()
		select {
		case <-taking:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// takeLive takes a view, on a goroutine of its own, so that what it burns counts
// as the profiler's and nobody's context ends it halfway.
func (p *Profiler) takeLive(taken chan struct{}) {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(ownKey, ownProfiler)))
	begun, goroutines := time.Now(), runtime.NumGoroutine()
	v := &LiveView{At: wall(begun), Problems: []string{"the view could not be taken"}}
	defer func() {
		if r := recover(); r != nil {
			p.panicked(r)
		}
		v.Next = time.Now().Add(max(liveLeast, time.Duration(goroutines)*liveEach))
		p.mu.Lock()
		p.live, p.takingLive = v, nil
		p.mu.Unlock()
		close(taken)
	}()
	v = p.newLiveView(begun)
}

func (p *Profiler) newLiveView(now time.Time) *LiveView {
	v := &LiveView{At: wall(now)}
	stacks, err := p.standing()
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
	}
	frames := p.spans.frames()
	over := map[spanKey64]identity{}
	for key := range stacks {
		if _, live := frames[key]; !live {
			over[key] = identity{}
		}
	}
	p.spans.identify(over, p.spans.generation.Load())
	for key, id := range over {
		if id.trace.IsValid() {
			v.Late += total(stacks[key])
		}
	}
	for key, f := range frames {
		s, ok := p.liveSpan(f, frames)
		if !ok {
			continue
		}
		s.Age = max(0, now.Sub(s.Start))
		s.Stacks, s.Goroutines = stacks[key], total(stacks[key])
		v.Spans = append(v.Spans, s)
	}
	v.cut()
	if p.rootsOnly.Load() {
		v.Problems = append(v.Problems, "only local roots are labelled and listed")
	}
	if p.resting() {
		v.Problems = append(v.Problems, holeBudget)
	}
	return v
}

// cut brings a view into its order and within its bounds.
func (v *LiveView) cut() {
	byAge := func(a, b LiveSpan) int {
		return cmp.Or(a.Start.Compare(b.Start), bytes.Compare(a.SpanID[:], b.SpanID[:]))
	}
	if v.Omitted = max(0, len(v.Spans)-maxLiveSpans); v.Omitted > 0 {
		slices.SortFunc(v.Spans, func(a, b LiveSpan) int {
			return cmp.Or(cmp.Compare(min(1, b.Goroutines), min(1, a.Goroutines)), byAge(a, b))
		})
		v.Spans = slices.Clip(v.Spans[:maxLiveSpans])
	}
	slices.SortFunc(v.Spans, byAge)
}

// liveFrame is what the registry has of a live span.
type liveFrame struct {
	trace trace.TraceID
	span  sdktrace.ReadOnlySpan
}

// liveSpan asks a span what it is. Its code may be the program's, and fail.
func (p *Profiler) liveSpan(f liveFrame, all map[spanKey64]liveFrame) (s LiveSpan, ok bool) {
	defer p.rescue()
	s = LiveSpan{
		TraceID: f.trace, SpanID: f.span.SpanContext().SpanID(), ParentID: f.span.Parent().SpanID(),
		Name: f.span.Name(), LocalRoot: isLocalRoot(f.span), Start: wall(f.span.StartTime()), Service: serviceOf(f.span),
	}
	root := f.span
	for range 64 { // nobody nests deeper, and a circle must not hold anybody up
		if isLocalRoot(root) {
			s.Route = root.Name()
			break
		}
		up, known := all[keyOf(root.Parent().SpanID())]
		if !known {
			break
		}
		root = up.span
	}
	return s, true
}

// serviceOf returns the service.name of a span's resource.
func serviceOf(s sdktrace.ReadOnlySpan) string {
	r := s.Resource()
	if r == nil {
		return ""
	}
	v, _ := r.Set().Value("service.name")
	return v.AsString()
}

// standing returns where goroutines with a span's label stand, by that span.
func (p *Profiler) standing() (map[spanKey64][]LiveStack, error) {
	if n := runtime.NumGoroutine(); n > maxGoroutines {
		return nil, fmt.Errorf("no stacks: there are %d goroutines, and more than %d would take too long", n, maxGoroutines)
	}
	var buf bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&buf, 0); err != nil {
		return nil, fmt.Errorf("no stacks: take goroutine profile: %w", err)
	}
	prof, err := profile.ParseData(buf.Bytes())
	if err != nil {
		return nil, fmt.Errorf("no stacks: read goroutine profile: %w", err)
	}
	stacks := map[spanKey64][]LiveStack{}
	table := stackTable{maxDepth: p.opts.MaxDepth, known: map[string][]spanstore.Frame{}}
	for _, s := range prof.Sample {
		if key, ok := parseKey(label(s, spanKey)); ok {
			stacks[key] = append(stacks[key], LiveStack{Frames: table.of(s), Goroutines: int(s.Value[0])})
		}
	}
	for key, all := range stacks {
		slices.SortStableFunc(all, func(a, b LiveStack) int { return cmp.Compare(b.Goroutines, a.Goroutines) })
		stacks[key] = all
	}
	return stacks, nil
}

func total(stacks []LiveStack) (n int) {
	for _, s := range stacks {
		n += s.Goroutines
	}
	return n
}
