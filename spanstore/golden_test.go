package spanstore_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

var update = flag.Bool("update", false, "write the golden segment of the format anew")

// golden is a directory that an earlier version wrote, and what is in it. Format 1
// must be read for ever: a later format gets golden directories of its own, beside
// these.
type golden struct {
	dir   string                      // under testdata
	write func(t *testing.T) []string // makes the segments anew
	gone  []trace.TraceID             // traces of which the log of evictions tells
}

var goldens = []golden{
	{"format1", writeGolden, nil},
	{"format1-kept", writeGoldenKept, []trace.TraceID{goldenID(2, 20)}},
}

func (g golden) path(name string) string { return filepath.Join("testdata", g.dir, name) }

// copied is a copy of the directory's segments, to be opened.
func (g golden) copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range segments(t, g.path("")) {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// text is what the directory's segments must be read as.
func (g golden) text(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(g.path("content.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// update writes the directory anew.
func (g golden) update(t *testing.T) {
	t.Helper()
	paths := g.write(t)
	err := errors.Join(os.RemoveAll(g.path("")), os.MkdirAll(g.path(""), 0o755))
	for _, path := range paths {
		b, rerr := os.ReadFile(path)
		err = errors.Join(err, rerr, os.WriteFile(g.path(filepath.Base(path)), b, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	text := content(t, open(t, g.copied(t), readOnly), g.gone)
	if err := os.WriteFile(g.path("content.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGoldenSegments reads what an earlier version wrote.
func TestGoldenSegments(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.dir, func(t *testing.T) {
			if *update {
				g.update(t)
			}
			dir, want := g.copied(t), g.text(t)
			for _, o := range []*spanstore.Options{readOnly, {MaxBytes: spanstore.MinMaxBytes}} {
				s := open(t, dir, o)
				check(t, s)
				if got := content(t, s, g.gone); got != want {
					t.Errorf("opened with %+v the segments have other content than %s; got %s", *o, g.dir, firstDifference(got, want))
				}
				if st := s.Stats(); st.DamagedSegments != 0 {
					t.Errorf("opened with %+v: %d segments are damaged", *o, st.DamagedSegments)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func firstDifference(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	from := max(0, i-80)
	return fmt.Sprintf("%q; want %q", got[from:min(len(got), i+80)], want[from:min(len(want), i+80)])
}

// writeGolden makes the golden segment: two runs, several blocks, everything that
// a span and a usage record can hold.
func writeGolden(t *testing.T) []string {
	dir := t.TempDir()
	for run := range 2 {
		s := open(t, dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
		export(t, s, goldenSpans(run)...)
		flush(t, s)
		if err := s.AddUsage(ctx, goldenUsage(run)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	paths := segments(t, dir)
	if len(paths) != 1 {
		t.Fatalf("the golden spans take %d segments; want 1", len(paths))
	}
	return paths
}

// writeGoldenKept makes a segment that begins with what was kept of two others,
// which went at once because the ring became smaller. Of the first: traces with
// errors and their usage, a slow one, a pinned one. Of the second: the rest of one
// with an error, and an error whose trace had begun, without one, in the first.
func writeGoldenKept(t *testing.T) []string {
	dir := t.TempDir()
	s := open(t, dir, &spanstore.Options{MaxBytes: 2 * spanstore.MinMaxBytes})
	g := newTraffic()
	pinned, spread, gap := g.request("GET /pinned"), failed(g.request("GET /spread")), g.request("GET /gap")
	for i, stubs := range [][]tracetest.SpanStub{pinned, spread, gap} {
		rename(stubs, goldenID(2, 30+i), 100+10*i)
	}
	export(t, s, slices.Concat(goldenSpans(2), goldenPlain(g), pinned, spread[:2], gap[:2])...)
	if err := errors.Join(s.AddUsage(ctx, goldenUsage(2)), s.Pin(ctx, idOf(pinned))); err != nil {
		t.Fatal(err)
	}
	goldenFill(t, s, g, 2)
	export(t, s, append(failed(gap[2:]), spread[2:]...)...)
	goldenFill(t, s, g, 6)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	last := segments(t, dir)
	s = open(t, dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	export(t, s, rename(g.request("GET /after"), goldenID(2, 40), 150)...)
	flush(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths := segments(t, dir)
	if newest := paths[len(paths)-1]; newest != last[len(last)-1] {
		return []string{newest}
	}
	t.Fatal("the smaller ring has begun no segment")
	return nil
}

// rename gives a trace's spans the ids that it is looked for by.
func rename(stubs []tracetest.SpanStub, id trace.TraceID, first int) []tracetest.SpanStub {
	ids := map[trace.SpanID]trace.SpanID{}
	for i, s := range stubs {
		ids[s.SpanContext.SpanID()] = goldenSpanID(first + i)
	}
	for i := range stubs {
		s := &stubs[i]
		s.SpanContext = s.SpanContext.WithTraceID(id).WithSpanID(ids[s.SpanContext.SpanID()])
		if s.Parent.IsValid() {
			s.Parent = s.Parent.WithTraceID(id).WithSpanID(ids[s.Parent.SpanID()])
		}
	}
	return stubs
}

// goldenPlain is a route of twenty, one of which is slow.
func goldenPlain(g *traffic) (out []tracetest.SpanStub) {
	for n := range 20 {
		stubs := rename(g.request("GET /plain"), goldenID(2, 10+n), 10)
		if n == 1 {
			stubs = slow(stubs)
		}
		out = append(out, stubs...)
	}
	return out
}

// goldenFill writes until there are n segments. What is kept is chosen by what a
// span of the segment takes on average, so these take little.
func goldenFill(t *testing.T, s *spanstore.Store, g *traffic, n int) {
	t.Helper()
	for s.Stats().Segments < n {
		var stubs []tracetest.SpanStub
		for range 64 {
			stubs = append(stubs, g.request("GET /filler")...)
		}
		export(t, s, stubs...)
		flush(t, s)
	}
}

func goldenID(run, n int) (id trace.TraceID) {
	id[0], id[1], id[15] = 0x60, byte(run), byte(n)
	return id
}

func goldenSpanID(n int) (id trace.SpanID) {
	id[0], id[7] = 0x1d, byte(n)
	return id
}

// goldenSpans has every kind of value in every place.
func goldenSpans(run int) (stubs []tracetest.SpanStub) {
	start := time.Unix(1_700_000_000+int64(run)*3600, 123456789).UTC()
	nested := attribute.MapValue(attribute.String("s", "in a map"), attribute.KeyValue{Key: "list", Value: attribute.SliceValue(attribute.IntValue(1), attribute.StringValue("two"))})
	all := []attribute.KeyValue{
		attribute.Bool("bool", true), attribute.Int64("int", math.MinInt64), attribute.Float64("float", -1.5), attribute.Float64("huge", math.MaxFloat64),
		attribute.String("string", "Ünïcödé ⏱"), attribute.String("empty", ""), attribute.BoolSlice("bools", []bool{true, false}),
		attribute.Int64Slice("ints", []int64{1, -2, math.MaxInt64}), attribute.Float64Slice("floats", []float64{0.5, 1e-300}),
		attribute.StringSlice("strings", []string{"a", ""}), {Key: "bytes", Value: attribute.ByteSliceValue([]byte{0, 1, 255})},
		{Key: "nothing"}, {Key: "slice", Value: attribute.SliceValue(attribute.BoolValue(true), nested)}, {Key: "map", Value: nested},
	}
	state, _ := trace.ParseTraceState("vendor=v1,other=o")
	res := resource.NewWithAttributes("https://opentelemetry.io/schemas/1.26.0", attribute.String("service.name", "golden"), attribute.Int("process.pid", 7))
	scope := instrumentation.Scope{Name: "net/http", Version: "1.2.3", SchemaURL: "https://schema", Attributes: attribute.NewSet(attribute.Bool("x", true))}
	for n := range 20 {
		sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: goldenID(run, n/4), SpanID: goldenSpanID(n + 1), TraceFlags: trace.FlagsSampled, TraceState: state})
		s := tracetest.SpanStub{
			Name: fmt.Sprintf("span %d", n), SpanContext: sc, SpanKind: trace.SpanKind(n % 6),
			StartTime: start.Add(time.Duration(n) * time.Millisecond), EndTime: start.Add(time.Duration(n)*time.Millisecond + time.Duration(n*n)*time.Microsecond),
			Attributes: all[:n%(len(all)+1)], ChildSpanCount: n % 3, DroppedAttributes: n, DroppedEvents: n % 2, DroppedLinks: n % 5,
			Resource: res, InstrumentationScope: scope,
		}
		switch n % 4 {
		case 0: // a root
		case 1:
			s.Parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: goldenID(run, n/4), SpanID: goldenSpanID(n), TraceFlags: trace.FlagsSampled})
		case 2: // a parent elsewhere
			s.Parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: goldenID(run, n/4), SpanID: goldenSpanID(200), Remote: true, TraceState: state})
			s.Resource = nil
		case 3: // a parent in another trace
			s.Parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: goldenID(run, 99), SpanID: goldenSpanID(201)})
			s.Status = sdktrace.Status{Code: codes.Error, Description: "boom"}
			s.InstrumentationScope = instrumentation.Scope{}
		}
		for e := range n % 3 {
			s.Events = append(s.Events, sdktrace.Event{Name: fmt.Sprintf("event %d", e), Time: s.StartTime.Add(time.Duration(e)), Attributes: all[e : 2*e+2], DroppedAttributeCount: e})
		}
		for l := range n % 4 {
			s.Links = append(s.Links, sdktrace.Link{SpanContext: sc.WithSpanID(goldenSpanID(100 + l)).WithRemote(true), Attributes: all[:l], DroppedAttributeCount: l})
		}
		stubs = append(stubs, s)
	}
	stubs[17].StartTime = time.Time{}
	stubs[18].StartTime, stubs[18].EndTime = stubs[18].EndTime, stubs[18].StartTime
	return stubs
}

func goldenUsage(run int) spanstore.UsageBatch {
	start := time.Unix(1_700_000_000+int64(run)*3600, 0).UTC()
	stack := []spanstore.Frame{{Func: "golang.org/x/crypto/bcrypt.bcrypt", File: "bcrypt.go", Line: 200}, {Func: "main.login", File: "main.go", Line: 12}}
	u := spanstore.UsageBatch{Windows: []spanstore.Window{
		{Start: start, End: start.Add(10 * time.Second), Period: 10 * time.Millisecond, Samples: 900, Labeled: 40, Process: 9 * time.Second, RootsOnly: run == 1},
		{Start: start.Add(10 * time.Second), End: start.Add(11 * time.Second), Hole: "another CPU profile was running"},
	}}
	for n := range 3 {
		at := start.Add(time.Duration(n) * time.Second)
		u.Signals = append(u.Signals, spanstore.Signals{Start: at, End: at.Add(time.Second), Values: map[string]int64{"run_delay_ns": int64(n) * 1e9, "runnable": 3}})
	}
	delete(u.Signals[1].Values, "runnable")
	for n := range 8 {
		u.Spans = append(u.Spans, spanstore.Usage{
			TraceID: goldenID(run, n/4), SpanID: goldenSpanID(n + 1), Samples: n + 1, CPU: time.Duration(n+1) * 10 * time.Millisecond, LateSamples: n % 2,
			Stacks: []spanstore.Stack{{Frames: stack[:1+n%2], Samples: n + 1}},
		})
	}
	u.Spans[3].Exact = &spanstore.Exact{
		Start: start, End: start.Add(9e6), Running: 4e6, Stolen: 2e6, StolenLow: 1e6, StolenHigh: 3e6, Goroutines: 2,
		Segments: []spanstore.StateSegment{{To: 4e6, State: "cpu", Stolen: 2e6, Wait: -1}, {From: 5e6, To: 9e6, State: "lock", Wait: 0}},
		Waits:    []spanstore.Wait{{State: "lock", Total: 4e6, Count: 3, Stack: stack, Waker: stack[1:], WakerSpan: goldenSpanID(2)}},
	}
	return u
}

// content is all that a store holds, as text with nothing left out, and what it
// knows of traces that are gone.
func content(tb testing.TB, s *spanstore.Store, gone []trace.TraceID) string {
	tb.Helper()
	ids := list(tb, s, spanstore.Query{})
	slices.SortFunc(ids, func(a, b trace.TraceID) int { return slices.Compare(a[:], b[:]) })
	var traces []*spanstore.Trace
	for _, id := range ids {
		tr, err := s.Trace(ctx, id)
		if err != nil {
			tb.Fatal(err)
		}
		traces = append(traces, tr)
	}
	var evicted []spanstore.Eviction
	for _, id := range gone {
		if ev, ok := s.Evicted(id); ok {
			evicted = append(evicted, ev)
		}
	}
	runs, err := s.Runs(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return contentOf(tb, traces, evicted, runs)
}

func contentOf(tb testing.TB, traces []*spanstore.Trace, gone []spanstore.Eviction, runs []spanstore.Run) string {
	tb.Helper()
	type attr struct {
		Key, Type string
		Value     any
	}
	attrs := func(kvs []attribute.KeyValue) (out []attr) {
		for _, kv := range kvs {
			out = append(out, attr{string(kv.Key), kv.Value.Type().String(), kv.Value.String()})
		}
		return out
	}
	sc := func(c trace.SpanContext) string {
		return fmt.Sprintf("%s %s %s %q remote %v", c.TraceID(), c.SpanID(), c.TraceFlags(), c.TraceState(), c.IsRemote())
	}
	var out []any
	for _, tr := range traces {
		for _, sp := range tr.Spans {
			m := map[string]any{
				"context": sc(sp.SpanContext), "parent": sc(sp.Parent), "name": sp.Name, "kind": sp.Kind, "start": sp.Start, "end": sp.End,
				"attributes": attrs(sp.Attributes), "status": fmt.Sprint(sp.Status.Code, " ", sp.Status.Description), "children": sp.ChildSpanCount,
				"dropped": []int{sp.DroppedAttributes, sp.DroppedEvents, sp.DroppedLinks}, "usage": tr.Usage[sp.SpanID()],
				"scope": []any{sp.Scope.Name, sp.Scope.Version, sp.Scope.SchemaURL, attrs(sp.Scope.Attributes.ToSlice())},
			}
			if sp.Resource != nil {
				m["resource"] = []any{sp.Resource.SchemaURL(), attrs(sp.Resource.Attributes())}
			}
			var events, links []any
			for _, e := range sp.Events {
				events = append(events, []any{e.Name, e.Time.UTC(), e.DroppedAttributeCount, attrs(e.Attributes)})
			}
			for _, l := range sp.Links {
				links = append(links, []any{sc(l.SpanContext), l.DroppedAttributeCount, attrs(l.Attributes)})
			}
			m["events"], m["links"] = events, links
			out = append(out, m)
		}
		out = append(out, tr.Windows, tr.Signals)
		if tr.Kept != "" || len(tr.Problems) > 0 {
			out = append(out, []any{tr.Kept, tr.Problems})
		}
	}
	for _, ev := range gone {
		out = append(out, []any{ev.When.UTC(), ev.Why, ev.Since.UTC()})
	}
	for _, r := range runs {
		out = append(out, r)
	}
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(b) + "\n"
}
