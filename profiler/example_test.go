package profiler_test

import (
	"log"
	"net/http"

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
