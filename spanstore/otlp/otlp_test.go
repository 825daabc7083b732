package otlp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of random tests")

var (
	traceID = trace.TraceID{0xab, 15: 1}
	rootID  = trace.SpanID{0xcd, 7: 1}
	childID = trace.SpanID{7: 2}
	epoch   = time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.UTC)
)

// login is a trace in which every field is set.
func login() *spanstore.Trace {
	state, _ := trace.ParseTraceState("vendor=v1")
	root := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: rootID, TraceFlags: trace.FlagsSampled, TraceState: state})
	res := resource.NewWithAttributes("https://resource", attribute.String("service.name", "users"), attribute.Int("process.pid", 7))
	scope := instrumentation.Scope{Name: "net/http", Version: "1.2", SchemaURL: "https://scope", Attributes: attribute.NewSet(attribute.Bool("x", true))}
	frames := []spanstore.Frame{{Func: "leaf", File: "leaf.go", Line: 3}, {Func: "main.main", File: "main.go", Line: 9}}
	at := func(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }
	return &spanstore.Trace{
		ID: traceID,
		Spans: []spanstore.Span{{
			SpanContext: root, Parent: root.WithSpanID(trace.SpanID{1}).WithTraceState(trace.TraceState{}).WithRemote(true),
			Name: "POST /login", Kind: trace.SpanKindServer, Start: at(0), End: at(100),
			Attributes: []attribute.KeyValue{attribute.String("http.route", "/login"), attribute.Int64("n", math.MinInt64), attribute.Float64("nan", math.Inf(-1))},
			Events:     []sdktrace.Event{{Name: "exception", Time: at(5), Attributes: []attribute.KeyValue{attribute.String("exception.type", "E")}, DroppedAttributeCount: 2}},
			Links:      []sdktrace.Link{{SpanContext: root.WithTraceID(trace.TraceID{1}).WithRemote(true), Attributes: []attribute.KeyValue{attribute.Bool("b", true)}, DroppedAttributeCount: 1}, {}},
			Status:     sdktrace.Status{Code: codes.Error, Description: "boom"}, DroppedAttributes: 1, DroppedEvents: 2, DroppedLinks: 3,
			ChildSpanCount: 4, Resource: res, Scope: scope,
		}, {
			SpanContext: root.WithSpanID(childID).WithTraceState(trace.TraceState{}), Parent: root.WithTraceState(trace.TraceState{}),
			Name: "bcrypt", Kind: trace.SpanKindInternal, Start: at(10), End: at(90), Status: sdktrace.Status{Code: codes.Ok}, Resource: res,
		}},
		Usage: map[trace.SpanID]spanstore.Usage{
			childID: {
				TraceID: traceID, SpanID: childID, Samples: 7, CPU: 70 * time.Millisecond, LateSamples: 1,
				Stacks: []spanstore.Stack{{Frames: frames, Samples: 4}, {Frames: frames[1:], Samples: 3}},
				Exact: &spanstore.Exact{
					Start: at(10), End: at(90), Running: 71e6, Stolen: 3e6, StolenLow: 1e6, StolenHigh: 5e6, Goroutines: 2,
					Segments: []spanstore.StateSegment{{From: 0, To: 71e6, State: "cpu", Stolen: 3e6, Wait: -1}, {From: 71e6, To: 80e6, State: "lock", Wait: 0}},
					Waits:    []spanstore.Wait{{State: "lock", Total: 9e6, Count: 1, Stack: frames, Waker: frames[1:], WakerSpan: rootID}},
				},
			},
			rootID: {TraceID: traceID, SpanID: rootID},
		},
		Windows: []spanstore.Window{
			{Start: at(-500), End: at(50), Period: 10e6, Samples: 50, Labeled: 7, Process: 510e6, RootsOnly: true},
			{Start: at(50), End: at(9000), Hole: "another CPU profile was running"},
		},
		Signals:  []spanstore.Signals{{Start: at(0), End: at(1000), Values: map[string]int64{"gc_ns": 5, "big": math.MaxInt64}}},
		Kept:     "pinned",
		Problems: []string{"a part of it was evicted"},
	}
}

func roundTrip(t *testing.T, traces ...*spanstore.Trace) []*spanstore.Trace {
	t.Helper()
	b, err := otlp.Marshal(traces...)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) || !utf8.Valid(b) {
		t.Fatalf("got %q; want valid JSON", b)
	}
	got, err := otlp.Read(bytes.NewReader(b), nil)
	if err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return got
}

func TestReadsWhatItWrites(t *testing.T) {
	want := login()
	got := roundTrip(t, want, nil)
	if len(got) != 1 {
		t.Fatalf("got %d traces; want 1", len(got))
	}
	if d := spangen.Diff(*got[0], *want); d != "" {
		t.Error(d)
	}
}

// plain is a span as far as OTLP has a place for it.
func plain(s spanstore.Span) spanstore.Span {
	s.Name, s.Status.Description = each(s.Name), each(s.Status.Description)
	s.SpanContext = s.SpanContext.WithRemote(false)
	if s.Parent.SpanID().IsValid() {
		s.Parent = trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: s.TraceID(), SpanID: s.Parent.SpanID(), TraceFlags: s.SpanContext.TraceFlags(), Remote: s.Parent.IsRemote(),
		})
	} else {
		s.Parent = trace.SpanContext{}
	}
	s.Attributes = plainAttributes(s.Attributes)
	for i := range s.Events {
		s.Events[i].Name, s.Events[i].Attributes = each(s.Events[i].Name), plainAttributes(s.Events[i].Attributes)
	}
	for i := range s.Links {
		s.Links[i].Attributes = plainAttributes(s.Links[i].Attributes)
	}
	return s
}

// each replaces every byte that is no UTF-8, one by one.
func each(s string) string { return string([]rune(s)) }

func plainAttributes(kvs []attribute.KeyValue) []attribute.KeyValue {
	out := slices.Clone(kvs)
	for i := range out {
		out[i].Key, out[i].Value = attribute.Key(each(string(out[i].Key))), plainValue(out[i].Value)
	}
	return out
}

func plainValue(v attribute.Value) attribute.Value {
	switch v.Type() {
	case attribute.STRING:
		return attribute.StringValue(each(v.AsString()))
	case attribute.STRINGSLICE:
		list := v.AsStringSlice()
		for i := range list {
			list[i] = each(list[i])
		}
		return attribute.StringSliceValue(list)
	case attribute.BOOLSLICE:
		if len(v.AsBoolSlice()) == 0 {
			return attribute.StringSliceValue(nil)
		}
	case attribute.INT64SLICE:
		if len(v.AsInt64Slice()) == 0 {
			return attribute.StringSliceValue(nil)
		}
	case attribute.FLOAT64SLICE:
		if len(v.AsFloat64Slice()) == 0 {
			return attribute.StringSliceValue(nil)
		}
	case attribute.SLICE:
		return plainSlice(v.AsSlice())
	case attribute.MAP:
		return attribute.MapValue(plainAttributes(v.AsMap())...)
	}
	return v
}

func plainSlice(list []attribute.Value) attribute.Value {
	list = slices.Clone(list)
	same := true
	for i := range list {
		list[i] = plainValue(list[i])
		same = same && list[i].Type() == list[0].Type()
	}
	if !same {
		return attribute.SliceValue(list...)
	}
	switch list[0].Type() {
	case attribute.STRING:
		return attribute.StringSliceValue(all(list, attribute.Value.AsString))
	case attribute.BOOL:
		return attribute.BoolSliceValue(all(list, attribute.Value.AsBool))
	case attribute.INT64:
		return attribute.Int64SliceValue(all(list, attribute.Value.AsInt64))
	case attribute.FLOAT64:
		return attribute.Float64SliceValue(all(list, attribute.Value.AsFloat64))
	}
	return attribute.SliceValue(list...)
}

func all[T any](list []attribute.Value, f func(attribute.Value) T) (out []T) {
	for _, v := range list {
		out = append(out, f(v))
	}
	return out
}

// TestWildSpans writes and reads spans in which anything stands, many traces in
// one object and in several.
func TestWildSpans(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	var want []*spanstore.Trace
	for range 300 {
		s := g.Wild()
		want = append(want, &spanstore.Trace{ID: s.SpanContext.TraceID(), Usage: map[trace.SpanID]spanstore.Usage{}, Spans: []spanstore.Span{{
			SpanContext: s.SpanContext, Parent: s.Parent, Name: s.Name, Kind: s.SpanKind, Start: s.StartTime, End: s.EndTime,
			Attributes: s.Attributes, Events: s.Events, Links: s.Links, Status: s.Status, DroppedAttributes: s.DroppedAttributes,
			DroppedEvents: s.DroppedEvents, DroppedLinks: s.DroppedLinks, ChildSpanCount: s.ChildSpanCount,
			Resource: s.Resource, Scope: s.InstrumentationScope,
		}}})
	}
	byID := func(traces []*spanstore.Trace) map[trace.TraceID]*spanstore.Trace {
		m := map[trace.TraceID]*spanstore.Trace{}
		for _, tr := range traces {
			m[tr.ID] = tr
		}
		return m
	}
	var lines bytes.Buffer
	for _, tr := range want {
		if err := otlp.Write(&lines, tr); err != nil {
			t.Fatal(err)
		}
	}
	one, err := otlp.Read(&lines, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]map[trace.TraceID]*spanstore.Trace{"together": byID(roundTrip(t, want...)), "one by one": byID(one)} {
		if len(got) != len(want) {
			t.Fatalf("%s: got %d traces; want %d", name, len(got), len(want))
		}
		for _, w := range want {
			tr := got[w.ID]
			if tr == nil {
				t.Fatalf("%s: no trace %s", name, w.ID)
			}
			if d := spangen.Diff(tr.Spans[0], plain(w.Spans[0])); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
}

// TestThroughAStore reads a file into a store, which then has the same trace.
func TestThroughAStore(t *testing.T) {
	ctx := context.Background()
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	want, second := login(), login()
	second.ID = trace.TraceID{9}
	second.Spans = second.Spans[:1]
	second.Spans[0].SpanContext = second.Spans[0].SpanContext.WithTraceID(second.ID)
	second.Usage, second.Kept = nil, ""
	if err := otlp.Add(ctx, store, roundTrip(t, want, second)...); err != nil {
		t.Fatal(err)
	}
	got, err := store.Trace(ctx, traceID)
	if err != nil {
		t.Fatal(err)
	}
	want.Problems = nil
	if d := spangen.Diff(*got, *want); d != "" {
		t.Error(d)
	}
	other, err := store.Trace(ctx, second.ID)
	if err != nil || len(other.Windows) != len(want.Windows) || len(other.Signals) != len(want.Signals) {
		t.Errorf("got %+v, %v; want the windows and signals of the first, once", other, err)
	}
}

// TestReadsOthers reads what other exporters write.
func TestReadsOthers(t *testing.T) {
	const file = `{"resourceSpans":[
	 {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"gateway"}}],"droppedAttributesCount":0},
	  "scopeSpans":[{"spans":[
	   {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":"","name":"GET /","startTimeUnixNano":1544712660000000000,
	    "endTimeUnixNano":"1544712661000000000","kind":"SPAN_KIND_SERVER","status":{"code":"STATUS_CODE_ERROR","message":"no"},
	    "attributes":[{"key":"n","value":{"intValue":42}},{"key":"f","value":{"doubleValue":"NaN"}},{"key":"none","value":{}}],"future":{"a":[1]}},
	   {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B175","parentSpanId":"EEE19B7EC3C1B174","kind":3}]}]},
	 {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"users"}}]},
	  "scopeSpans":[{"scope":null,"spans":[
	   {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B176","parentSpanId":"EEE19B7EC3C1B175","kind":2},
	   {"traceId":"5B8EFFF798038103D269B633813FC60D","spanId":"EEE19B7EC3C1B177","parentSpanId":"0000000000000001","kind":5},
	   {"traceId":"5B8EFFF798038103D269B633813FC60D","spanId":"EEE19B7EC3C1B178","parentSpanId":"0000000000000001","kind":99}]}]}]}
	{"resourceSpans":[]}
	{}`
	got, err := otlp.Read(strings.NewReader(file), nil)
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d traces, %v; want 2", len(got), err)
	}
	var out []string
	for _, tr := range got {
		for _, s := range tr.Spans {
			out = append(out, fmt.Sprintf("%s %s %s %v %v", s.SpanID().String()[15:], s.Service(), s.Kind, s.Root(), s.LocalRoot()))
		}
	}
	slices.Sort(out)
	want := "4 gateway server true true; 5 gateway client false false; 6 users server false true; 7 users consumer false true; 8 users internal false false"
	if s := strings.ReplaceAll(strings.Join(out, "; "), "unspecified", "internal"); s != want {
		t.Errorf("got %s; want %s", s, want)
	}
	i := slices.IndexFunc(got[0].Spans, func(s spanstore.Span) bool { return s.Name == "GET /" })
	s := got[0].Spans[i]
	if n, _ := s.Attribute("n"); n.AsInt64() != 42 || s.Duration() != time.Second || s.Status.Code != codes.Error {
		t.Errorf("got %+v", s)
	}
}

func TestBadInputSaysWhere(t *testing.T) {
	span := func(fields string) string {
		return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001"` + fields + `}]}]}]`
	}
	for _, tt := range []struct{ in, want string }{
		{`x`, "this is no JSON"},
		{`[]`, "a JSON array stands at its top"},
		{`{"resourceSpans":[{"scopeSpans":[{"spans":[`, "ends too soon"},
		{`{"resourceSpans":{}}`, "a JSON object stands at resourceSpans"},
		{`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"no"}]}]}]}`, `resourceSpans[0].scopeSpans[0].spans[0].traceId: "no" is not 32 hex digits`},
		{span(`,"kind":"NONE"`) + "}", `is not a span kind`},
		{span(`,"startTimeUnixNano":"-1"`) + "}", "is not a time in nanoseconds"},
		{span(`,"droppedLinksCount":4294967296`) + "}", "is not a number from 0"},
		{span(`,"links":[{"traceId":"1"}]`) + "}", "links[0]: its ids"},
		{span("") + "}\n" + span("") + `,"spanclock":{"version":1,"traces":[{"traceId":"1"}]}}`, `object 2: spanclock.traces[0].traceId: "1" is none`},
		{span("") + `,"spanclock":{"version":1,"traces":[{"traceId":"00000000000000000000000000000001","spans":[{"spanId":"0000000000000001","measured":true,"stacks":[{"frames":[0]}]}]}]}}`,
			"stacks[0]: frame 0 of 0"},
		{span("") + `,"spanclock":{"version":1,"traces":[{"traceId":"00000000000000000000000000000001","spans":[{"spanId":"0000000000000001","measured":true,"exact":{"segments":[{"from":0,"to":1,"wait":0}]}}]}]}}`,
			"exact.segments[0].wait: 0 of 0"},
	} {
		_, err := otlp.Read(strings.NewReader(tt.in), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v; want %q", tt.in, err, tt.want)
		}
	}
}

func TestLaterVersionIsLeftOut(t *testing.T) {
	b, _ := otlp.Marshal(login())
	b = bytes.Replace(b, []byte(`"spanclock":{"version":1`), []byte(`"spanclock":{"version":2`), 1)
	got, err := otlp.Read(bytes.NewReader(b), nil)
	if err != nil || len(got) != 1 || len(got[0].Usage) != 0 || len(got[0].Problems) != 1 || !strings.Contains(got[0].Problems[0], "version 2") {
		t.Errorf("got %+v, %v; want the spans and a problem", got, err)
	}
}

func TestReadIsBounded(t *testing.T) {
	b, _ := otlp.Marshal(login())
	if _, err := otlp.Read(bytes.NewReader(b), &otlp.Options{MaxBytes: int64(len(b))}); err != nil {
		t.Errorf("got %v for an input of just the size", err)
	}
	if _, err := otlp.Read(bytes.NewReader(b), &otlp.Options{MaxBytes: int64(len(b)) - 1}); !errors.Is(err, otlp.ErrTooLarge) {
		t.Errorf("got %v; want ErrTooLarge", err)
	}
	deep := attribute.StringValue("x")
	for range 1000 {
		deep = attribute.SliceValue(deep, attribute.BoolValue(true))
	}
	tr := login()
	tr.Spans[0].Attributes = []attribute.KeyValue{{Key: "deep", Value: deep}}
	roundTrip(t, tr)
	if _, err := otlp.Read(strings.NewReader(strings.Repeat(`{"resourceSpans":[`, 20000)), nil); err == nil {
		t.Error("got no error for JSON that nests without end")
	}
}

// TestMarkupIsEscaped: the JSON may stand in a script of a page.
func TestMarkupIsEscaped(t *testing.T) {
	tr := login()
	tr.Spans[0].Name = "</script><!--&\u2028\u2029\x00\xff"
	b, err := otlp.Marshal(tr)
	if err != nil || bytes.ContainsAny(b, "<>&\u2028\u2029\x00") || !utf8.Valid(b) {
		t.Errorf("got %s, %v", b, err)
	}
	if got := roundTrip(t, tr)[0].Spans[0].Name; got != "</script><!--&\u2028\u2029\x00\uFFFD" {
		t.Errorf("got %q", got)
	}
}

func FuzzRead(f *testing.F) {
	for _, tr := range []*spanstore.Trace{login(), {}} {
		b, _ := otlp.Marshal(tr)
		f.Add(b)
	}
	f.Add([]byte(`{"resourceSpans":[null,{"scopeSpans":[null,{"scope":null,"spans":[{}]}]}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		first, err := otlp.Read(bytes.NewReader(in), &otlp.Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		second := roundTrip(t, first...)
		again := roundTrip(t, second...)
		if len(first) != len(second) || len(second) != len(again) {
			t.Fatalf("got %d, then %d, then %d traces", len(first), len(second), len(again))
		}
		// What the format cannot hold is gone after the first turn.
		for i := range second {
			if d := spangen.Diff(*again[i], *second[i]); d != "" {
				t.Fatal(d)
			}
		}
	})
}

func BenchmarkMarshal(b *testing.B) {
	tr := many(10_000)
	for b.Loop() {
		out, err := otlp.Marshal(tr)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(out)))
	}
}

func BenchmarkRead(b *testing.B) {
	in, _ := otlp.Marshal(many(10_000))
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := otlp.Read(bytes.NewReader(in), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func many(n int) *spanstore.Trace {
	tr := &spanstore.Trace{}
	for _, s := range spangen.New(1).Request(epoch, n) {
		tr.ID = s.SpanContext.TraceID()
		tr.Spans = append(tr.Spans, spanstore.Span{
			SpanContext: s.SpanContext, Parent: s.Parent, Name: s.Name, Kind: s.SpanKind, Start: s.StartTime, End: s.EndTime,
			Attributes: s.Attributes, Resource: s.Resource, Scope: s.InstrumentationScope, ChildSpanCount: s.ChildSpanCount,
		})
	}
	return tr
}

// TestAddOfMuch: what many spans used is all there, also where it is more than
// a store keeps waiting.
func TestAddOfMuch(t *testing.T) {
	tr := many(3000)
	tr.Usage = map[trace.SpanID]spanstore.Usage{}
	for i := range tr.Spans {
		u := spanstore.Usage{TraceID: tr.ID, SpanID: tr.Spans[i].SpanID(), Samples: 1}
		for k := range 40 {
			u.Stacks = append(u.Stacks, spanstore.Stack{Frames: []spanstore.Frame{{Func: fmt.Sprint("f", i, ".", k)}}, Samples: 1})
		}
		tr.Usage[u.SpanID] = u
	}
	store, err := spanstore.Open("", &spanstore.Options{MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := otlp.Add(context.Background(), store, tr); err != nil {
		t.Fatal(err)
	}
	got, err := store.Trace(context.Background(), tr.ID)
	if err != nil || len(got.Usage) != len(tr.Usage) || store.Stats().UsageDropped > 0 {
		t.Errorf("got %d usages, %d dropped, %v; want %d", len(got.Usage), store.Stats().UsageDropped, err, len(tr.Usage))
	}
}
