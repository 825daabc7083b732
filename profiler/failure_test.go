package profiler_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// A store that fails costs its data, not the host: the failure is counted, told
// once, and sampling goes on.
func TestStoreThatFails(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // written by the profiler's goroutine until Stop
	prof, err := profiler.Start(store, &profiler.Options{
		MinWindow: 100 * time.Millisecond,
		Logger:    slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	tp := prof.TracerProvider(sdktrace.NewTracerProvider())
	for range 3 {
		_, span := tp.Tracer("test").Start(context.Background(), "span")
		span.End()
		if err := prof.Refresh(context.Background()); err != nil {
			t.Fatalf("Refresh: %v", err)
		}
	}
	if st := prof.Stats(); !st.Running || st.Errors != 3 || st.LastError == "" {
		t.Errorf("got running %v, %d errors, the last %q; want running, 3 errors", st.Running, st.Errors, st.LastError)
	}
	if err := prof.Stop(); err == nil {
		t.Error("got no error from Stop; want that of storing the last window")
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("got %d error lines; want one for all failures in a row:\n%s", n, log.String())
	}
}

// badSpan is a span of which everything panics.
type badSpan struct{ sdktrace.ReadWriteSpan }

func TestPanicsStayInside(t *testing.T) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	prof, err := profiler.Start(store, &profiler.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	prof.OnStart(context.Background(), badSpan{})
	prof.OnEnd(badSpan{})
	if st := prof.Stats(); st.Panics != 2 || !strings.Contains(st.LastError, "panic") {
		t.Errorf("got %d panics, last error %q; want 2 that were caught", st.Panics, st.LastError)
	}
}
