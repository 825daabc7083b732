package httpui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/spanstore"
)

// flameStore holds 200 requests, each with a query below it. Of the slowest five,
// which waited for a lock, the exact states are known.
func flameStore(t testing.TB) *spanstore.Store {
	t.Helper()
	s := emptyStore(t)
	lock := []spanstore.Frame{{Func: "sync.(*Mutex).Lock", File: "mutex.go", Line: 46}, {Func: "main.pay", File: "pay.go", Line: 7}}
	var stubs []tracetest.SpanStub
	batch := spanstore.UsageBatch{Windows: []spanstore.Window{{Start: epoch.Add(-time.Minute), End: epoch.Add(time.Minute), Period: 10 * time.Millisecond}}}
	for i := range 200 {
		id := trace.TraceID{1, byte(i)}
		from, wall := float64(10*i), 10.0
		if i < 5 {
			wall = 100
		}
		stubs = append(stubs,
			stub(id, 1, 0, "POST /pay", trace.SpanKindServer, from, from+wall),
			stub(id, 2, 1, "pg.query", trace.SpanKindClient, from+1, from+5),
		)
		root := spanstore.Usage{TraceID: id, SpanID: trace.SpanID{7: 1}, Samples: 1, CPU: 10 * time.Millisecond,
			Stacks: []spanstore.Stack{{Samples: 1, Frames: []spanstore.Frame{{Func: "main.pay", File: "pay.go", Line: 9}}}}}
		if i < 5 {
			at := epoch.Add(time.Duration(from * 1e6))
			root.Exact = &spanstore.Exact{
				Start: at, End: at.Add(100 * time.Millisecond),
				Segments: []spanstore.StateSegment{
					{To: time.Millisecond, State: "cpu", Wait: -1},
					{From: 5 * time.Millisecond, To: 95 * time.Millisecond, State: "lock", Wait: 0},
					{From: 95 * time.Millisecond, To: 100 * time.Millisecond, State: "cpu", Stolen: 2 * time.Millisecond, Wait: -1},
				},
				Waits: []spanstore.Wait{{State: "lock", Total: 90 * time.Millisecond, Count: 1, Stack: lock}},
			}
			batch.Spans = append(batch.Spans, spanstore.Usage{TraceID: id, SpanID: trace.SpanID{7: 2}, Exact: &spanstore.Exact{
				Start: at.Add(time.Millisecond), End: at.Add(5 * time.Millisecond),
				Segments: []spanstore.StateSegment{{To: 4 * time.Millisecond, State: "net", Wait: -1}},
			}})
		}
		batch.Spans = append(batch.Spans, root)
	}
	export(t, s, stubs...)
	if err := s.AddUsage(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
	return s
}

type flameAnswer struct {
	By     string
	Groups []struct {
		Service, Name, Revision, Evidence string
		Spans                             int
		ExactSpans                        int               `json:"exact_spans"`
		P99Spans                          int               `json:"p99_spans"`
		WallNS                            int64             `json:"wall_ns"`
		ExactWallNS                       int64             `json:"exact_wall_ns"`
		CPUNS                             int64             `json:"cpu_ns"`
		LowNS                             int64             `json:"cpu_low_ns"`
		HighNS                            int64             `json:"cpu_high_ns"`
		P99WallNS                         int64             `json:"p99_wall_ns"`
		States                            map[string]int64  `json:"states"`
		P99States                         map[string]int64  `json:"p99_states"`
		Evidences                         map[string]string `json:"state_evidence"`
	}
	Frames []struct {
		Func, File string
		Line       int
	}
	Stacks []struct {
		Group       int
		Kind, State string
		NS          int64
		Count       int
		Frames      []int
	}
	Problems []string
}

func askFlame(t *testing.T, s *spanstore.Store, query string) (f flameAnswer) {
	t.Helper()
	a := ask(httpui.Handler(s, nil), "/t/flame?format=json&"+query)
	if err := json.Unmarshal([]byte(a.body), &f); err != nil || a.status != 200 {
		t.Fatalf("got %d %s: %v", a.status, a.body, err)
	}
	return f
}

// TestFlame: the figures are those of the store's profiles, and a group's states add
// up to the wall time of the spans that they are of.
func TestFlame(t *testing.T) {
	s := flameStore(t)
	for by, grouping := range map[string]spanstore.Grouping{"name": spanstore.ByName, "route": spanstore.ByRoute, "build": spanstore.ByBuild} {
		want, err := s.Profiles(context.Background(), spanstore.ProfileQuery{By: grouping})
		if err != nil {
			t.Fatal(err)
		}
		got := askFlame(t, s, "by="+by)
		if got.By != by || len(got.Groups) != len(want.Profiles) || len(got.Problems) != 0 {
			t.Fatalf("by %s: got %+v; want %d groups", by, got, len(want.Profiles))
		}
		for i, g := range got.Groups {
			p := want.Profiles[i]
			if g.Service != p.Service || g.Name != p.Name || g.Revision != p.Revision || g.Spans != p.Spans || g.ExactSpans != p.Exact.Spans ||
				g.WallNS != int64(p.Wall)/int64(p.Spans) || g.CPUNS != int64(p.CPU.Value) || g.LowNS != int64(p.CPU.Low) || g.HighNS != int64(p.CPU.High) || g.P99WallNS != int64(p.P99) {
				t.Errorf("by %s: got %+v; want %+v", by, g, p)
			}
			sum := int64(0)
			for _, ns := range g.States {
				sum += ns
			}
			if sum != g.ExactWallNS {
				t.Errorf("by %s: the states of %s add up to %d; want %d", by, g.Name, sum, g.ExactWallNS)
			}
		}
	}
}

func TestFlameByName(t *testing.T) {
	f := askFlame(t, flameStore(t), "name=POST+%2Fpay")
	if len(f.Groups) != 1 {
		t.Fatalf("got %+v; want one group", f.Groups)
	}
	g := f.Groups[0]
	states := fmt.Sprint(map[string]int64{"cpu": 4e6, "steal": 2e6, "lock": 90e6, "covered": 4e6})
	if g.Spans != 200 || g.ExactSpans != 5 || g.P99Spans != 5 || g.Evidence != "sampled" || fmt.Sprint(g.States) != states || fmt.Sprint(g.P99States) != states {
		t.Errorf("got %+v; want states %s, on average and beyond p99", g, states)
	}
	if d := g.P99WallNS - 100e6; d < -2e6 || d > 2e6 {
		t.Errorf("got p99 %d; want 100 ms", g.P99WallNS)
	}
	if len(f.Stacks) != 2 {
		t.Fatalf("got %+v; want a stack on CPU and one that waits", f.Stacks)
	}
	for _, st := range f.Stacks {
		leaf := f.Frames[st.Frames[0]].Func
		switch {
		case st.Kind == "cpu" && st.State == "cpu" && st.NS == 2e9 && st.Count == 200 && leaf == "main.pay":
		case st.Kind == "wait" && st.State == "lock" && st.NS == 450e6 && st.Count == 5 && leaf == "sync.(*Mutex).Lock" && len(st.Frames) == 2:
		default:
			t.Errorf("got %+v, %s", st, leaf)
		}
	}
}

func TestFlameByRoute(t *testing.T) {
	f := askFlame(t, flameStore(t), "by=route")
	if len(f.Groups) != 1 || f.Groups[0].Name != "POST /pay" || f.Groups[0].Spans != 200 {
		t.Fatalf("got %+v; want the one route", f.Groups)
	}
	want := fmt.Sprint(map[string]int64{"cpu": 4e6, "steal": 2e6, "lock": 90e6, "net": 4e6})
	if got := fmt.Sprint(f.Groups[0].States); got != want {
		t.Errorf("got states %s; want %s: those of the query are the request's", got, want)
	}
}

// TestFlameOfSamplesAlone: without exact states a route has its CPU time and the rest.
func TestFlameOfSamplesAlone(t *testing.T) {
	f := askFlame(t, loginStore(t), "by=route")
	if len(f.Groups) != 1 {
		t.Fatalf("got %+v; want one route", f.Groups)
	}
	g := f.Groups[0]
	want := fmt.Sprint(map[string]int64{"cpu": 60e6, "unknown": 79e6})
	if fmt.Sprint(g.States) != want || g.Evidences["cpu"] != "sampled" || g.Evidences["unknown"] != "none" || g.ExactSpans != 0 {
		t.Errorf("got %+v; want states %s, from samples", g, want)
	}
	if f := askFlame(t, loginStore(t), "by=name"); len(f.Groups[0].States) != 0 {
		t.Errorf("by name: got %v; want no states, as children's time is not known", f.Groups[0].States)
	}
}

func TestFlameText(t *testing.T) {
	h := httpui.Handler(flameStore(t), nil)
	a := ask(h, "/t/flame?by=route&format=text")
	for _, want := range []string{"1 route\n", "POST /pay", "L 90 ms", "N NET", "L LOCK", "T STEAL", "main.pay (pay.go:7)", "LLLLLLLLLLLLLLLLL", "On CPU"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q in\n%s", want, a.body)
		}
	}
	if a := ask(httpui.Handler(loginStore(t), nil), "/t/flame?format=text"); !strings.Contains(a.body, "profiler.Options.Exact") {
		t.Errorf("without exact states: got\n%s", a.body)
	}
	if a := ask(httpui.Handler(nil, nil), "/t/flame?format=text"); a.status != 200 || !strings.Contains(a.body, "No span") {
		t.Errorf("without a store: got %d %s", a.status, a.body)
	}
	for _, q := range []string{"by=colour", "from=yesterday", "to=1"} {
		if a := ask(h, "/t/flame?format=json&"+q); a.status != 400 || !strings.Contains(a.body, "bad value") {
			t.Errorf("%s: got %d %s; want a refusal", q, a.status, a.body)
		}
	}
	if a := ask(h, "/t/flame?service=nobody&format=json"); a.status != 200 || !strings.Contains(a.body, `"groups":[],"frames":[],"stacks":[]`) {
		t.Errorf("nothing matches: got %d %s", a.status, a.body)
	}
}
