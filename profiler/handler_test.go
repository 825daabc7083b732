package profiler_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
)

// get asks h for a profile, over HTTP.
func get(t *testing.T, h http.Handler, query string) (*http.Response, []byte) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	client := srv.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Get(srv.URL + query)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// burning burns CPU in a span until the returned function is called, which ends
// the span and returns it.
func burning(s *service) (stop func() trace.Span) {
	quit, done := make(chan struct{}), make(chan trace.Span)
	go func() {
		ctx, root := s.Start(context.Background(), "GET /")
		_, span := s.Start(ctx, "burning")
		root.SetName("GET /burn") // as routers do
		for {
			select {
			case <-quit:
				span.End()
				root.End()
				done <- span
				return
			default:
				burnCPU(10 * time.Millisecond)
			}
		}
	}()
	return func() trace.Span {
		close(quit)
		return <-done
	}
}

func TestProfileHandler(t *testing.T) {
	s := newService(t, quick)
	stop := burning(s)
	resp, body := get(t, s.prof.ProfileHandler(), "?seconds=1")
	span := stop()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got %s: %s", resp.Status, body)
	}
	prof, err := profile.Parse(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Duration(prof.DurationNanos); d < 900*time.Millisecond {
		t.Errorf("got a profile of %v; want the second that was asked for", d)
	}
	var all, mine int64
	for _, sample := range prof.Sample {
		all += sample.Value[0]
		if !inStack(sample, "profiler_test.burnCPU") {
			continue
		}
		mine += sample.Value[0]
		if got, want := sample.Label["span_id"], span.SpanContext().SpanID().String(); len(got) != 1 || got[0] != want {
			t.Errorf("got span_id %q; want %q", got, want)
		}
		if got, want := sample.Label["trace_id"], span.SpanContext().TraceID().String(); len(got) != 1 || got[0] != want {
			t.Errorf("got trace_id %q; want %q", got, want)
		}
		for name, want := range map[string]string{"span_name": "burning", "route": "GET /burn", "service": "shop"} {
			if got := sample.Label[name]; len(got) != 1 || got[0] != want {
				t.Errorf("got %s %q; want %q", name, got, want)
			}
		}
	}
	if mine == 0 || mine > all {
		t.Errorf("got burnCPU in %d of %d samples; want some", mine, all)
	}

	// The windows went to the store all the same.
	s.refresh(t)
	if u := s.usage(t, span); u.Samples < int(mine) {
		t.Errorf("got %d samples in the store; want at least the %d of the profile", u.Samples, mine)
	}
}

// Spans that end while the profile is taken are named as those that do not, also
// when the handler takes it itself; and nothing is noted afterwards.
func TestProfileNamesEndedSpans(t *testing.T) {
	s := newService(t, quick)
	for _, when := range []string{"from windows", "in a pause"} {
		quit, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-quit:
					return
				default:
				}
				ctx, root := s.Start(context.Background(), "GET /short")
				_, span := s.Start(ctx, "step")
				burnCPU(5 * time.Millisecond)
				span.End()
				root.End()
			}
		}()
		named := 0
		for try := 0; named == 0 && try < 10; try++ { // a busy machine may let others burn
			resp, body := get(t, s.prof.ProfileHandler(), "?seconds=0.5")
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: got %s: %s", when, resp.Status, body)
			}
			prof, err := profile.ParseData(body)
			if err != nil {
				t.Fatal(err)
			}
			for _, sample := range prof.Sample {
				if !inStack(sample, "profiler_test.burnCPU") {
					continue
				}
				l := sample.Label
				if len(l["span_name"]) == 0 || l["span_name"][0] != "step" || len(l["route"]) == 0 || l["route"][0] != "GET /short" || len(l["service"]) == 0 || len(l["trace_id"]) == 0 {
					t.Errorf("%s: got labels %v; want all", when, l)
				}
				named++
			}
		}
		close(quit)
		<-done
		if named == 0 {
			t.Errorf("%s: got no samples", when)
		}
		s.prof.Pause()
	}
}

func TestProfileHandlerGivesUpWithItsRequest(t *testing.T) {
	s := newService(t, quick)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/?seconds=300", nil)
	w := httptest.NewRecorder()
	s.prof.ProfileHandler().ServeHTTP(w, r)
	if w.Body.Len() != 0 {
		t.Errorf("got %d bytes for a request that was given up; want none", w.Body.Len())
	}
}

func TestProfileHandlerRefuses(t *testing.T) {
	s := newService(t, quick)
	for _, query := range []string{"?seconds=x", "?seconds=-1", "?seconds=0", "?seconds=301", "?seconds=NaN"} {
		if resp, body := get(t, s.prof.ProfileHandler(), query); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "300") {
			t.Errorf("%s: got %s, %q; want 400 and the limit", query, resp.Status, body)
		}
	}

	srv := httptest.NewUnstartedServer(s.prof.ProfileHandler())
	srv.Config.WriteTimeout = time.Second
	srv.Start()
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "?seconds=5")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer srv.Client().CloseIdleConnections()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %s for a profile longer than the server's WriteTimeout; want 400", resp.Status)
	}
}

// It stands in for /debug/pprof/profile when no window runs, too.
func TestProfileHandlerWithoutWindows(t *testing.T) {
	s := newService(t, quick)
	s.prof.Pause()
	for name, prof := range map[string]*profiler.Profiler{"paused": s.prof, "nil": nil} {
		resp, body := get(t, prof.ProfileHandler(), "?seconds=0.1")
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s: %s; want a profile", name, resp.Status, body)
			continue
		}
		if _, err := profile.ParseData(body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	if resp, body := get(t, s.prof.ProfileHandler(), "?seconds=0.1"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %s, %q while another CPU profile runs; want 503", resp.Status, body)
	}
}
