package spantest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/spanclock/spanclock/spanstore/spantest"
)

// TestFakeTime is the pattern: a real handler behind a real server and client, over
// connections in memory, inside a bubble. Durations are exact and take no time.
func TestFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := New(t)
		client, stop := NewListener().Serve(handler(rec.Provider(), checkout))
		defer stop()

		resp, err := client.Post("http://shop.example/checkout", "", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()

		rec.Trace("POST /checkout").Expect(
			Root().Duration().Is(100*ms),
			Span("SELECT orders").Duration().Is(20*ms),
			Prefix("SELECT").Share().Is(0.5),
			Span("redis.GET").Before(Prefix("SELECT")),
			Span("audit").NotAwaited(),
		)
	})
}

// TestFakeTimeTimeout asserts what would take a minute.
func TestFakeTimeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := New(t)
		slow := step{name: "GET /slow", takes: time.Hour}
		client, stop := NewListener().Serve(http.TimeoutHandler(handler(rec.Provider(), slow), time.Minute, "too slow"))
		defer stop()
		begin := time.Now()
		resp, err := client.Get("http://shop.example/slow")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := time.Since(begin); got != time.Minute || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got status %d after %v; want 503 after a minute", resp.StatusCode, got)
		}
		time.Sleep(time.Hour)
		rec.Trace("GET /slow").Expect(Root().Duration().Is(time.Hour))
	})
}

func TestListenerClosed(t *testing.T) {
	l := NewListener()
	l.Close()
	l.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("Accept after Close: got a connection; want an error")
	}
	if _, err := l.Dial(t.Context(), "", ""); err == nil {
		t.Error("Dial after Close: got a connection; want an error")
	}
}
