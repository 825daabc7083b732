package stall_test

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// Where only local roots were labelled, no sample in a span below one is no bound.
func TestCPUOfLocalRootsOnly(t *testing.T) {
	tr := literal(
		span{id: 1, name: "root", end: 300},
		span{id: 2, parent: 1, name: "child", start: 10, end: 90},
		span{id: 3, parent: 2, name: "grandchild", start: 20, end: 80},
		span{id: 4, parent: 1, name: "later", start: 210, end: 290},
	)
	tr.Windows = []spanstore.Window{window(-10, 100, ""), window(100, 400, "")}
	tr.Windows[0].RootsOnly = true
	sample(tr, 1, 12)
	sample(tr, 4, 2)
	a := stall.Analyze(tr)
	check(t, a)
	root, child, later := a.Nodes[0], a.Nodes[1], a.Nodes[3]
	if root.CPU.Samples != 12 || root.CPU.Evidence != stall.Sampled || !strings.Contains(root.CPU.Reason, "local roots") {
		t.Errorf("got %+v for the root; want its 12 samples and what they are of", root.CPU)
	}
	for _, cpu := range []stall.CPU{child.CPU, child.TotalCPU, a.Nodes[2].CPU} {
		if cpu.Evidence != stall.None || cpu.High != 0 || !strings.Contains(cpu.Reason, "local root") {
			t.Errorf("got %+v below it; want none, and why", cpu)
		}
	}
	if later.CPU.Evidence != stall.Sampled || later.CPU.Samples != 2 || later.CPU.Reason != "" {
		t.Errorf("got %+v in the window after; want its own figure", later.CPU)
	}
	if a.CPU.Samples != 14 {
		t.Errorf("got %d samples in the trace; want 14", a.CPU.Samples)
	}
}

func TestSpanCPU(t *testing.T) {
	whole := []spanstore.Window{window(-1000, 9000, "")}
	var nine []spanstore.Window
	for i := range 9 {
		nine = append(nine, window(float64(100*i), float64(100*i+100), ""))
	}
	for _, tt := range []struct {
		name    string
		wall    float64
		samples int
		windows []spanstore.Window
		want    stall.CPU
		text    string
	}{
		{"on CPU all the time", 60, 6, whole,
			stall.CPU{Value: 60 * ms, Low: 46 * ms, High: 74 * ms, Samples: 6, Evidence: stall.Sampled}, "≈ 60 ms (46–74)"},
		{"a part of the wall time", 139, 6, whole, // √(14² + 4·10²·7·(1-60/139))
			stall.CPU{Value: 60 * ms, Low: 60*ms - 42_277_262, High: 60*ms + 42_277_262, Samples: 6, Evidence: stall.Sampled}, "≈ 60 ms (18–102)"},
		{"more than one goroutine can have been", 30, 6, whole, // √(14² + 4·10²·7)
			stall.CPU{Value: 60 * ms, Low: 60*ms - 54_735_729, High: 60*ms + 54_735_729, Samples: 6, Evidence: stall.Sampled}, "≈ 60 ms (5.3–115)"},
		{"one sample", 10, 1, whole,
			stall.CPU{Value: 10 * ms, Low: 0, High: 24 * ms, Samples: 1, Evidence: stall.Sampled}, "≈ 10 ms (0–24)"},
		{"no sample is a bound", 139, 0, whole,
			stall.CPU{High: 30 * ms, Evidence: stall.Sampled}, "< 30 ms"},
		{"a bound is not more than the wall time", 3, 0, whole,
			stall.CPU{High: 3 * ms, Evidence: stall.Sampled}, "< 3 ms"},
		{"many windows raise the bound", 900, 0, nine,
			stall.CPU{High: 42 * ms, Evidence: stall.Sampled}, "< 42 ms"},
		{"four windows double the interval", 200, 20, []spanstore.Window{window(0, 50, ""), window(50, 100, ""), window(100, 150, ""), window(150, 200, "")},
			stall.CPU{Value: 200 * ms, Low: 172 * ms, High: 228 * ms, Samples: 20, Evidence: stall.Sampled}, "≈ 200 ms (172–228)"},
		{"windows that only touch do not count", 50, 5, []spanstore.Window{window(-50, 0, ""), window(0, 50, ""), window(50, 100, "")},
			stall.CPU{Value: 50 * ms, Low: 36 * ms, High: 64 * ms, Samples: 5, Evidence: stall.Sampled}, "≈ 50 ms (36–64)"},
		{"a gap widens the upper end", 50, 5, []spanstore.Window{window(-50, 50-3, "")},
			stall.CPU{Value: 50 * ms, Low: 36 * ms, High: 67 * ms, Samples: 5, Evidence: stall.Sampled,
				Reason: "3 ms of 50 ms not covered: between two CPU profile windows"}, "≈ 50 ms (36–67)"},
		{"a hole widens the bound and is named", 100, 0, []spanstore.Window{window(0, 60, ""), window(60, 100, "another CPU profile was running")},
			stall.CPU{High: 70 * ms, Evidence: stall.Sampled,
				Reason: "40 ms of 100 ms not covered: another CPU profile was running"}, "< 70 ms"},
		{"only a hole", 100, 0, []spanstore.Window{window(-10, 100, "another CPU profile was running")},
			stall.CPU{Evidence: stall.None, Reason: "another CPU profile was running"}, "?"},
		{"nobody looked", 100, 0, nil,
			stall.CPU{Evidence: stall.None, Reason: "no CPU profile covers it"}, "?"},
		{"samples whose window is gone", 30, 3, nil,
			stall.CPU{Value: 30 * ms, Low: 16 * ms, High: 74 * ms, Samples: 3, Evidence: stall.Sampled,
				Reason: "30 ms of 30 ms not covered: no CPU profile covers it"}, "≈ 30 ms (16–74)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := literal(span{id: 1, name: "s", end: tt.wall})
			tr.Windows = tt.windows
			if tt.samples > 0 {
				sample(tr, 1, tt.samples)
			}
			a := stall.Analyze(tr)
			check(t, a)
			got := a.Nodes[0].CPU
			if rounded(got) != rounded(tt.want) {
				t.Errorf("got %+v; want %+v", got, tt.want)
			}
			if got.String() != tt.text {
				t.Errorf("as text: got %q; want %q", got, tt.text)
			}
			if a.CPU != got {
				t.Errorf("the trace of one span: got %+v; want its %+v", a.CPU, got)
			}
		})
	}
}

// rounded is c to the microsecond, for intervals that have a root in them.
func rounded(c stall.CPU) stall.CPU {
	c.Low, c.High = c.Low.Round(time.Microsecond), c.High.Round(time.Microsecond)
	return c
}

// Samples that were lost give the others more worth, and widen the interval with
// their number.
func TestLostSamplesWidenTheInterval(t *testing.T) {
	half := func(samples int, cpu time.Duration) time.Duration {
		tr := literal(span{id: 1, name: "s", end: float64(cpu) / float64(ms)})
		tr.Windows = []spanstore.Window{window(-1000, 11_000, "")}
		tr.Usage[spanID(1)] = spanstore.Usage{TraceID: tr.ID, SpanID: spanID(1), Samples: samples, CPU: cpu}
		got := stall.Analyze(tr).Nodes[0].CPU
		if got.Value != cpu || got.Value-got.Low != got.High-got.Value {
			t.Errorf("%d samples worth %v: got %+v; want that value amid its interval", samples, cpu, got)
		}
		return got.High - got.Value
	}
	for _, tt := range []struct {
		samples   int
		cpu, want time.Duration
	}{
		{100, 1000 * ms, 14 * ms}, // none lost
		{100, 990 * ms, 14 * ms},  // more came than were due
		{90, 1000 * ms, 101 * ms}, // √(14² + (3·11.1)²·90·0.1)
		{9, 100 * ms, 34_500 * time.Microsecond},
	} {
		if got := half(tt.samples, tt.cpu); (got - tt.want).Abs() > ms {
			t.Errorf("%d samples worth %v: got ± %v; want ± %v", tt.samples, tt.cpu, got, tt.want)
		}
	}
}

// TestTraceCPUIsThatOfItsSummary compares the two ways to the same figure.
func TestTraceCPUIsThatOfItsSummary(t *testing.T) {
	tr := literal(
		span{1, 0, "root", 0, 300, trace.SpanKindServer, "gateway", nil},
		span{2, 1, "call", 10, 290, trace.SpanKindServer, "users", nil},
		span{3, 2, "hash", 20, 280, 0, "users", nil},
	)
	tr.Windows = []spanstore.Window{window(-100, 900, "")}
	sample(tr, 1, 1)
	sample(tr, 2, 2)
	sample(tr, 3, 9)
	a := stall.Analyze(tr)
	check(t, a)
	s := &spanstore.Summary{Start: at(0), Duration: 300 * ms, Spans: 3, Services: []string{"gateway", "users"},
		Usage: spanstore.Usage{Samples: 12, CPU: 120 * ms}, Windows: tr.Windows}
	if got := stall.SummaryCPU(s); got != a.CPU {
		t.Errorf("SummaryCPU: got %+v; want Analysis.CPU %+v", got, a.CPU)
	}
	half := time.Duration(59_262_130) // √(2·14² + 4·10²·13·(1-120/300)): two services
	want := stall.CPU{Value: 120 * ms, Low: 120*ms - half, High: 120*ms + half, Samples: 12, Evidence: stall.Sampled}
	if rounded(a.CPU) != rounded(want) {
		t.Errorf("got %+v; want %+v", a.CPU, want)
	}
	for i, want := range []time.Duration{120 * ms, 110 * ms, 90 * ms} {
		if got := a.Nodes[i].TotalCPU; got.Value != want || got.Low >= want || got.High <= want || got.Evidence != stall.Sampled {
			t.Errorf("TotalCPU of node %d: got %+v; want %v inside an interval", i, got, want)
		}
	}
}

func TestLiveFiguresSayThatTheyArePreliminary(t *testing.T) {
	tr := literal(span{id: 1, name: "root", end: 100}, span{id: 2, parent: 1, name: "early", start: 10, end: 20})
	tr.Windows = []spanstore.Window{window(-1000, 50, "")}
	a := stall.AnalyzeLive(tr, at(50))
	check(t, a)
	if !a.Pending || !strings.Contains(a.Headline.Rest, "may still arrive") {
		t.Errorf("got Pending %v and headline %q; want both to say so", a.Pending, a.Headline)
	}
	if got, want := a.Nodes[0].CPU.Reason, "50 ms of 100 ms not covered: the running CPU profile window has not ended yet"; got != want {
		t.Errorf("a span that ends late: got %q; want %q", got, want)
	}
	if got := a.Nodes[1].CPU.Reason; got != "" {
		t.Errorf("a span that ended in time: got %q; want no reason", got)
	}
	if got := stall.AnalyzeLive(tr, at(100)); got.Pending {
		t.Error("covered to its end: got Pending; want not")
	}
	fresh := stall.AnalyzeLive(literal(span{id: 1, name: "root", end: 10}), time.Time{})
	if got := fresh.Nodes[0].CPU; got.Evidence != stall.None || got.Reason != "the running CPU profile window has not ended yet" {
		t.Errorf("in the first window: got %+v", got)
	}
	s := &spanstore.Summary{Start: at(0), Duration: 10 * ms}
	if got := stall.SummaryCPULive(s, time.Time{}); got.Reason != "the running CPU profile window has not ended yet" {
		t.Errorf("its line in a list: got %+v", got)
	}
}

func TestStatesAndBudget(t *testing.T) {
	sqlite := []attribute.KeyValue{attribute.String("db.system.name", "sqlite")}
	tr := literal(
		span{1, 0, "root", 0, 100, trace.SpanKindServer, "shop", nil},
		span{2, 1, "redis.GET", 10, 60, trace.SpanKindClient, "shop", nil},
		span{3, 1, "sql", 60, 70, trace.SpanKindClient, "shop", sqlite},
	)
	tr.Windows = []spanstore.Window{window(-100, 900, "")}
	sample(tr, 1, 3)
	a := stall.Analyze(tr)
	check(t, a)
	for i, want := range [][]stall.Share{
		{{stall.StateCovered, 60 * ms, 60 * ms, 60 * ms, stall.Exact}, {stall.StateCPU, 30 * ms, 0, 40 * ms, stall.Sampled},
			{stall.StateUnknown, 10 * ms, 0, 40 * ms, stall.None}},
		{{stall.StateCPU, 0, 0, 30 * ms, stall.Sampled}, {stall.StateNet, 50 * ms, 20 * ms, 50 * ms, stall.Inferred}},
		{{stall.StateCPU, 0, 0, 10 * ms, stall.Sampled}, {stall.StateUnknown, 10 * ms, 0, 10 * ms, stall.None}},
	} {
		compare(t, a.Nodes[i].Span.Name, a.Nodes[i].States, want)
	}
	compare(t, "budget", a.Budget, []stall.Share{
		{stall.StateCPU, 30 * ms, 0, 66_276_714, stall.Sampled}, // √(14² + 4·10²·4·(1-30/100)) more
		{stall.StateNet, 50 * ms, 50*ms - 36_276_714, 80 * ms, stall.Inferred},
		{stall.StateUnknown, 20 * ms, 0, 50 * ms, stall.None},
	})
}

func compare(t *testing.T, what string, got, want []stall.Share) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %+v; want %+v", what, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: got %+v; want %+v", what, got[i], want[i])
		}
	}
}

func TestCPUAsText(t *testing.T) {
	sampled := func(value, low, high time.Duration) stall.CPU {
		return stall.CPU{Value: value, Low: low, High: high, Samples: 1, Evidence: stall.Sampled}
	}
	for _, tt := range []struct {
		cpu  stall.CPU
		want string
	}{
		{stall.CPU{}, "?"},
		{stall.CPU{Value: 63_600_000, Evidence: stall.Exact}, "63.6 ms"},
		{stall.CPU{Value: 5 * ms, Evidence: stall.Inferred}, "≈ 5 ms"},
		{stall.CPU{Evidence: stall.Sampled}, "?"}, // a span without duration
		{sampled(70*ms, 55_857_865, 84_142_135), "≈ 70 ms (56–84)"},
		{sampled(8*ms, 0, 18*ms), "≈ 8 ms (0–18)"},
		{sampled(1240*ms, 1220*ms, 1260*ms), "≈ 1.24 s (1.22–1.26)"},
		{sampled(2*time.Minute, time.Minute, 3*time.Minute), "≈ 2 min 0 s (1 min 0 s–3 min 0 s)"},
	} {
		if got := tt.cpu.String(); got != tt.want {
			t.Errorf("%+v: got %q; want %q", tt.cpu, got, tt.want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0 ms"}, {1, "1 ns"}, {999, "999 ns"}, {1500, "1.5 µs"}, {500 * time.Microsecond, "500 µs"},
		{999_960, "1 ms"}, {3_924_000, "3.92 ms"}, {44_640_000, "44.6 ms"}, {139_400_000, "139 ms"},
		{1_240_000_000, "1.24 s"}, {59_990_000_000, "60 s"}, {125 * time.Second, "2 min 5 s"}, {2*time.Hour + 61*time.Second, "2 h 1 min"},
		{-52_400_000, "-52.4 ms"}, {-1 << 63, "-0 ms"},
	} {
		if got := stall.FormatDuration(tt.d); got != tt.want {
			t.Errorf("FormatDuration(%d): got %q; want %q", tt.d, got, tt.want)
		}
	}
	for _, tt := range []struct {
		part, whole time.Duration
		want        string
	}{{46, 100, "46 %"}, {1, 1000, "<1 %"}, {0, 1000, "0 %"}, {5, 0, ""}, {250, 100, "250 %"}, {9960, 10000, ">99 %"}, {10, 10, "100 %"}} {
		if got := stall.FormatPercent(tt.part, tt.whole); got != tt.want {
			t.Errorf("FormatPercent(%d, %d): got %q; want %q", tt.part, tt.whole, got, tt.want)
		}
	}
}
