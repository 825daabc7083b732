package httpui_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

// columns reads the page's form of a trace, as the page does.
type columns struct {
	N     int
	Words []string
	IDs   string
	Data  map[string]string
}

// numbers decodes a column; one that is absent has n zeros.
func (c *columns) numbers(t *testing.T, name string, n int) []int64 {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(c.Data[name])
	if err != nil {
		t.Fatal(err)
	}
	var out []int64
	for len(b) > 0 {
		v, size := binary.Varint(b)
		if size <= 0 {
			t.Fatalf("column %s ends within a number", name)
		}
		out, b = append(out, v), b[size:]
	}
	if out == nil {
		out = make([]int64, n)
	}
	if len(out) != n {
		t.Fatalf("column %s has %d numbers; want %d", name, len(out), n)
	}
	return out
}

func (c *columns) word(t *testing.T, name string, i int) string {
	return c.Words[c.numbers(t, name, c.N)[i]]
}

// segments gives the stretches of each span, in nanoseconds from the trace's start.
func (c *columns) segments(t *testing.T, name string, start, wall []int64) [][][2]int64 {
	t.Helper()
	counts := c.numbers(t, name+"_count", c.N)
	stored := 0
	for _, n := range counts {
		stored += 2 * int(max(0, n))
	}
	at := c.numbers(t, name+"_at", stored)
	out := make([][][2]int64, c.N)
	for i, n := range counts {
		out[i] = [][2]int64{}
		if n < 0 {
			out[i] = append(out[i], [2]int64{start[i], start[i] + wall[i]})
		}
		end := start[i]
		for ; n > 0; n-- {
			from := end + at[0]
			end = from + at[1]
			out[i], at = append(out[i], [2]int64{from, end}), at[2:]
		}
	}
	return out
}

// TestColumnsSayWhatRowsSay compares the page's form of a trace with the one for
// programs.
func TestColumnsSayWhatRowsSay(t *testing.T) {
	s := emptyStore(t)
	samples := append(sampletrace.Cases(), sampletrace.Large(trace.TraceID{9}, 400))
	if err := sampletrace.Store(context.Background(), s, samples...); err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []bool{false, true} {
		h := httpui.Handler(s, nil)
		if hidden {
			h = httpui.Handler(s, &httpui.Options{Authorize: onlyNames})
		}
		for _, m := range samples {
			compareForms(t, h, m)
		}
	}
}

func compareForms(t *testing.T, h httpHandler, m *sampletrace.Sample) {
	t.Helper()
	path := "/t/trace/" + m.ID.String() + "?format=json"
	var rows struct {
		Spans []struct {
			SpanID     string `json:"span_id"`
			Service    string
			Name       string
			Detail     string
			Kind       string
			Status     string
			StatusText string `json:"status_text"`
			Depth      int64
			Children   int64
			StartNS    int64 `json:"start_ns"`
			WallNS     int64 `json:"wall_ns"`
			SelfNS     int64 `json:"self_ns"`
			CPUNS      int64 `json:"cpu_ns"`
			Low        int64 `json:"cpu_low_ns"`
			High       int64 `json:"cpu_high_ns"`
			Samples    int64
			Evidence   string
			Self       [][2]int64
			Critical   [][2]int64
			States     map[string]int64
			Events     int64
			Exact      *[2]int64
			Timeline   []struct {
				From  int64 `json:"from_ns"`
				To    int64 `json:"to_ns"`
				State string
			}
		}
	}
	var page struct{ Columns columns }
	for form, to := range map[string]any{"": &rows, "&columns=1": &page} {
		if err := json.Unmarshal([]byte(ask(h, path+form).body), to); err != nil {
			t.Fatal(err)
		}
	}
	c := page.Columns
	if c.N != len(rows.Spans) || len(c.IDs) != 16*c.N {
		t.Fatalf("%s: got %d spans and %d digits of ids; want %d spans", m.ID, c.N, len(c.IDs), len(rows.Spans))
	}
	start := c.numbers(t, "start", c.N)
	for i := 1; i < c.N; i++ {
		start[i] += start[i-1]
	}
	wall, cpu := c.numbers(t, "wall", c.N), c.numbers(t, "cpu", c.N)
	self, critical := c.segments(t, "self", start, wall), c.segments(t, "critical", start, wall)
	line, exact := c.segments(t, "line", start, wall), c.segments(t, "exact", start, wall)
	lineState, states := 0, 0
	stateCount := c.numbers(t, "state_count", c.N)
	total := 0
	for _, n := range stateCount {
		total += int(n)
	}
	stateWord, stateTime := c.numbers(t, "state", total), c.numbers(t, "state_time", total)
	for i, r := range rows.Spans {
		got := fmt.Sprint(c.IDs[16*i:16*i+16], c.word(t, "service", i), c.word(t, "name", i), c.word(t, "detail", i), c.word(t, "kind", i), c.word(t, "status_text", i),
			c.numbers(t, "depth", c.N)[i], c.numbers(t, "children", c.N)[i], start[i], wall[i], c.numbers(t, "self", c.N)[i],
			cpu[i], cpu[i]-c.numbers(t, "below", c.N)[i], cpu[i]+c.numbers(t, "above", c.N)[i], c.numbers(t, "samples", c.N)[i],
			[]string{"none", "inferred", "sampled", "exact"}[c.numbers(t, "flags", c.N)[i]&3], c.numbers(t, "flags", c.N)[i]&32 != 0,
			self[i], critical[i], c.numbers(t, "event_count", c.N)[i])
		want := fmt.Sprint(r.SpanID, r.Service, r.Name, r.Detail, r.Kind, r.StatusText, r.Depth, r.Children, r.StartNS, r.WallNS, r.SelfNS,
			r.CPUNS, r.Low, r.High, r.Samples, r.Evidence, r.Status == "error", r.Self, r.Critical, r.Events)
		if got != want {
			t.Fatalf("%s: span %d:\ngot  %s\nwant %s", m.ID, i, got, want)
		}
		if (r.Exact != nil) != (len(exact[i]) == 1) || r.Exact != nil && exact[i][0] != *r.Exact || len(line[i]) != len(r.Timeline) {
			t.Fatalf("%s: span %d: got %v exactly, %v; want %v, %v", m.ID, i, exact[i], line[i], r.Exact, r.Timeline)
		}
		for k, x := range r.Timeline {
			if state := c.Words[c.numbers(t, "line_state", count(line))[lineState]]; line[i][k] != [2]int64{x.From, x.To} || state != x.State {
				t.Fatalf("%s: span %d: got %v %s; want %v", m.ID, i, line[i][k], state, x)
			}
			lineState++
		}
		for range stateCount[i] {
			if name := c.Words[stateWord[states]>>2]; r.States[name] != stateTime[states] {
				t.Fatalf("%s: span %d: got %s %d; want %v", m.ID, i, name, stateTime[states], r.States)
			}
			states++
		}
	}
	if hidden := strings.Join(c.Words, "\n"); strings.Contains(hidden, "(hidden)") && strings.Contains(hidden, "broker not available") {
		t.Errorf("%s: a hidden value is among the words", m.ID)
	}
}

func count[T any](lists [][]T) (n int) {
	for _, l := range lists {
		n += len(l)
	}
	return n
}
