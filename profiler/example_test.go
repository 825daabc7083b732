package profiler_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"time"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

func Example() {
	store, err := spanstore.Open("traces", nil)
	if err != nil {
		log.Print(err) // a nil store and a nil profiler are inert
	}
	defer store.Close()
	prof, err := profiler.Start(store, nil)
	if err != nil {
		log.Print(err)
	}
	defer prof.Stop()
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	otel.SetTracerProvider(tp)

	mux := http.NewServeMux()
	mux.Handle("/debug/pprof/profile", prof.ProfileHandler())
}

// started returns a running profiler, with windows that may be short.
func started() (store *spanstore.Store, prof *profiler.Profiler, stop func()) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		log.Fatal(err)
	}
	if prof, err = profiler.Start(store, &profiler.Options{MinWindow: 100 * time.Millisecond}); err != nil {
		log.Fatal(err)
	}
	return store, prof, func() { prof.Stop(); store.Close() }
}

func ExampleStart() {
	store, prof, stop := started() // spanstore.Open and profiler.Start
	defer stop()
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	_, span := tp.Tracer("example").Start(context.Background(), "hash")
	burnSome(1000) // 0.2 s of CPU time or so
	span.End()

	// Wait until the samples of what ran so far are in the store; a page does so too.
	if err := prof.Refresh(context.Background()); err != nil {
		fmt.Println(err)
	}
	tr, err := store.Trace(context.Background(), span.SpanContext().TraceID())
	if err != nil {
		fmt.Println(err)
	}
	usage := tr.Usage[span.SpanContext().SpanID()]
	fmt.Println("sampled:", usage.CPU > 20*time.Millisecond, "with stacks:", len(usage.Stacks) > 0)
	// Output: sampled: true with stacks: true
}

func ExampleProfiler_Pause() {
	_, prof, stop := started()
	defer stop()
	fmt.Println(pprof.StartCPUProfile(io.Discard))

	prof.Pause() // the process's one CPU profile is free
	fmt.Println(pprof.StartCPUProfile(io.Discard))
	pprof.StopCPUProfile()
	prof.Resume()
	// Output:
	// cpu profiling already in use
	// <nil>
}

func ExampleProfiler_ProfileHandler() {
	_, prof, stop := started()
	defer stop()
	mux := http.NewServeMux()
	mux.Handle("/debug/pprof/profile", prof.ProfileHandler()) // in place of net/http/pprof's

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/profile?seconds=0.2", nil))
	p, err := profile.Parse(w.Body)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(w.Code, p.PeriodType.Type, p.SampleType[1].Unit)
	// Output: 200 cpu nanoseconds
}
