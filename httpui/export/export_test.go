package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui/export"
	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

var (
	traceID = trace.TraceID{0xab, 15: 1}
	epoch   = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	users   = service("users")
	orders  = service("orders")
)

func service(name string) *resource.Resource {
	return resource.NewSchemaless(attribute.String("service.name", name), attribute.Int("process.pid", 7))
}

// span makes a span of milliseconds; the parent 0 is none.
func span(id, parent uint64, name string, from, to int, res *resource.Resource) spanstore.Span {
	ctx := func(id uint64) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: trace.SpanID{7: byte(id), 6: byte(id >> 8)}, TraceFlags: 1})
	}
	s := spanstore.Span{
		SpanContext: ctx(id), Name: name, Kind: trace.SpanKindInternal, Resource: res,
		Start: epoch.Add(time.Duration(from) * time.Millisecond), End: epoch.Add(time.Duration(to) * time.Millisecond),
	}
	if parent != 0 {
		s.Parent = ctx(parent)
	}
	return s
}

// login is a request: a password is hashed, two calls run side by side, and one
// of them reaches another service.
func login() *spanstore.Trace {
	t := &spanstore.Trace{ID: traceID, Spans: []spanstore.Span{
		span(1, 0, "POST /login", 0, 100, users),
		span(2, 1, "bcrypt", 10, 60, users),
		span(3, 1, "SELECT", 60, 90, users),
		span(4, 1, "GET /orders", 65, 95, users),
		span(5, 4, "GET /orders", 67, 94, orders),
	}}
	root, hash := &t.Spans[0], &t.Spans[1]
	root.Kind, root.Status = trace.SpanKindServer, sdktrace.Status{Code: codes.Error, Description: "boom"}
	root.Scope = instrumentation.Scope{Name: "net/http", Version: "1"}
	root.Attributes = []attribute.KeyValue{
		attribute.String("http.route", "/login"), attribute.Int64("great", math.MaxInt64), attribute.Float64("nan", math.NaN()),
		attribute.Bool("b", true), attribute.Float64("f", 1.5), attribute.StringSlice("list", []string{"a", "b"}), attribute.ByteSlice("raw", []byte{1, 2}),
	}
	root.Events = []sdktrace.Event{{Name: "cache.miss", Time: root.Start.Add(5 * time.Millisecond), Attributes: []attribute.KeyValue{attribute.String("key", "k")}}}
	root.Links = []sdktrace.Link{{SpanContext: root.SpanContext.WithTraceID(trace.TraceID{9})}}
	t.Spans[4].Kind = trace.SpanKindServer
	t.Spans[4].Parent = t.Spans[4].Parent.WithRemote(true)
	frames := []spanstore.Frame{{Func: "crypto.hash", File: "hash.go", Line: 3}, {Func: "main.login", File: "main.go", Line: 9}}
	t.Usage = map[trace.SpanID]spanstore.Usage{
		hash.SpanID(): {TraceID: traceID, SpanID: hash.SpanID(), Samples: 5, CPU: 50e6, Stacks: []spanstore.Stack{{Frames: frames, Samples: 4}}},
		root.SpanID(): {TraceID: traceID, SpanID: root.SpanID(), Exact: &spanstore.Exact{
			Start: root.Start, End: root.End, Running: 5e6, Goroutines: 1,
			Segments: []spanstore.StateSegment{{From: 0, To: 4e6, State: "cpu", Wait: -1}, {From: 4e6, To: 10e6, State: "lock", Wait: 0}, {From: 95e6, To: 100e6, State: "cpu", Wait: -1}},
			Waits:    []spanstore.Wait{{State: "lock", Total: 6e6, Count: 1, Stack: frames[1:], Waker: frames, WakerSpan: hash.SpanID()}},
		}},
	}
	t.Windows = []spanstore.Window{{Start: epoch.Add(-time.Second), End: epoch.Add(time.Second), Period: 10e6, Samples: 5, Labeled: 5}}
	t.Signals = []spanstore.Signals{{Start: epoch, End: epoch.Add(time.Second), Values: map[string]int64{"gc_ns": 5}}}
	return t
}

func write(t *testing.T, f export.Format, traces ...*spanstore.Trace) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := export.NewWriter(&b, f)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range traces {
		if err := w.Add(tr); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOTLPReadsBack(t *testing.T) {
	got, err := otlp.Read(bytes.NewReader(write(t, export.OTLP, login(), login())), nil)
	if err != nil || len(got) != 1 || len(got[0].Spans) != 10 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestJaegerReadsBack(t *testing.T) {
	want := login()
	b := write(t, export.Jaeger, want)
	for _, part := range []string{
		`{"key":"great","type":"string","value":"9223372036854775807"}`, `{"key":"nan","type":"string","value":"NaN"}`,
		`{"key":"list","type":"string","value":"[\"a\",\"b\"]"}`, `{"key":"raw","type":"binary","value":"AQI="}`,
		`{"key":"span.kind","type":"string","value":"server"}`, `{"key":"error","type":"bool","value":true}`,
		`{"refType":"CHILD_OF","traceID":"ab000000000000000000000000000001","spanID":"0000000000000001"}`,
		`{"key":"spanclock.cpu_ms","type":"float64","value":50}`, `{"key":"spanclock.state.lock_ms","type":"float64","value":6}`,
		`"serviceName":"orders"`, `"fields":[{"key":"event","type":"string","value":"cache.miss"}`,
	} {
		if !bytes.Contains(b, []byte(part)) {
			t.Errorf("%s is missing in %s", part, b)
		}
	}
	got, err := export.ReadJaeger(bytes.NewReader(b), 0)
	if err != nil || len(got) != 1 || len(got[0].Spans) != len(want.Spans) {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i := range want.Spans {
		g, w := got[0].Spans[i], want.Spans[i]
		if g.Name != w.Name || g.SpanID() != w.SpanID() || g.Parent.SpanID() != w.Parent.SpanID() || g.Parent.IsRemote() != w.Parent.IsRemote() ||
			!g.Start.Equal(w.Start) || g.Duration() != w.Duration() || g.Kind != w.Kind || g.Status != w.Status || g.Service() != w.Service() ||
			len(g.Links) != len(w.Links) || len(g.Events) != len(w.Events) || g.Scope.Name != w.Scope.Name {
			t.Errorf("span %d: got %+v; want %+v", i, g, w)
		}
	}
	if v, _ := got[0].Spans[0].Attribute("http.route"); v.AsString() != "/login" {
		t.Errorf("got %v", got[0].Spans[0].Attributes)
	}
}

func TestBadJaeger(t *testing.T) {
	for in, want := range map[string]string{
		`{"data":[{"traceID":"xyz"}]}`:                                                       `data[0].traceID: "xyz" is not up to 32 hex digits`,
		`{"data":[{"traceID":"1","spans":[{"spanID":""}]}]}`:                                 `data[0].spans[0].spanID: "" is not up to 16`,
		`{"data":[{"traceID":"1","spans":[`:                                                  "ends too soon",
		`{"data":[{"traceID":"1","spans":[{"spanID":"1","references":[{"traceID":"1"}]}]}]}`: "references[0]",
		`{"data":{}}`: "read Jaeger JSON",
	} {
		if _, err := export.ReadJaeger(strings.NewReader(in), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %q", in, err, want)
		}
	}
	if _, err := export.ReadJaeger(strings.NewReader(`{"data":[]}`), 5); !errors.Is(err, otlp.ErrTooLarge) {
		t.Errorf("got %v; want ErrTooLarge", err)
	}
}

type slice struct {
	Name, Ph, Cat string
	Ts, Dur       float64
	Pid, Tid      int
	Args          map[string]any
}

func perfetto(t *testing.T, traces ...*spanstore.Trace) []slice {
	t.Helper()
	var file struct{ TraceEvents []slice }
	if err := json.Unmarshal(write(t, export.Perfetto, traces...), &file); err != nil {
		t.Fatal(err)
	}
	return file.TraceEvents
}

// nested fails unless the slices of every track lie in one another or apart, as
// trace viewers demand.
func nested(t *testing.T, events []slice) {
	t.Helper()
	open := map[int][]slice{}
	last := math.Inf(-1)
	for _, e := range events {
		if e.Ph != "X" {
			continue
		}
		if e.Ts < last {
			t.Fatalf("%+v is not in order", e)
		}
		last = e.Ts
		stack := open[e.Tid]
		for len(stack) > 0 && stack[len(stack)-1].Ts+stack[len(stack)-1].Dur <= e.Ts+1e-4 {
			stack = stack[:len(stack)-1]
		}
		if n := len(stack); n > 0 && stack[n-1].Ts+stack[n-1].Dur < e.Ts+e.Dur-1e-4 {
			t.Fatalf("%+v and %+v cross on track %d", stack[n-1], e, e.Tid)
		}
		open[e.Tid] = append(stack, e)
	}
}

func TestPerfetto(t *testing.T) {
	events := perfetto(t, login())
	nested(t, events)
	var out []string
	for _, e := range events {
		switch e.Ph {
		case "X":
			out = append(out, fmt.Sprintf("%d.%d %s %v+%v", e.Pid, e.Tid, e.Name, e.Ts/1000, e.Dur/1000))
		case "M", "C", "i", "s", "f":
			out = append(out, e.Ph+" "+e.Name)
		}
	}
	got := strings.Join(out, "\n")
	for _, want := range []string{
		"1.1 POST /login 0+100", "1.1 cpu 0+4", "1.1 lock 4+6", "1.1 bcrypt 10+50", "1.1 SELECT 60+30", "1.2 GET /orders 65+30", "2.3 GET /orders 67+27",
		"C gc_ns", "i cache.miss", "s child", "f child", "M process_name", "M thread_name",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s in it", got, want)
		}
	}
	i := slices.IndexFunc(events, func(e slice) bool { return e.Name == "lock" })
	if a := events[i].Args; a["stack"] != "main.login" || a["woken_by"] != "crypto.hash ← main.login" {
		t.Errorf("got %v; want where it waited", a)
	}
}

// TestPerfettoNestsAnything lays out random trees.
func TestPerfettoNestsAnything(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var traces []*spanstore.Trace
		for k := range 3 {
			tr := &spanstore.Trace{ID: traceID}
			for i := range uint64(60) {
				from := k*500 + r.IntN(1000)
				s := span(i+1, uint64(r.IntN(int(i)+1)), "s", from, from+r.IntN(300), []*resource.Resource{users, orders}[r.IntN(2)])
				tr.Spans = append(tr.Spans, s)
			}
			slices.SortStableFunc(tr.Spans, func(x, y spanstore.Span) int { return x.Start.Compare(y.Start) })
			traces = append(traces, tr)
		}
		for _, tr := range traces {
			nested(t, perfetto(t, tr))
		}
	}
}

func TestPprof(t *testing.T) {
	b := write(t, export.Pprof, login(), login())
	p, err := profile.ParseData(b)
	if err != nil {
		t.Fatal(err)
	}
	var samples, cpu, wait int64
	for _, s := range p.Sample {
		samples, cpu, wait = samples+s.Value[0], cpu+s.Value[1], wait+s.Value[2]
		if s.Label["route"][0] != "POST /login" || s.Label["service"][0] != "users" || s.Label["trace_id"][0] != traceID.String() {
			t.Errorf("got labels %v", s.Label)
		}
	}
	if samples != 10 || cpu != 100e6 || wait != 12e6 || p.Period != 10e6 || p.DurationNanos != 100e6 {
		t.Errorf("got %d samples, %d cpu, %d wait, period %d, duration %d", samples, cpu, wait, p.Period, p.DurationNanos)
	}
	file := filepath.Join(t.TempDir(), "p.pb.gz")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ index, want string }{{"cpu", "crypto.hash"}, {"wait", "main.login"}, {"cpu", "(no stack)"}} {
		out, err := exec.Command("go", "tool", "pprof", "-top", "-sample_index="+tt.index, file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("go tool pprof: %v\n%s", err, out)
		}
	}
}

// TestHostile: whatever is in a span, every format stays readable, and JSON has no
// markup.
func TestHostile(t *testing.T) {
	bad := "</script><img src=x onerror=alert(1)>\u2028\x00\x1b[2J\u202e\xff\xfe" + strings.Repeat("long", 1<<16)
	tr := login()
	tr.Problems = []string{bad}
	for i := range tr.Spans {
		s := &tr.Spans[i]
		s.Name, s.Status.Description, s.Scope.Name = bad, bad, bad
		s.Attributes = []attribute.KeyValue{attribute.String(bad, bad), attribute.StringSlice(bad, []string{bad})}
		s.Events = []sdktrace.Event{{Name: bad, Time: s.Start, Attributes: s.Attributes}}
		s.Resource = resource.NewSchemaless(attribute.String("service.name", bad), attribute.String(bad, bad))
	}
	for _, u := range tr.Usage {
		for i := range u.Stacks {
			u.Stacks[i].Frames = []spanstore.Frame{{Func: bad, File: bad}}
		}
	}
	for _, f := range export.Formats {
		b := write(t, f, tr)
		if f == export.Pprof {
			if _, err := profile.ParseData(b); err != nil {
				t.Errorf("pprof: %v", err)
			}
			continue
		}
		if !json.Valid(b) || !utf8.Valid(b) || bytes.ContainsAny(b, "<>\x00\x1b\u2028") {
			t.Errorf("%s: got %.300q", f, b)
		}
	}
	nested(t, perfetto(t, tr))
}

func TestEmptyAndUnknown(t *testing.T) {
	for _, f := range export.Formats {
		write(t, f)
		write(t, f, &spanstore.Trace{ID: traceID})
		if f.Extension() == "" || f.MIME() == "" {
			t.Errorf("%s has no extension or type", f)
		}
	}
	if _, err := export.NewWriter(nil, "xml"); !errors.Is(err, export.ErrUnknownFormat) || !strings.Contains(err.Error(), "otlp, jaeger") {
		t.Errorf("got %v", err)
	}
	if err := export.Write(failing{}, export.Jaeger, login()); err == nil {
		t.Error("got no error of a disk that is full")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func FuzzReadJaeger(f *testing.F) {
	var b bytes.Buffer
	_ = export.Write(&b, export.Jaeger, login())
	f.Add(b.Bytes())
	f.Add([]byte(`{"data":[{"traceID":"1","spans":[{"spanID":"1","tags":[{"key":"k","type":"binary","value":"AQ=="},{"value":null}],"references":[{"refType":"CHILD_OF","traceID":"1","spanID":"2"}]}]}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		traces, err := export.ReadJaeger(bytes.NewReader(in), 1<<20)
		if err != nil {
			return
		}
		for _, format := range export.Formats {
			write(t, format, traces...)
		}
		store, err := spanstore.Open("", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		if err := otlp.Add(context.Background(), store, traces...); err != nil {
			t.Fatal(err)
		}
	})
}

// TestHide: no format has a value that was hidden, and the trace stays as it was.
func TestHide(t *testing.T) {
	const secret = "s3cret"
	tr := login()
	state, _ := trace.ParseTraceState("vendor=" + secret)
	for i := range tr.Spans {
		s := &tr.Spans[i]
		kvs := []attribute.KeyValue{attribute.String("db.query.text", secret), attribute.StringSlice("list", []string{secret})}
		s.Attributes, s.Status.Description = kvs, secret
		s.Events = []sdktrace.Event{{Name: "e", Time: s.Start, Attributes: kvs}}
		s.SpanContext, s.Parent = s.SpanContext.WithTraceState(state), s.Parent.WithTraceState(state)
		s.Links = []sdktrace.Link{{SpanContext: s.SpanContext, Attributes: kvs}}
		s.Scope.Attributes = attribute.NewSet(kvs...)
		s.Resource = resource.NewSchemaless(attribute.String("service.name", "users"), attribute.String("host.name", secret))
	}
	before := write(t, export.OTLP, tr)
	hidden := export.Hide(tr)
	for _, f := range export.Formats {
		b := write(t, f, hidden)
		if f == export.Pprof {
			b = []byte(must(profile.ParseData(b)).String())
		}
		if bytes.Contains(b, []byte(secret)) || !bytes.Contains(b, []byte("users")) {
			t.Errorf("%s: got %s", f, b)
		}
	}
	if !bytes.Equal(write(t, export.OTLP, tr), before) {
		t.Error("the trace itself was changed")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
