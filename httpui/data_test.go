package httpui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

func decode(t *testing.T, a answer) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != 200 {
		t.Fatalf("got %d %s: %v", a.status, a.body, err)
	}
	return v
}

// TestKeysOfTheJSON pins the names that programs rely on.
func TestKeysOfTheJSON(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	list := decode(t, ask(h, "/t/?format=json"))
	one := decode(t, ask(h, "/t/trace/"+traceID+"?format=json"))
	span := decode(t, ask(h, "/t/span/"+traceID+"/"+rootID+"?format=json"))
	first := func(m map[string]any, key string) map[string]any {
		t.Helper()
		l, _ := m[key].([]any)
		if len(l) == 0 {
			t.Fatalf("%s is %v", key, m[key])
		}
		return l[0].(map[string]any)
	}
	const cpu = " cpu_ns cpu_low_ns cpu_high_ns samples evidence cpu_reason"
	const row = "span_id parent_id service name detail kind status status_text depth children awaited local_root start_ns wall_ns self_ns self" +
		" total_cpu_ns states state_evidence critical decides_end events has_error" + cpu
	for _, tt := range []struct {
		name string
		got  map[string]any
		want string
	}{
		{"list", list, "traces cursor profiler store"},
		{"list.traces", first(list, "traces"), "trace_id service services root_name rootless in_flight start wall_ns spans errors kept" + cpu},
		{"list.profiler", list["profiler"].(map[string]any), "running state"},
		{"list.store", list["store"].(map[string]any), "spans"},
		{"trace", one, "trace_id service root_name start wall_ns critical_ns headline budget spans findings problems pending windows values" + cpu},
		{"trace.headline", one["headline"].(map[string]any), "strong rest"},
		{"trace.budget", first(one, "budget"), "state ns low_ns high_ns evidence"},
		{"trace.windows", first(one, "windows"), "start_ns end_ns hole"},
		{"trace.spans", first(one, "spans"), row},
		{"span", span, row + " trace_id attributes resource scope events links trace_state flags dropped child_count late_samples stacks start end"},
		{"span.attributes", first(span, "attributes"), "key type value"},
		{"span.scope", span["scope"].(map[string]any), "name version schema_url attributes"},
		{"span.events", first(span, "events"), "name time_ns attributes dropped"},
		{"span.links", first(span, "links"), "trace_id span_id trace_state attributes"},
		{"span.dropped", span["dropped"].(map[string]any), "attributes events links"},
		{"span.stacks", first(span, "stacks"), "frames samples"},
		{"span.stacks.frames", first(first(span, "stacks"), "frames"), "func file line"},
	} {
		for _, key := range strings.Fields(tt.want) {
			if _, ok := tt.got[key]; !ok {
				t.Errorf("%s has no %q, only %q", tt.name, key, slices.Sorted(maps.Keys(tt.got)))
			}
		}
	}
}

// TestOverHTTPIsTheSameAsDirectly compares the analysis of a trace with what
// its JSON says, and the list with the trace.
func TestOverHTTPIsTheSameAsDirectly(t *testing.T) {
	s := loginStore(t)
	tr, err := s.Trace(context.Background(), must(trace.TraceIDFromHex(traceID)))
	if err != nil {
		t.Fatal(err)
	}
	a := stall.Analyze(tr)
	h := httpui.Handler(s, nil)
	var got struct {
		WallNS     int64  `json:"wall_ns"`
		CriticalNS int64  `json:"critical_ns"`
		Start      string `json:"start"`
		CPUNS      int64  `json:"cpu_ns"`
		Low        int64  `json:"cpu_low_ns"`
		High       int64  `json:"cpu_high_ns"`
		Headline   struct{ Strong, Rest string }
		Spans      []struct {
			SpanID   string `json:"span_id"`
			StartNS  int64  `json:"start_ns"`
			WallNS   int64  `json:"wall_ns"`
			SelfNS   int64  `json:"self_ns"`
			CPUNS    int64  `json:"cpu_ns"`
			Samples  int
			Self     [][2]int64
			Critical [][2]int64
			States   map[string]int64
		}
	}
	if err := json.Unmarshal([]byte(ask(h, "/t/trace/"+traceID, "Accept", acceptJSON).body), &got); err != nil {
		t.Fatal(err)
	}
	if got.WallNS != int64(a.Wall) || got.CriticalNS != int64(a.Critical) || got.Start != a.Start.Format(time.RFC3339Nano) ||
		got.CPUNS != int64(a.CPU.Value) || got.Low != int64(a.CPU.Low) || got.High != int64(a.CPU.High) ||
		got.Headline.Strong != a.Headline.Strong || got.Headline.Rest != a.Headline.Rest || len(got.Spans) != len(a.Nodes) {
		t.Errorf("got %+v; want %+v", got, a)
	}
	segs := func(list []stall.Segment) string {
		out := [][2]int64{}
		for _, s := range list {
			out = append(out, [2]int64{int64(s.From), int64(s.To)})
		}
		return fmt.Sprint(out)
	}
	for i, g := range got.Spans {
		n := &a.Nodes[i]
		if g.SpanID != n.Span.SpanID().String() || g.StartNS != int64(n.Start) || g.WallNS != int64(n.Wall()) || g.SelfNS != int64(n.Self) ||
			g.CPUNS != int64(n.CPU.Value) || g.Samples != n.CPU.Samples || fmt.Sprint(g.Self) != segs(n.SelfSegments) ||
			fmt.Sprint(g.Critical) != segs(n.Critical) || len(g.States) != len(n.States) {
			t.Errorf("span %d: got %+v; want %+v", i, g, n)
		}
	}
}

// TestListAgreesWithTrace compares a line of the list with the trace, also where
// no root speaks for the trace.
func TestListAgreesWithTrace(t *testing.T) {
	s := loginStore(t)
	rootless := trace.TraceID{0xee}
	export(t, s,
		stub(rootless, 1, 99, "handler", trace.SpanKindServer, 5000, 5040),
		stub(rootless, 2, 1, "left behind", trace.SpanKindInternal, 5030, 5100),
		stub(rootless, 3, 98, "another", trace.SpanKindServer, 5050, 5060),
	)
	if err := s.AddUsage(context.Background(), spanstore.UsageBatch{
		Windows: []spanstore.Window{{Start: epoch.Add(4 * time.Second), End: epoch.Add(5080 * time.Millisecond), Period: 10 * time.Millisecond}},
		Spans:   []spanstore.Usage{{TraceID: rootless, SpanID: trace.SpanID{7: 2}, Samples: 3, CPU: 30 * time.Millisecond}},
	}); err != nil {
		t.Fatal(err)
	}
	h := httpui.Handler(s, nil)
	list := decode(t, ask(h, "/t/?format=json"))["traces"].([]any)
	if len(list) != 2 {
		t.Fatalf("got %d traces; want 2", len(list))
	}
	for _, l := range list {
		line := l.(map[string]any)
		page := decode(t, ask(h, "/t/trace/"+line["trace_id"].(string)+"?format=json"))
		for _, key := range []string{"service", "root_name", "rootless", "start", "wall_ns", "cpu_ns", "cpu_low_ns", "cpu_high_ns", "samples", "evidence", "cpu_reason"} {
			if line[key] != page[key] {
				t.Errorf("%s: %s: the list has %v, the trace %v", line["root_name"], key, line[key], page[key])
			}
		}
		if n := float64(len(page["spans"].([]any))); line["spans"] != n {
			t.Errorf("%s: the list has %v spans, the trace %v", line["root_name"], line["spans"], n)
		}
	}
}

// TestListParameters asks for parts of a list of ten traces.
func TestListParameters(t *testing.T) {
	s := emptyStore(t)
	for i := range uint64(10) {
		root := stub(trace.TraceID{byte(i + 1)}, i+1, 0, fmt.Sprintf("route %d", i), trace.SpanKindServer, float64(i)*1000, float64(i)*1000+float64(i)*10)
		if i == 4 {
			root.Status = sdktrace.Status{Code: codes.Error}
		}
		export(t, s, root)
	}
	h := httpui.Handler(s, nil)
	names := func(query string) (got []string, cursor string) {
		t.Helper()
		v := decode(t, ask(h, "/t/?format=json&"+query))
		for _, tr := range v["traces"].([]any) {
			got = append(got, strings.TrimPrefix(tr.(map[string]any)["root_name"].(string), "route "))
		}
		return got, v["cursor"].(string)
	}
	at := func(i int) string { return epoch.Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano) }
	for _, tt := range []struct{ query, want string }{
		{"", "9876543210"},
		{"limit=3", "987"},
		{"min=70ms", "987"},
		{"errors=1", "4"},
		{"errors=0", "9876543210"},
		{"name=route+3", "3"},
		{"service=users&name=route+3", "3"},
		{"service=nobody", ""},
		{"q=" + url.QueryEscape(`name~"route [37]$"`), "73"},
		{"q=" + url.QueryEscape(`name!="route 9" duration>=70ms`), "87"},
		{"q=" + url.QueryEscape("order=longest duration>=70ms"), "987"},
		{"q=" + url.QueryEscape("order=longest name^=route") + "&min=70ms&limit=2", "98"},
		{"q=has:nothing", ""},
		{"q=" + url.QueryEscape("from="+at(3)) + "&to=" + at(5), "43"},
		{"q=" + url.QueryEscape("from="+at(1)+" to="+at(5)) + "&from=" + at(3) + "&to=" + at(9), "43"},
		{"from=" + at(8), "98"},
		{"to=" + at(2), "10"},
		{"from=" + at(3) + "&to=" + at(5), "43"},
		{"from=" + url.QueryEscape(epoch.Add(8*time.Second).In(time.FixedZone("", 3600)).Format(time.RFC3339Nano)), "98"},
		{"from=" + epoch.Add(8*time.Second).In(time.FixedZone("", 3600)).Format(time.RFC3339Nano), "98"}, // its + reads as a space
	} {
		if got, _ := names(tt.query); strings.Join(got, "") != tt.want {
			t.Errorf("%s: got %s; want %s", tt.query, got, tt.want)
		}
	}
	var all []string
	for cursor, pages := "", 0; pages < 10; pages++ {
		var got []string
		got, cursor = names("limit=4&cursor=" + url.QueryEscape(cursor))
		all = append(all, got...)
		if cursor == "" {
			break
		}
	}
	if strings.Join(all, "") != "9876543210" {
		t.Errorf("by pages: got %s", all)
	}
	all = nil
	for cursor, pages := "", 0; pages < 10; pages++ {
		var got []string
		got, cursor = names("q=order%3Dlongest&limit=3&cursor=" + url.QueryEscape(cursor))
		all = append(all, got...)
		if cursor == "" {
			break
		}
	}
	if strings.Join(all, "") != "9876543210" {
		t.Errorf("longest first, by pages: got %s", all)
	}
	if text := ask(h, "/t/?limit=4&q=order%3Dlongest").body; !strings.Contains(text, "More: ?cursor=") {
		t.Errorf("got %s; want the way to the next page", text)
	}
	text := ask(h, "/t/?limit=4&service=users").body
	if !strings.Contains(text, "Older: ?cursor=") || !strings.Contains(text, "service=users") {
		t.Errorf("got %s; want the way to older traces", text)
	}
}

// hostile is what a span may carry into a page or a terminal.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	"\x1b]0;owned\x07\x1b[2J",
	"line\nbreak\rreturn\ttab",
	"\u202eright to left\u2066\u200b\u2028",
	"bad \xff\xfe utf8 \xc3",
	"\x00\x7f\u0085",
	"%s%d{{base}}",
	strings.Repeat("long", 1000),
}

func TestHostileSpansAreOnlyText(t *testing.T) {
	s := emptyStore(t)
	id := trace.TraceID{7}
	spans := []attribute.KeyValue{}
	for _, x := range hostile {
		spans = append(spans, attribute.String("db.query.text", x), attribute.String(x, x))
	}
	root := stub(id, 1, 0, hostile[0], trace.SpanKindServer, 0, 100)
	root.Status = sdktrace.Status{Code: codes.Error, Description: strings.Join(hostile[:8], "")}
	export(t, s, root)
	for i, x := range hostile {
		c := stub(id, uint64(i+2), 1, x, trace.SpanKindClient, float64(i), float64(i)+50, spans...)
		c.Events = []sdktrace.Event{{Name: x, Attributes: spans}}
		c.InstrumentationScope.Name = x
		export(t, s, c)
	}
	h := httpui.Handler(s, nil)
	for _, path := range []string{"/t/", "/t/trace/" + id.String(), "/t/span/" + id.String() + "/0000000000000004", "/t/" + url.PathEscape(hostile[0]) + "/trace/x"} {
		text := ask(h, path)
		if !utf8.ValidString(text.body) {
			t.Errorf("%s: got text that is no UTF-8", path)
		}
		for _, r := range text.body {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028') {
				t.Errorf("%s: got %U in text", path, r)
				break
			}
		}
		if j := ask(h, path, "Accept", acceptJSON); !json.Valid([]byte(j.body)) || strings.Contains(j.body, "<script") {
			t.Errorf("%s: got JSON %.200s", path, j.body)
		}
		if p := ask(h, path, "Accept", acceptHTML); strings.Contains(p.body, "alert(1)") && strings.Contains(p.body, "<script>alert") {
			t.Errorf("%s: got page %s", path, p.body)
		}
	}
	text := ask(h, "/t/trace/"+id.String()+"?width=100").body
	if !strings.Contains(text, `\x1b]0;owned\a`) || !strings.Contains(text, `\u202e`) || !strings.Contains(text, `\xff`) {
		t.Errorf("got %s; want what does not print as escapes", text)
	}
}

// TestErrorPagesEscape: what the request says comes back in errors.
func TestErrorPagesEscape(t *testing.T) {
	h := httpui.Handler(nil, nil)
	got := ask(h, "/t/?min="+url.QueryEscape(hostile[0]+hostile[2]), "Accept", acceptHTML)
	if got.status != 400 || strings.Contains(got.body, "<script>alert") || strings.Contains(got.body, "\x1b") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if !strings.Contains(got.body, "&lt;script&gt;") {
		t.Errorf("got %s; want the bad value named", got.body)
	}
}

func TestValuesKeepTheirTypes(t *testing.T) {
	s := emptyStore(t)
	id := trace.TraceID{8}
	export(t, s, stub(id, 1, 0, "x", 0, 0, 1,
		attribute.Bool("bool", true), attribute.Int64("int", 42), attribute.Int64("great", math.MinInt64), attribute.Float64("float", 1.5),
		attribute.Float64("nan", math.NaN()), attribute.Float64Slice("floats", []float64{1, math.Inf(1)}),
		attribute.StringSlice("strings", []string{"a", "b"}), attribute.Int64Slice("ints", []int64{1, math.MaxInt64}), attribute.BoolSlice("bools", []bool{true})))
	body := ask(httpui.Handler(s, nil), "/t/span/"+id.String()+"/"+rootID+"?format=json").body
	for _, want := range []string{
		`{"key":"bool","type":"bool","value":true}`, `{"key":"int","type":"int64","value":42}`,
		`{"key":"great","type":"int64","value":"-9223372036854775808"}`, `{"key":"float","type":"float64","value":1.5}`,
		`{"key":"nan","type":"float64","value":"NaN"}`, `{"key":"floats","type":"float64slice","value":[1,"+Inf"]}`,
		`{"key":"strings","type":"stringslice","value":["a","b"]}`, `{"key":"ints","type":"int64slice","value":[1,"9223372036854775807"]}`,
		`{"key":"bools","type":"boolslice","value":[true]}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("got %s; want it to contain %s", body, want)
		}
	}
}

func TestEvictedTraceSaysSo(t *testing.T) {
	s, err := spanstore.Open("", &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := trace.TraceID{0xaa}
	export(t, s, stub(first, 1, 0, "first", trace.SpanKindServer, 0, 1))
	junk := make([]byte, 8<<10)
	for i, gone := uint64(2), false; !gone; i++ {
		for k := range junk { // a linear congruence: text that does not compress away
			junk[k] = byte('!' + (i*2654435761+uint64(k)*40503*(i+7)>>9)%90)
		}
		export(t, s, stub(trace.TraceID{1, byte(i >> 8), byte(i)}, i, 0, "filler", 0, float64(i), float64(i)+1, attribute.String("junk", string(junk))))
		if i%64 == 0 {
			if err := s.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			_, gone = s.Evicted(first)
		}
		if i > 60_000 {
			t.Fatal("the first trace is still there")
		}
	}
	h := httpui.Handler(s, nil)
	path := "/t/trace/" + first.String()
	for accept, mime := range map[string]string{acceptHTML: "text/html", acceptJSON: "application/json", "*/*": "text/plain"} {
		got := ask(h, path, "Accept", accept)
		if got.status != 404 || !strings.HasPrefix(got.header.Get("Content-Type"), mime) || !strings.Contains(got.body, "it was evicted at") {
			t.Errorf("%s: got %d %s", mime, got.status, got.body)
		}
	}
	var body struct{ Evicted struct{ When, Why string } }
	if err := json.Unmarshal([]byte(ask(h, path, "Accept", acceptJSON).body), &body); err != nil || body.Evicted.Why == "" {
		t.Errorf("got %+v, %v; want when and why", body, err)
	}
	if _, err := time.Parse(time.RFC3339, body.Evicted.When); err != nil {
		t.Error(err)
	}
}

// TestNoTemplatePackage: importing one would switch off the linker's dead-code
// elimination for the whole host program.
func TestNoTemplatePackage(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "github.com/spanclock/spanclock/httpui") {
		t.Fatalf("go list: got %q", deps)
	}
	for _, bad := range []string{"text/template", "html/template", "net/http/pprof", "expvar"} {
		if slices.Contains(deps, bad) {
			t.Errorf("httpui depends on %s", bad)
		}
	}
}
