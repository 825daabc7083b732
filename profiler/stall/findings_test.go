package stall_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// seg is an exact segment in a literal trace, in milliseconds since the span's
// start.
type seg struct {
	from, to float64
	state    stall.State
	wait     int
	stolen   float64
}

// exact gives a span what an execution trace would tell of it.
func exact(t *spanstore.Trace, id uint64, waits []spanstore.Wait, segs ...seg) {
	e := &spanstore.Exact{Goroutines: 1, Waits: waits}
	for i := range t.Spans {
		if t.Spans[i].SpanID() == spanID(id) {
			e.Start, e.End = t.Spans[i].Start, t.Spans[i].End
		}
	}
	for _, s := range segs {
		d := func(x float64) time.Duration { return time.Duration(x * float64(ms)) }
		e.Segments = append(e.Segments, spanstore.StateSegment{From: d(s.from), To: d(s.to), State: string(s.state), Wait: s.wait, Stolen: d(s.stolen)})
		if s.state == stall.StateCPU {
			e.Running += d(s.to - s.from)
			e.Stolen += d(s.stolen)
		}
		if s.wait >= 0 {
			e.Waits[s.wait].Total += d(s.to - s.from)
			e.Waits[s.wait].Count++
		}
	}
	e.StolenLow, e.StolenHigh = e.Stolen, e.Stolen
	u := t.Usage[spanID(id)]
	u.TraceID, u.SpanID, u.Exact = t.ID, spanID(id), e
	t.Usage[spanID(id)] = u
}

func waitAt(state stall.State, fn string, waker ...string) []spanstore.Wait {
	w := spanstore.Wait{State: string(state), Stack: []spanstore.Frame{{Func: "runtime.gopark"}, {Func: fn, File: "/src/app/pay.go", Line: 42}, {Func: "main.main"}}}
	for _, f := range waker {
		w.Waker = append(w.Waker, spanstore.Frame{Func: f, File: "/src/app/cache.go", Line: 7})
	}
	return []spanstore.Wait{w}
}

// TestCauses: what a span did in its own time is named, with the place.
func TestCauses(t *testing.T) {
	server := span{1, 0, "GET /pay", 0, 100, trace.SpanKindServer, "shop", nil}
	for _, tt := range []struct {
		name  string
		waits []spanstore.Wait
		segs  []seg
		kind  string
		saves float64
		words []string
	}{
		{"a mutex", waitAt(stall.StateLock, "example.com/app.charge", "example.com/app.refresh"), []seg{{0, 20, "cpu", -1, 0}, {20, 90, "lock", 0, 0}, {90, 100, "cpu", -1, 0}}, stall.LockWait, 70,
			[]string{"70 ms of 100 ms", "lock", "at app.charge (pay.go:42)", "let go by app.refresh (cache.go:7)"}},
		{"a channel", waitAt(stall.StateChan, "example.com/app.enqueue"), []seg{{0, 80, "chan", 0, 0}, {80, 100, "cpu", -1, 0}}, stall.ChannelWait, 80, []string{"channel", "app.enqueue"}},
		{"a pool", []spanstore.Wait{{State: "select", Stack: []spanstore.Frame{{Func: "database/sql.(*DB).conn"}, {Func: "example.com/app.load", File: "x.go", Line: 3}}}},
			[]seg{{0, 60, "select", 0, 0}, {60, 100, "cpu", -1, 0}}, stall.PoolWait, 60, []string{"connection of its pool", "app.load (x.go:3)"}},
		{"sleep", waitAt(stall.StateSleep, "example.com/app.retry"), []seg{{0, 50, "sleep", 0, 0}, {50, 100, "cpu", -1, 0}}, stall.SleepWait, 50, []string{"slept for 50 ms"}},
		{"the network", waitAt(stall.StateNet, "example.com/app.fetch"), []seg{{0, 90, "net", 0, 0}, {90, 100, "cpu", -1, 0}}, stall.PeerWait, 90, []string{"network", "app.fetch"}},
		{"a file", waitAt(stall.StateSyscall, "example.com/app.save"), []seg{{0, 90, "syscall", 0, 0}, {90, 100, "cpu", -1, 0}}, stall.BlockingSyscall, 90, []string{"system call", "app.save"}},
		{"the collector", nil, []seg{{0, 40, "gc_assist", -1, 0}, {40, 50, "stw", -1, 0}, {50, 100, "cpu", -1, 0}}, stall.GCAssistWork, 50, []string{"garbage collector"}},
		{"the run queue", waitAt(stall.StateRunnable, "x"), []seg{{0, 70, "runnable", 0, 0}, {70, 100, "cpu", -1, 0}}, stall.CPUWait, 70, []string{"Go's run queue", "GOMAXPROCS"}},
		{"the kernel", nil, []seg{{0, 100, "cpu", -1, 60}}, stall.CPUWait, 60, []string{"kernel", "quota"}},
		{"computing", nil, []seg{{0, 100, "cpu", -1, 0}}, stall.CPUWork, 100, []string{"computed for 100 ms", "no child span"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := literal(server)
			exact(tr, 1, tt.waits, tt.segs...)
			a := stall.Analyze(tr)
			check(t, a)
			if len(a.Findings) == 0 {
				t.Fatalf("no finding: %+v", a.Nodes[0].States)
			}
			f := a.Findings[0]
			if f.Kind != tt.kind || f.Saves != time.Duration(tt.saves*float64(ms)) || len(f.Spans) != 1 || f.Spans[0] != 0 {
				t.Errorf("got %+v; want %s saving %v ms", f, tt.kind, tt.saves)
			}
			for _, w := range tt.words {
				if !strings.Contains(f.Text, w) {
					t.Errorf("got %q; want %q in it", f.Text, w)
				}
			}
		})
	}
}

// TestExactStates: states add up to the wall time and keep their places; time of
// awaited children is theirs, whatever the goroutine did.
func TestExactStates(t *testing.T) {
	tr := literal(
		span{1, 0, "root", 0, 100, trace.SpanKindServer, "s", nil},
		span{2, 1, "child", 30, 60, 0, "s", nil},
	)
	exact(tr, 1, waitAt(stall.StateLock, "x"), seg{0, 10, "cpu", -1, 4}, seg{10, 50, "lock", 0, 0}, seg{50, 90, "cpu", -1, 0})
	a := stall.Analyze(tr)
	check(t, a)
	compare(t, "root", a.Nodes[0].States, []stall.Share{
		{stall.StateCovered, 30 * ms, 30 * ms, 30 * ms, stall.Exact},
		{stall.StateCPU, 36 * ms, 36 * ms, 36 * ms, stall.Exact},
		{stall.StateLock, 20 * ms, 20 * ms, 20 * ms, stall.Exact},
		{stall.StateUnknown, 10 * ms, 10 * ms, 10 * ms, stall.None},
		{stall.StateSteal, 4 * ms, 4 * ms, 4 * ms, stall.Inferred},
	})
	if got := a.Nodes[0].Timeline; len(got) != 3 || got[1].From != 10*ms || got[1].To != 30*ms || got[2].From != 60*ms || got[2].To != 90*ms {
		t.Errorf("timeline: got %+v", got)
	}
	if got := a.Nodes[0].CPU.Evidence; got != stall.None {
		t.Errorf("CPU of a span that is not covered whole: got %v; want %v", got, stall.None)
	}
	exact(tr, 1, nil, seg{0, 100, "cpu", -1, 10})
	exact(tr, 2, nil, seg{0, 30, "cpu", -1, 0})
	a = stall.Analyze(tr)
	check(t, a)
	if got := a.Nodes[0].CPU; got.Value != 90*ms || got.Evidence != stall.Exact {
		t.Errorf("CPU: got %+v; want 90 ms, exact", got)
	}
	if got := a.CPU; got.Value != 120*ms || got.Evidence != stall.Exact || a.Nodes[0].TotalCPU != got {
		t.Errorf("CPU of the trace: got %+v and %+v; want 120 ms, exact", got, a.Nodes[0].TotalCPU)
	}
}

// TestStructure: what the order of the spans tells.
func TestStructure(t *testing.T) {
	root := span{1, 0, "GET /x", 0, 100, trace.SpanKindServer, "s", nil}
	calls := func(n int, each float64, name func(int) string) (out []span) {
		out = append(out, root)
		for i := range n {
			out = append(out, span{uint64(i + 2), 1, name(i), 5 + float64(i)*each, 5 + float64(i+1)*each, trace.SpanKindClient, "s", nil})
		}
		return out
	}
	same := func(int) string { return "SELECT users" }
	each := func(i int) string { return fmt.Sprintf("GET /%c", 'a'+i) }
	for _, tt := range []struct {
		name  string
		spans []span
		kind  string // "": no finding of structure
		saves float64
		calls int
	}{
		{"N+1", calls(9, 10, same), stall.NPlusOne, 80, 9},
		{"siblings", calls(3, 30, each), stall.SequentialSiblings, 60, 3},
		{"side by side already", []span{root, {2, 1, "GET /a", 5, 95, 3, "s", nil}, {3, 1, "GET /b", 5, 90, 3, "s", nil}}, "", 0, 0},
		{"computing between them", []span{root, {2, 1, "GET /a", 0, 20, 3, "s", nil}, {3, 1, "GET /b", 60, 80, 3, "s", nil}}, "", 0, 0},
		{"a transaction", []span{root, {2, 1, "BEGIN", 0, 40, 3, "s", nil}, {3, 1, "SELECT", 40, 70, 3, "s", nil}, {4, 1, "COMMIT", 70, 99, 3, "s", nil}}, "", 0, 0},
		{"others asked", []span{root, {2, 1, "redis.GET", 0, 40, 3, "s", nil}, {3, 1, "SELECT x", 40, 70, 3, "s", nil}, {4, 1, "POST /pay", 70, 99, 3, "s", nil}}, "", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := stall.Analyze(literal(tt.spans...))
			check(t, a)
			var got *stall.Finding
			for i := range a.Findings {
				if k := a.Findings[i].Kind; k == stall.NPlusOne || k == stall.SequentialSiblings {
					got = &a.Findings[i]
				}
			}
			if tt.kind == "" {
				if got != nil {
					t.Errorf("got %+v; want none", got)
				}
				return
			}
			if got == nil || got != &a.Findings[0] {
				t.Fatalf("got %+v; want %s first", a.Findings, tt.kind)
			}
			if want := time.Duration(tt.saves * float64(ms)); got.Kind != tt.kind || got.Saves != want || len(got.Spans) != tt.calls {
				t.Errorf("got %+v; want %s saving %v with %d spans", got, tt.kind, want, tt.calls)
			}
		})
	}
}

// TestRetry: a sleep between failed attempts is a retry loop, also one that a context may
// end early. A channel that somebody sends on is not.
func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		state stall.State
		waker []string
		kind  string
	}{
		{stall.StateSleep, nil, stall.SleepWait},
		{stall.StateSelect, nil, stall.SleepWait},
		{stall.StateChan, nil, stall.SleepWait},
		{stall.StateChan, []string{"example.com/app.send"}, stall.ChannelWait},
	} {
		tr := literal(
			span{1, 0, "GET /x", 0, 100, trace.SpanKindServer, "s", nil},
			span{2, 1, "POST bank", 0, 5, trace.SpanKindClient, "s", nil},
			span{3, 1, "POST bank", 45, 50, trace.SpanKindClient, "s", nil},
			span{4, 1, "POST bank", 90, 95, trace.SpanKindClient, "s", nil},
		)
		for i := range tr.Spans[1:3] {
			tr.Spans[i+1].Status = sdktrace.Status{Code: codes.Error}
		}
		exact(tr, 1, waitAt(tt.state, "example.com/app.try", tt.waker...), seg{5, 45, tt.state, 0, 0}, seg{50, 90, tt.state, 0, 0}, seg{95, 100, "cpu", -1, 0})
		a := stall.Analyze(tr)
		check(t, a)
		if f := a.Findings[0]; f.Kind != tt.kind || f.Saves != 80*ms || strings.Contains(f.Text, "2 failed attempts: a retry loop") != (tt.kind == stall.SleepWait) {
			t.Errorf("%s, %v: got %+v; want %s", tt.state, tt.waker, f, tt.kind)
		}
	}
}

func TestWorkAfterEnd(t *testing.T) {
	tr := literal(span{1, 0, "GET /x", 0, 20, trace.SpanKindServer, "s", nil}, span{2, 1, "audit", 15, 60, 0, "s", nil})
	a := stall.Analyze(tr)
	check(t, a)
	if len(a.Findings) == 0 || a.Findings[len(a.Findings)-1].Kind != stall.WorkAfterEnd || !strings.Contains(a.Findings[len(a.Findings)-1].Text, "40 ms after the request") {
		t.Errorf("got %+v", a.Findings)
	}
}

// TestConsumed: a message may be worked on for as long as it takes.
func TestConsumed(t *testing.T) {
	tr := literal(
		span{1, 0, "GET /x", 0, 20, trace.SpanKindServer, "s", nil},
		span{2, 1, "send orders", 5, 10, trace.SpanKindProducer, "s", nil},
		span{3, 2, "process orders", 30, 90, trace.SpanKindConsumer, "mail", nil},
		span{4, 3, "SMTP", 35, 85, trace.SpanKindClient, "mail", nil},
	)
	a := stall.Analyze(tr)
	check(t, a)
	for _, f := range a.Findings {
		if f.Kind == stall.WorkAfterEnd {
			t.Errorf("got %+v; want no such finding", f)
		}
	}
}

// TestHealthy: a trace in which nothing stands out has no finding.
func TestHealthy(t *testing.T) {
	tr := literal(
		span{1, 0, "GET /order", 0, 12, trace.SpanKindServer, "shop", nil},
		span{2, 1, "redis.GET", 0.5, 1.2, trace.SpanKindClient, "shop", nil},
		span{3, 1, "SELECT orders", 1.5, 5, trace.SpanKindClient, "shop", nil},
		span{4, 1, "POST /pay", 5.4, 10, trace.SpanKindClient, "shop", nil},
		span{5, 1, "render", 10, 11.6, 0, "shop", nil},
	)
	exact(tr, 1, waitAt(stall.StateRunnable, "x"), seg{0, 0.5, "cpu", -1, 0}, seg{1.2, 1.5, "cpu", -1, 0}, seg{5, 5.1, "runnable", 0, 0}, seg{5.1, 5.4, "cpu", -1, 0}, seg{11.6, 12, "cpu", -1, 0})
	exact(tr, 4, waitAt(stall.StateNet, "x"), seg{0, 4.6, "net", 0, 0})
	exact(tr, 5, nil, seg{0, 1.6, "cpu", -1, 0})
	a := stall.Analyze(tr)
	check(t, a)
	for _, f := range a.Findings {
		t.Errorf("got %+v; want none", f)
	}
}

// TestListsAreComplete compares what the lists have with the constants in the source.
func TestListsAreComplete(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var states, kinds int
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				lit, ok := v.Values[0].(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING || !v.Names[0].IsExported() {
					continue
				}
				text, _ := strconv.Unquote(lit.Value)
				switch id, typed := v.Type.(*ast.Ident); {
				case typed && id.Name == "State":
					if states++; !slices.Contains(stall.States(), stall.State(text)) {
						t.Errorf("States has no %s", v.Names[0].Name)
					}
				case !typed:
					if kinds++; !slices.Contains(stall.FindingKinds(), text) {
						t.Errorf("FindingKinds has no %s", v.Names[0].Name)
					}
				}
			}
		}
	}
	if states != len(stall.States()) || kinds != len(stall.FindingKinds()) {
		t.Errorf("got %d states and %d kinds in the source; want %d and %d", states, kinds, len(stall.States()), len(stall.FindingKinds()))
	}
}
