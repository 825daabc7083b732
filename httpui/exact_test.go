package httpui_test

import (
	"context"
	"encoding/json"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// TestExactLevelOnThePage: while another flight recorder runs, JSON and text say why
// there are no exact states; afterwards, of how many slow requests there are.
func TestExactLevelOnThePage(t *testing.T) {
	f := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	if err := f.Start(); err != nil {
		t.Skip(err)
	}
	defer f.Stop()
	s := emptyStore(t)
	p, err := profiler.Start(s, &profiler.Options{Exact: profiler.ExactAuto})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Stop() }()
	h := httpui.Handler(s, &httpui.Options{Profiler: p})
	var list struct {
		Profiler struct {
			Exact struct {
				Armed bool
				Why   string
				Slow  int
				Share *float64 `json:"captured_share"`
			}
		}
	}
	for range 200 {
		if err := json.Unmarshal([]byte(ask(h, "/t/?format=json").body), &list); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(list.Profiler.Exact.Why, "somebody else") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if x := list.Profiler.Exact; x.Armed || !strings.Contains(x.Why, "somebody else") || x.Share != nil {
		t.Errorf("got %+v; want it off, and why", x)
	}
	if text := ask(h, "/t/?format=text").body; !strings.Contains(text, "exact states: off, the process has one flight recorder, and somebody else runs it") {
		t.Errorf("got\n%s\nwant the reason", text)
	}
}

// TestSpanLongerThanTheWindow: what the execution trace reaches back to is said, and
// where the span waited.
func TestSpanLongerThanTheWindow(t *testing.T) {
	s := emptyStore(t)
	id := must(oteltrace.TraceIDFromHex(traceID))
	export(t, s, stub(id, 1, 0, "POST /import", oteltrace.SpanKindServer, 0, 12_000))
	at := epoch.Add(4 * time.Second)
	e := &spanstore.Exact{
		Start: at, End: at.Add(8 * time.Second),
		Segments: []spanstore.StateSegment{{To: 8 * time.Second, State: "lock", Wait: 0}},
		Waits: []spanstore.Wait{{State: "lock", Total: 8 * time.Second, Count: 1, WakerSpan: oteltrace.SpanID{7: 9},
			Stack: []spanstore.Frame{{Func: "main.load", File: "load.go", Line: 3}}, Waker: []spanstore.Frame{{Func: "main.save", File: "save.go", Line: 5}}}},
	}
	u := spanstore.Usage{TraceID: id, SpanID: oteltrace.SpanID{7: 1}, Exact: e}
	if err := s.AddUsage(context.Background(), spanstore.UsageBatch{Spans: []spanstore.Usage{u}}); err != nil {
		t.Fatal(err)
	}
	text := ask(httpui.Handler(s, nil), "/t/span/"+traceID+"/"+rootID+"?format=text").body
	for _, want := range []string{
		"LOCK 8 s 67 %", "unknown 4 s 33 %", "(exact for the last 8 s)",
		"LOCK 8 s, 1 time; it went on after main.save (save.go:5), in span 0000000000000009\n    main.load  load.go:3\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
