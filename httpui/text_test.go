package httpui_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
	"github.com/spanclock/spanclock/spanstore"
)

// TestWaterfallAsText pins how a trace reads in a terminal.
func TestWaterfallAsText(t *testing.T) {
	s := emptyStore(t)
	id := trace.TraceID{0xc0, 0xde}
	export(t, s,
		stub(id, 1, 0, "POST /orders", trace.SpanKindServer, 0, 40),
		stub(id, 2, 1, "json.Decode", trace.SpanKindInternal, 2, 10),
		stub(id, 3, 1, "pg.tx", trace.SpanKindInternal, 10, 20),
		stub(id, 4, 3, "pg.query", trace.SpanKindClient, 11, 19, attribute.String("db.query.text", "INSERT\n  INTO orders")),
		stub(id, 5, 1, "metrics", trace.SpanKindInternal, 4, 44),
		stub(id, 6, 1, "redis.SET", trace.SpanKindClient, 20, 40),
	)
	if err := s.AddUsage(context.Background(), spanstore.UsageBatch{
		Windows: []spanstore.Window{{Start: epoch.Add(-time.Second), End: epoch.Add(time.Second), Period: 10 * time.Millisecond}},
		Spans:   []spanstore.Usage{{TraceID: id, SpanID: trace.SpanID{7: 2}, Samples: 1, CPU: 10 * time.Millisecond}},
	}); err != nil {
		t.Fatal(err)
	}
	const want = `POST /orders  40 ms
2026-11-20 09:41:07.007 UTC · users · 6 spans · trace c0de0000000000000000000000000000
The request ends when redis.SET ends: without it, about 20 ms, 20 ms less. redis.SET took
20 ms of 40 ms (50 %), waiting (network, inferred from its kind). CPU of all spans ≈ 10
ms (0–38), sampled. metrics goes on for 4 ms after the end of POST /orders.
Critical path: CPU ≈ 8 ms (0–33) 20 % · NET? 28 ms 70 % · unknown 4 ms 10 %
* redis.SET is a write at the tail that alone decides when the request ends. Done after
  the answer, if the answer does not need it, it would save 20 ms of 40 ms (50 %,
  inferred).
* Work goes on for 4 ms after the request has ended, in metrics.

SPAN                              WALL             CPU   CPU %  0                   44 ms
POST /orders [users]             40 ms         < 30 ms          ?----------------------
  json.Decode                     8 ms  ≈ 10 ms (0–24)  ≤100 %   CCCCC
  metrics (not awaited)          40 ms         < 30 ms            .......................
  pg.tx                          10 ms         < 10 ms               ?-----?
    pg.query INSERT INTO orders   8 ms          < 8 ms                NNNNN
  redis.SET                      20 ms         < 20 ms                     NNNNNNNNNNNN◆
`
	got := ask(httpui.Handler(s, nil), "/t/trace/"+id.String()+"?width=89").body
	head, _, _ := strings.Cut(got, "\nBars:")
	if head != want {
		t.Errorf("got\n%s; want\n%s", head, want)
	}
	for _, width := range []string{"60", "500"} {
		body := ask(httpui.Handler(s, nil), "/t/trace/"+id.String()+"?width="+width).body
		if !strings.Contains(body, "◆") {
			t.Errorf("width %s: got %s", width, body)
		}
	}
}

// What a width is asked for fits it, but for words that are longer.
func TestTextFitsItsWidth(t *testing.T) {
	s := emptyStore(t)
	samples := sampletrace.Cases()
	if err := sampletrace.Store(context.Background(), s, samples...); err != nil {
		t.Fatal(err)
	}
	h := httpui.Handler(s, nil)
	id := samples[0].ID.String()
	for _, path := range []string{"/t/?", "/t/overview?last=all&", "/t/flame?by=name&", "/t/graph?last=all&", "/t/health?", "/t/trace/" + id + "?", "/t/trace/" + id + "/operations?"} {
		for _, width := range []int{80, 120, 200} {
			for line := range strings.Lines(ask(h, fmt.Sprintf("%sformat=text&width=%d", path, width)).body) {
				line = strings.TrimSuffix(line, "\n")
				if n := utf8.RuneCountInString(line); n > width && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("%s at %d has a line of %d characters:\n%s", path, width, n, line)
				}
			}
		}
	}
}
