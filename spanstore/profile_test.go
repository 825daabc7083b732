package spanstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// Each operation's profile is the sum over its spans, whatever blocks and
// segments they and their usage are in.
func TestProfilesAgainstModel(t *testing.T) {
	type key struct{ service, name string }
	type sum struct {
		spans, samples, late int
		cpu                  time.Duration
		stacks               map[string]int
	}
	for _, dir := range []string{"", t.TempDir()} {
		t.Logf("seed %d", *seed)
		g := spangen.New(*seed)
		s := open(t, dir, nil)
		start := time.Unix(1_700_000_000, 0).UTC()
		stack := func(n int) spanstore.Stack {
			return spanstore.Stack{Samples: 1 + n%2, Frames: []spanstore.Frame{
				{Func: fmt.Sprintf("main.leaf%d", n), File: "a.go", Line: n}, {Func: "main.main", File: "a.go", Line: 9},
			}}
		}
		want := map[key]*sum{}
		add := func(stubs []tracetest.SpanStub, batch *spanstore.UsageBatch) {
			for _, stub := range stubs {
				name := ""
				if stub.Resource != nil {
					if v, ok := stub.Resource.Set().Value("service.name"); ok {
						name = v.AsString()
					}
				}
				w := want[key{name, stub.Name}]
				if w == nil {
					w = &sum{stacks: map[string]int{}}
					want[key{name, stub.Name}] = w
				}
				w.spans++
				if g.IntN(3) > 0 {
					continue
				}
				a, b := stack(g.IntN(4)), stack(4+g.IntN(4))
				u := spanstore.Usage{TraceID: stub.SpanContext.TraceID(), SpanID: stub.SpanContext.SpanID(),
					Samples: a.Samples + b.Samples, CPU: 30 * time.Millisecond, LateSamples: 1, Stacks: []spanstore.Stack{a, b}}
				batch.Spans = append(batch.Spans, u)
				w.samples, w.cpu, w.late = w.samples+u.Samples, w.cpu+u.CPU, w.late+1
				for _, st := range u.Stacks {
					w.stacks[st.Frames[0].Func] += st.Samples
				}
			}
		}
		for i := range 40 {
			at := start.Add(time.Duration(i) * time.Second)
			batch := spanstore.UsageBatch{Windows: []spanstore.Window{{Start: at, End: at.Add(time.Second), Period: 10 * time.Millisecond}}}
			stubs := g.Request(at, 2+g.IntN(8))
			add(stubs, &batch)
			export(t, s, stubs...)
			if err := s.AddUsage(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 {
				flush(t, s)
			}
			if i == 20 && dir != "" {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, dir, nil)
			}
		}

		got, err := s.Profiles(context.Background(), spanstore.ProfileQuery{})
		if err != nil || len(got.Problems) > 0 {
			t.Fatalf("Profiles: %v, %v", err, got.Problems)
		}
		if len(got.Profiles) != len(want) {
			t.Errorf("got %d profiles; want %d", len(got.Profiles), len(want))
		}
		for i, p := range got.Profiles {
			w := want[key{p.Service, p.Name}]
			if w == nil {
				t.Errorf("got a profile of %s %q; there are no such spans", p.Service, p.Name)
				continue
			}
			if p.Spans != w.spans || p.Usage.Samples != w.samples || p.Usage.CPU != w.cpu || p.Usage.LateSamples != w.late {
				t.Errorf("%s %q: got %d spans, %+v; want %+v", p.Service, p.Name, p.Spans, p.Usage, *w)
			}
			if p.Revision != s.Stats().Run.Revision {
				t.Errorf("%s %q: got revision %q; want this build's, %q", p.Service, p.Name, p.Revision, s.Stats().Run.Revision)
			}
			if i > 0 && p.Usage.CPU > got.Profiles[i-1].Usage.CPU {
				t.Errorf("%s %q comes after one with less CPU time", p.Service, p.Name)
			}
			for k, st := range p.Usage.Stacks {
				if st.Samples != w.stacks[st.Frames[0].Func] {
					t.Errorf("%s %q: got %d samples of %s; want %d", p.Service, p.Name, st.Samples, st.Frames[0].Func, w.stacks[st.Frames[0].Func])
				}
				if len(st.Frames) != 2 || st.Frames[1].Func != "main.main" || k > 0 && st.Samples > p.Usage.Stacks[k-1].Samples {
					t.Errorf("%s %q: got stack %d %+v; want the most frequent first, and whole", p.Service, p.Name, k, st)
				}
			}
			if len(p.Usage.Stacks) != len(w.stacks) {
				t.Errorf("%s %q: got %d stacks; want %d", p.Service, p.Name, len(p.Usage.Stacks), len(w.stacks))
			}
		}
	}
}

func TestProfilesOfSome(t *testing.T) {
	s := open(t, "", nil)
	g := spangen.New(3)
	start := time.Unix(1_700_000_000, 0).UTC()
	var usage []spanstore.Usage
	for i := range 4 {
		stub := g.Request(start.Add(time.Duration(i)*time.Minute), 1)[0]
		stub.Name = []string{"a", "b"}[i%2]
		stub.Resource = resource.Empty()
		export(t, s, stub)
		usage = append(usage, spanstore.Usage{TraceID: stub.SpanContext.TraceID(), SpanID: stub.SpanContext.SpanID(), Samples: 1 + i, CPU: time.Second})
	}
	if err := s.AddUsage(ctx, spanstore.UsageBatch{Spans: usage, Windows: []spanstore.Window{{Start: start, End: start.Add(time.Hour), Period: time.Millisecond}}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		q       spanstore.ProfileQuery
		samples []int
	}{
		{spanstore.ProfileQuery{}, []int{4, 6}},
		{spanstore.ProfileQuery{Name: "b"}, []int{6}},
		{spanstore.ProfileQuery{From: start.Add(time.Minute)}, []int{3, 6}},
		{spanstore.ProfileQuery{To: start.Add(time.Minute)}, []int{1}},
		{spanstore.ProfileQuery{Service: "nobody"}, nil},
		{spanstore.ProfileQuery{From: start.Add(2 * time.Hour)}, nil},
	} {
		got, err := s.Profiles(ctx, tt.q)
		if err != nil {
			t.Fatal(err)
		}
		var samples []int
		byName := map[string]int{}
		for _, p := range got.Profiles {
			byName[p.Name] = p.Usage.Samples
		}
		for _, name := range []string{"a", "b"} {
			if n, ok := byName[name]; ok {
				samples = append(samples, n)
			}
		}
		if fmt.Sprint(samples) != fmt.Sprint(tt.samples) {
			t.Errorf("%+v: got samples %v; want %v", tt.q, samples, tt.samples)
		}
	}
	var none *spanstore.Store
	if got, err := none.Profiles(ctx, spanstore.ProfileQuery{}); err != nil || len(got.Profiles) != 0 {
		t.Errorf("a nil store: got %v, %v; want nothing", got, err)
	}
}

// The mean is that of the spans for which a CPU profile ran: those in holes, in
// windows in which only local roots were labelled and beyond all windows are left
// out, with what was measured of them.
func TestMeanCPUOfWatchedSpans(t *testing.T) {
	s := open(t, "", nil)
	g := spangen.New(4)
	start := time.Unix(1_700_000_000, 0).UTC()
	sec := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	window := func(from, to int, roots bool, hole string) spanstore.Window {
		w := spanstore.Window{Start: sec(from), End: sec(to), RootsOnly: roots, Hole: hole}
		if hole == "" {
			w.Period = 10 * time.Millisecond
		}
		return w
	}
	next := window(10, 20, false, "")
	next.Start = next.Start.Add(20 * time.Millisecond) // between two windows
	batch := spanstore.UsageBatch{Windows: []spanstore.Window{
		window(0, 10, false, ""), next, window(20, 30, true, ""), window(30, 40, false, "paused"), window(40, 50, false, ""),
	}}
	for _, at := range []struct {
		from, to int
		name     string
		samples  int
	}{
		{1, 2, "a", 4}, {9, 11, "a", 0}, {45, 46, "a", 4}, // watched
		{21, 22, "a", 50}, {19, 21, "a", 1}, {32, 33, "a", 0}, {29, 45, "a", 9}, {60, 61, "a", 0},
		{2, 3, "quiet", 0}, {3, 4, "quiet", 0},
		{33, 34, "unseen", 0},
	} {
		stub := g.Request(sec(at.from), 1)[0]
		stub.Name, stub.Resource, stub.StartTime, stub.EndTime = at.name, resource.Empty(), sec(at.from), sec(at.to)
		export(t, s, stub)
		if at.samples > 0 {
			batch.Spans = append(batch.Spans, spanstore.Usage{TraceID: stub.SpanContext.TraceID(), SpanID: stub.SpanContext.SpanID(),
				Samples: at.samples, CPU: time.Duration(at.samples) * 15 * time.Millisecond})
		}
	}
	if err := s.AddUsage(ctx, batch); err != nil {
		t.Fatal(err)
	}
	got, err := s.Profiles(ctx, spanstore.ProfileQuery{})
	if err != nil || len(got.Profiles) != 3 {
		t.Fatalf("got %+v, %v; want three profiles", got, err)
	}
	for _, p := range got.Profiles {
		want := map[string]spanstore.MeanCPU{
			"a":      {Spans: 3, Samples: 8, Value: 40 * time.Millisecond, Low: 10 * time.Millisecond, High: 70 * time.Millisecond}, // 2·15·√(8+1) by 3
			"quiet":  {Spans: 2, High: 15 * time.Millisecond},
			"unseen": {},
		}[p.Name]
		if p.CPU != want {
			t.Errorf("%s: got %+v; want %+v", p.Name, p.CPU, want)
		}
	}
	if p := got.Profiles[0]; p.Spans != 8 || p.Usage.Samples != 68 {
		t.Errorf("got %d spans with %d samples; want all 8 with 68", p.Spans, p.Usage.Samples)
	}
}
