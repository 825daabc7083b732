package profiler

import (
	"context"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// windows feeds the governor n windows of ten seconds on two CPUs.
func windows(v *governor, now *time.Time, n int, profiler, store float64) (changes int) {
	for range n {
		*now = now.Add(10 * time.Second)
		g := glance{length: 10 * time.Second, cpus: 2}
		g.profiler = time.Duration(profiler * 20 * float64(time.Second))
		g.store = time.Duration(store * 20 * float64(time.Second))
		if v.level == LevelOff {
			g = glance{}
		}
		if v.observe(*now, g) {
			changes++
		}
	}
	return changes
}

func TestGovernor(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	v := newGovernor(0.01, now)
	want := func(when string, level Level, why string) {
		t.Helper()
		if v.level != level || !strings.Contains(v.why, why) {
			t.Fatalf("%s: got %v, %q; want %v, %q", when, v.level, v.why, level, why)
		}
	}

	windows(v, &now, 100, 0.004, 0.005)
	want("below the budget", LevelFull, "within")
	if v.cost < 0.0089 || v.cost > 0.0091 {
		t.Errorf("got a cost of %v; want 0.009", v.cost)
	}
	windows(v, &now, 1, 0.03, 0)
	want("one burst", LevelFull, "within")
	windows(v, &now, 5, 0.004, 0)
	windows(v, &now, 1, 0.03, 0)
	want("another burst, later", LevelFull, "")

	windows(v, &now, 1, 0.03, 0)
	want("two in a row", LevelLongWindows, "3 % of 1 %")
	windows(v, &now, 2, 0.03, 0)
	want("two more", LevelRoots, "3 % of 1 %")
	windows(v, &now, 2, 0.03, 0)
	want("and two more", LevelOff, "3 % of 1 %")

	// Off it measures nothing, and tries again after a time that three steps
	// have made eight minutes.
	windows(v, &now, 47, 0, 0)
	want("soon after", LevelOff, "")
	windows(v, &now, 1, 0, 0)
	want("after 8 minutes", LevelRoots, "trying again")
	windows(v, &now, 2, 0.03, 0)
	want("still too much", LevelOff, "")
	windows(v, &now, 95, 0, 0)
	want("before 16 minutes", LevelOff, "")
	windows(v, &now, 1, 0, 0)
	want("after 16 minutes", LevelRoots, "")

	// Between half the budget and all of it is good enough to stay, not to go up.
	windows(v, &now, 500, 0.008, 0)
	want("not calm", LevelRoots, "")
	windows(v, &now, 96, 0.002, 0)
	want("calm, too short", LevelRoots, "")
	windows(v, &now, 1, 0.002, 0)
	want("calm", LevelLongWindows, "below 0.5 %")
	windows(v, &now, 97, 0.002, 0)
	want("calm again", LevelFull, "within")
	if v.quiet != 16*time.Minute {
		t.Errorf("got %v to wait after a step down; want it remembered, 16m", v.quiet)
	}
	windows(v, &now, 361, 0.002, 0)
	if v.quiet != quietMin {
		t.Errorf("got %v to wait after an hour at the full level; want it forgiven, %v", v.quiet, quietMin)
	}
}

// No level lowers what the store costs: it is said, and nothing is given up for it.
func TestGovernorSparesWhatHelpsNobody(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	v := newGovernor(0.01, now)
	windows(v, &now, 50, 0.002, 0.05)
	if v.level != LevelFull || !strings.Contains(v.why, "the store's") || v.cost < 0.05 {
		t.Errorf("got %v, %q, cost %v; want full, the store named", v.level, v.why, v.cost)
	}
	windows(v, &now, 2, 0.006, 0.05)
	if v.level != LevelLongWindows {
		t.Errorf("got %v when the profiler has its part in it; want long windows", v.level)
	}
}

// Windows that end early are judged together, and do not step down sooner.
func TestGovernorAddsShortWindows(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	v := newGovernor(0.01, now)
	for i := range 9 {
		now = now.Add(2 * time.Second)
		if v.observe(now, glance{length: 2 * time.Second, cpus: 1, profiler: time.Second}) {
			t.Fatalf("got a change after %d windows of 2s; want none before 20s", i+1)
		}
	}
	if !v.observe(now.Add(2*time.Second), glance{length: 2 * time.Second, cpus: 1, profiler: time.Second}) {
		t.Error("got no change after 20s at half a CPU; want one")
	}
}

// A governor that is told nonsense stays within its levels.
func TestGovernorBounds(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	v := newGovernor(0.01, now)
	for range 1000 {
		now = now.Add(-time.Second)
		v.observe(now, glance{length: 20 * time.Second, profiler: time.Hour})
		if v.level < LevelFull || v.level > LevelOff {
			t.Fatalf("got level %d", v.level)
		}
	}
}

// What the governor decides is done: labels, windows, a hole, and all of it again.
func TestGovern(t *testing.T) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p, err := Start(store, &Options{MinWindow: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	tracer := p.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))).Tracer("test")

	// labeled starts a root and a child, and says which get a frame.
	labeled := func() (root, child bool) {
		ctx, r := tracer.Start(context.Background(), "root")
		_, c := tracer.Start(ctx, "child")
		defer r.End()
		defer c.End()
		return p.spans.get(keyOf(r.SpanContext().SpanID())) != nil, p.spans.get(keyOf(c.SpanContext().SpanID())) != nil
	}
	pace := func() time.Duration {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.pace(time.Second)
	}
	for _, step := range []struct {
		level       Level
		root, child bool
		pace        time.Duration
	}{
		{LevelFull, true, true, time.Second},
		{LevelLongWindows, true, true, 3 * time.Second},
		{LevelRoots, true, false, 3 * time.Second},
		{LevelOff, false, false, 3 * time.Second},
	} {
		if got := p.Stats().Governor.Level; got != step.level {
			t.Fatalf("got %v; want %v", got, step.level)
		}
		if root, child := labeled(); root != step.root || child != step.child {
			t.Errorf("%v: got root labeled %v, child %v; want %v, %v", step.level, root, child, step.root, step.child)
		}
		if got := pace(); got != step.pace {
			t.Errorf("%v: got windows of %v for 1s; want %v", step.level, got, step.pace)
		}
		for range overGlances {
			p.govern(glance{length: cpuGlance, profiler: time.Hour})
		}
	}

	// Off, the CPU profile is free, and the hole says why.
	p.wake()
	wait(t, "the profile is given back", func() bool { return !p.Stats().Running })
	_, span := tracer.Start(context.Background(), "in the hole")
	if err := pprof.StartCPUProfile(discard{}); err != nil {
		t.Errorf("StartCPUProfile: %v", err)
	}
	pprof.StopCPUProfile()
	if err := p.Refresh(context.Background()); err != nil { // returns: nothing to wait for
		t.Error(err)
	}
	if st := p.Stats(); st.State != holeBudget || st.Governor.ProfilerCPU < time.Hour || st.Governor.Why == "" {
		t.Errorf("got %q, %+v; want it off, its cost and why", st.State, st.Governor)
	}
	if v, err := p.Live(context.Background()); err != nil || !strings.Contains(strings.Join(v.Problems, "; "), holeBudget) {
		t.Errorf("got %+v, %v from Live; want the reason why it is empty", v, err)
	}
	span.End()

	p.mu.Lock()
	p.governor.since = time.Now().Add(-quietMax)
	p.mu.Unlock()
	p.govern(glance{})
	p.wake()
	wait(t, "the profile is taken again", func() bool { return p.Stats().Running })
	if root, child := labeled(); !root || child {
		t.Errorf("got root labeled %v, child %v after the first step up; want true, false", root, child)
	}
	tr, err := store.Trace(context.Background(), span.SpanContext().TraceID())
	if err != nil || len(tr.Windows) == 0 || tr.Windows[len(tr.Windows)-1].Hole != holeBudget {
		t.Errorf("got %+v, %v; want the hole over the span", tr, err)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// wait waits until cond is true.
func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for this: %s", what)
		}
	}
}
