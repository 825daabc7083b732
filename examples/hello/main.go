// Hello is the smallest service that shows its own traces: net/http, and the
// five lines of spanclock. Run it, ask it for a greeting, and look:
//
//	go run ./examples/hello
//	curl localhost:8080/hello/gopher
//	curl localhost:8080/debug/traces/
//
// The traces are kept in the directory traces, beside where it runs.
package main

import (
	"fmt"
	"log"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

func main() {
	store, err := spanstore.Open("traces", nil)
	if err != nil {
		log.Print(err) // a nil store and a nil profiler do nothing: the service runs on
	}
	prof, err := profiler.Start(store, nil)
	if err != nil {
		log.Print(err)
	}
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	otel.SetTracerProvider(tp)

	mux := http.NewServeMux()
	mux.Handle("/debug/traces/", httpui.Handler(store, &httpui.Options{Profiler: prof}))
	mux.Handle("GET /hello/{name}", otelhttp.NewHandler(http.HandlerFunc(hello), "hello"))

	log.Print("traces of http://localhost:8080/hello/you are at http://localhost:8080/debug/traces/")
	log.Fatal(http.ListenAndServe("localhost:8080", mux))
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello, %s!\n", r.PathValue("name"))
}
