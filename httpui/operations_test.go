package httpui_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

type httpHandler = http.Handler

func onlyNames(*http.Request) httpui.Access { return httpui.HideValues }

type operation struct {
	Service, Name string
	Spans, Count  int
	CriticalNS    int64   `json:"critical_ns"`
	LongestNS     int64   `json:"longest_ns"`
	MaxNS         int64   `json:"max_ns"`
	Percentiles   []int64 `json:"percentiles_ns"`
}

// TestOperationsOfATrace compares the operations of a trace with the store, which
// has another trace of the same kind.
func TestOperationsOfATrace(t *testing.T) {
	s := emptyStore(t)
	id := trace.TraceID{3}
	if err := sampletrace.Store(context.Background(), s, sampletrace.Large(trace.TraceID{2}, 600), sampletrace.Large(id, 300)); err != nil {
		t.Fatal(err)
	}
	h := httpui.Handler(s, nil)
	var got struct {
		TraceID    string `json:"trace_id"`
		Operations []operation
	}
	path := "/t/trace/" + id.String() + "/operations"
	if err := json.Unmarshal([]byte(ask(h, path+"?format=json").body), &got); err != nil {
		t.Fatal(err)
	}
	var one struct {
		CriticalNS int64 `json:"critical_ns"`
	}
	if err := json.Unmarshal([]byte(ask(h, "/t/trace/"+id.String()+"?format=json").body), &one); err != nil {
		t.Fatal(err)
	}
	spans, critical := 0, int64(0)
	for _, o := range got.Operations {
		spans += o.Spans
		critical += o.CriticalNS
		if o.Count < o.Spans || o.MaxNS < o.LongestNS || len(o.Percentiles) != 99 || !slices.IsSorted(o.Percentiles) || o.Percentiles[98] > o.MaxNS {
			t.Errorf("got %+v; want at least as much in the store as in the trace", o)
		}
	}
	if got.TraceID != id.String() || spans != 300 || critical != one.CriticalNS {
		t.Errorf("got %d spans, %d ns on the critical path of %s; want 300, %d of %s", spans, critical, got.TraceID, one.CriticalNS, id)
	}
	i := slices.IndexFunc(got.Operations, func(o operation) bool {
		return o.Name == "nightly import"
	})
	if i < 0 || got.Operations[i].Count != 2 || got.Operations[i].Spans != 1 {
		t.Errorf("got %+v; want one import in the trace and two in the store", got.Operations)
	}

	text := ask(h, path).body
	if !strings.Contains(text, "IN STORE") || !strings.Contains(text, "nightly import [batch]") {
		t.Errorf("got %s", text)
	}
	page := ask(h, path, "Accept", acceptHTML)
	if page.status != 307 || page.header.Get("Location") != "../"+id.String()+"#operations=1" {
		t.Errorf("got %d to %q; want the trace's page", page.status, page.header.Get("Location"))
	}
	for path, want := range map[string]int{"/t/trace/xyz/operations": 404, "/t/trace/" + nobody + "/operations": 404, path + "?width=x": 400} {
		if got := ask(h, path); got.status != want {
			t.Errorf("%s: got %d; want %d", path, got.status, want)
		}
	}
}

// TestTextShowsWhatWasWhen draws the states of an execution trace where they were.
func TestTextShowsWhatWasWhen(t *testing.T) {
	s := emptyStore(t)
	if err := sampletrace.Store(context.Background(), s, sampletrace.Order()); err != nil {
		t.Fatal(err)
	}
	text := ask(httpui.Handler(s, nil), "/t/trace/"+sampletrace.Order().ID.String()+"?width=120").body
	for name, want := range map[string]string{"redis.SET": "LLLL", "pg.query COMMIT": "NNN", "kafka.Publish": "nnn", "POST /orders": "LL", "json.Decode": "CCC"} {
		line := ""
		for l := range strings.Lines(text) {
			if strings.Contains(l, name) && strings.Contains(l, "%") && !strings.Contains(l, "is redis.SET's") && !strings.HasPrefix(l, "*") {
				line = l
			}
		}
		if !strings.Contains(line, want) {
			t.Errorf("the line of %s is %q; want %s in it", name, line, want)
		}
		if strings.Contains(line, "LLLL") && !strings.Contains(line, "LNNN") {
			t.Errorf("the line of %s is %q; want the lock before the network", name, line)
		}
	}
}
