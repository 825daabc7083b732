package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// telemetry is what the four services share: one store for their spans and one
// profiler, as there is one CPU profile to a process.
type telemetry struct {
	dir       string
	temporary bool // remove dir at the end
	store     *spanstore.Store
	profiler  *profiler.Profiler
	providers []*profiler.TracerProvider
}

// openTelemetry opens the store in dir, or in a temporary directory when dir is
// empty.
func openTelemetry(dir string) (_ *telemetry, err error) {
	t := &telemetry{dir: dir, temporary: dir == ""}
	if t.temporary {
		if t.dir, err = os.MkdirTemp("", "spanclock-shop-traces-"); err != nil {
			return nil, err
		}
	}
	// A real service would go on with the nil store. Here the traces are the
	// whole point.
	if t.store, err = spanstore.Open(t.dir, nil); err != nil {
		return nil, errors.Join(err, t.remove())
	}
	// Without a profiler there are still waterfalls, and a nil one does nothing.
	if t.profiler, err = profiler.Start(t.store, &profiler.Options{Exact: profiler.ExactAuto}); err != nil {
		log.Print("shop: no CPU figures: ", err)
	}
	return t, nil
}

// provider returns the tracer provider of one service: the second and third of
// the lines that mount spanclock.
func (t *telemetry) provider(service string) *profiler.TracerProvider {
	tp := t.profiler.TracerProvider(sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(t.store.Processor()),
		sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName(service),
			semconv.ServiceVersion("demo")))))
	t.providers = append(t.providers, tp)
	return tp
}

// mount puts the traces and CPU profiles on mux. They are not instrumented:
// looking at traces should not make more of them.
func (t *telemetry) mount(mux *http.ServeMux) {
	mux.Handle("/debug/traces/", httpui.Handler(t.store, &httpui.Options{Profiler: t.profiler}))

	// In place of net/http/pprof's, which fails while the profiler holds the
	// process's CPU profile. It asks nobody who they are, so we do.
	profile := t.profiler.ProfileHandler()
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, r *http.Request) {
		if !httpui.Local(r) {
			http.Error(w, "only this machine may look", http.StatusForbidden)
			return
		}
		profile.ServeHTTP(w, r)
	})
}

// close hands the last spans to the store and closes it.
func (t *telemetry) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	for _, tp := range t.providers {
		errs = append(errs, tp.Shutdown(ctx))
	}
	errs = append(errs, t.profiler.Stop(), t.store.Close(), t.remove())
	return errors.Join(errs...)
}

func (t *telemetry) remove() error {
	if !t.temporary {
		return nil
	}
	return os.RemoveAll(t.dir)
}

// String says where the traces are kept.
func (t *telemetry) String() string {
	if t.temporary {
		return fmt.Sprintf("%s (removed at the end)", t.dir)
	}
	return t.dir
}
