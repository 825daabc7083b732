package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
)

// page is what the page of a trace says.
type page struct {
	WallNS   int64 `json:"wall_ns"`
	Headline struct{ Strong, Rest string }
	Findings []struct {
		Kind, Text string
		SavesNS    int64 `json:"saves_ns"`
	}
}

// pageOf asks for a page, and waits so long for CPU samples that are on their way.
func pageOf(t *testing.T, s *shop, id trace.TraceID, wait time.Duration) (p page) {
	t.Helper()
	getJSON(t, s.url+"/debug/traces/trace/"+id.String()+"?format=json&wait="+wait.String(), nil, &p)
	return p
}

// says makes requests until the first sentence on the page of one matches, once as
// samples have it and once as an execution trace has it. On a busy machine a request
// may well be slow for another reason, and its page says so: that none of many says
// what is wanted is no chance.
func says(t *testing.T, s *shop, send func(context.Context) error, route string, spans int, want map[string]string) {
	t.Helper()
	for _, how := range []string{"sampled", "exact"} {
		pattern, asked := want[how]
		if !asked {
			continue
		}
		sentence := regexp.MustCompile(pattern)
		var got page
		for deadline := time.Now().Add(2 * patience); !sentence.MatchString(got.Headline.Strong); {
			if time.Now().After(deadline) {
				t.Errorf("%s, %s: got %q last; want %s", route, how, got.Headline.Strong, pattern)
				return
			}
			tr := request(t, s, route, send, spans)
			if how == "exact" {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := s.telemetry.profiler.Capture(ctx, tr.ID)
				cancel()
				if err != nil && !errors.Is(err, profiler.ErrNotRecorded) {
					t.Skipf("no exact states: %v", err)
				}
			}
			got = pageOf(t, s, tr.ID, 5*time.Second)
		}
		t.Logf("%s, %s: %s %s", route, how, got.Headline.Strong, got.Headline.Rest)
	}
}

// TestPagesNameTheCause: the first sentence of each of the three cases' pages names
// what the shop does wrong, and with the fix what is left of it.
func TestPagesNameTheCause(t *testing.T) {
	for _, fix := range []bool{false, true} {
		t.Run(map[bool]string{false: "as it is", true: "fix"}[fix], func(t *testing.T) {
			s := startShop(t, options{fix: fix})
			armed(t, s)
			t.Run("product", func(t *testing.T) { productPages(t, s, fix) })
			t.Run("order", func(t *testing.T) { orderPages(t, s) })
			t.Run("login", func(t *testing.T) { loginPages(t, s) })
		})
	}
}

// armed waits until execution traces are recorded; without them the pages say what
// they say from samples.
func armed(t *testing.T, s *shop) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if s.telemetry.profiler.Stats().Exact.Armed {
			return
		}
	}
	t.Logf("no exact states: %s", s.telemetry.profiler.Stats().Exact.Why)
}

// productPages: the request waits for a write to the cache, which with the fix goes
// on when it has ended.
func productPages(t *testing.T, s *shop, fix bool) {
	const route = "GET /api/product"
	if !fix {
		deferrable := `^The request ends when redis\.SET ends: without it, about [0-9.]+ .?s, [0-9.]+ .?s less\.$`
		says(t, s, s.traffic.product, route, 5, map[string]string{"sampled": deferrable, "exact": deferrable})
		return
	}
	later := 0
	for range 10 {
		p := pageOf(t, s, request(t, s, route, s.traffic.product, 5).ID, 0)
		if strings.Contains(p.Headline.Strong, "redis.SET") {
			t.Errorf("got %q; want the write to be no cause any more", p.Headline.Strong)
		}
		if strings.Contains(p.Headline.Rest, "redis.SET goes on for") {
			later++
		}
		for _, f := range p.Findings {
			if f.Kind == "deferrable_tail" && strings.Contains(f.Text, "redis.SET") {
				t.Errorf("got finding %q; want none that is about the write", f.Text)
			}
		}
	}
	if later == 0 {
		t.Error("no page says that redis.SET goes on after the request; want that of some")
	}
}

// orderPages: orders wait for Redis, which is busy for somebody else.
func orderPages(t *testing.T, s *shop) {
	n, err := openNoise(t.Context(), s.redis)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan error, 1)
	go func() { swept <- n.sweep(ctx, 10*patience) }()
	says(t, s, s.traffic.order, "GET /api/order/{id}", 8, map[string]string{
		"sampled": `^redis\.GET took .*, waiting \(network`,
		"exact":   `is redis\.GET's own time: waiting for the network`,
	})
	cancel()
	if err := <-swept; err != nil && ctx.Err() == nil {
		t.Error("sweep:", err)
	}
}

// loginPages: a login computes, and when many log in at once it waits for a
// processor.
func loginPages(t *testing.T, s *shop) {
	const route = "POST /api/auth/login"
	says(t, s, s.traffic.login, route, 5, map[string]string{
		"sampled": `is POST /api/auth/login's own time: CPU .* in .*bcrypt`,
		"exact":   `is POST /api/auth/login's own time: .*on CPU [0-9.]+ .?s in .*bcrypt`,
	})
	var others sync.WaitGroup
	atPeak := func(ctx context.Context) error {
		for range rush() {
			others.Go(func() { _ = s.traffic.login(ctx) }) // one may well be refused
		}
		defer others.Wait()
		return s.traffic.login(ctx)
	}
	says(t, s, atPeak, route, 5, map[string]string{
		"exact": `is POST (/api/auth/login|users)'s own time: (waiting for a processor|put aside by the kernel) `,
	})
}
