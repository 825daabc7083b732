package main

import (
	"context"
	"net/http"

	ddotel "github.com/DataDog/dd-trace-go/v2/ddtrace/opentelemetry"
	ddtracer "github.com/DataDog/dd-trace-go/v2/ddtrace/tracer"
	otelpyroscope "github.com/grafana/otel-profiling-go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// contender makes a provider, and what takes it away again.
type contender struct {
	name string
	base string // the name of the contender that it is compared with; "" for one of those
	open func() (tp trace.TracerProvider, stop func(), err error)
}

// Names of what the others are compared with.
const (
	bare       = "SDK, bare"
	exporting  = "SDK, exporting"
	notSampled = "SDK, not sampled"
)

var contenders = []contender{
	{bare, "", plain(func() *sdktrace.TracerProvider { return sdktrace.NewTracerProvider() })},
	{"spanclock, every span", bare, spanclock(bareSDK, profiler.LabelSpans)},
	{"spanclock, local roots", bare, spanclock(bareSDK, profiler.LabelRoots)},
	{"otel-profiling-go, id of every span", bare, pyroscope(bareSDK, otelpyroscope.ScopeAllSpans)},
	{"otel-profiling-go, id of roots (default)", bare, pyroscope(bareSDK, otelpyroscope.ScopeRootSpan)},
	{"dd-trace-go's bridge, no agent", bare, datadog},
	{"a processor that does nothing", bare, plain(exportingSDK)},

	{exporting, "", plain(exportingSDK)},
	{"spanclock, every span", exporting, spanclock(exportingSDK, profiler.LabelSpans)},
	{"spanclock, local roots", exporting, spanclock(exportingSDK, profiler.LabelRoots)},
	{"otel-profiling-go, id of every span", exporting, pyroscope(exportingSDK, otelpyroscope.ScopeAllSpans)},
	{"otel-profiling-go, id of roots (default)", exporting, pyroscope(exportingSDK, otelpyroscope.ScopeRootSpan)},

	{notSampled, "", plain(droppingSDK)},
	{"spanclock, not sampled", notSampled, spanclock(droppingSDK, profiler.LabelSpans)},
	{"otel-profiling-go, not sampled", notSampled, pyroscope(droppingSDK, otelpyroscope.ScopeAllSpans)},
}

func bareSDK() *sdktrace.TracerProvider { return sdktrace.NewTracerProvider() }

func exportingSDK() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nothing{}))
}

func droppingSDK() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()), sdktrace.WithSpanProcessor(nothing{}))
}

func plain(sdk func() *sdktrace.TracerProvider) func() (trace.TracerProvider, func(), error) {
	return func() (trace.TracerProvider, func(), error) { return sdk(), func() {}, nil }
}

func pyroscope(sdk func() *sdktrace.TracerProvider, ids otelpyroscope.Scope) func() (trace.TracerProvider, func(), error) {
	return func() (trace.TracerProvider, func(), error) {
		return otelpyroscope.NewTracerProvider(sdk(), otelpyroscope.WithSpanIDLabelScope(ids)), func() {}, nil
	}
}

// spanclock labels and does not sample: what sampling costs is measured apart.
func spanclock(sdk func() *sdktrace.TracerProvider, labels profiler.Labels) func() (trace.TracerProvider, func(), error) {
	return func() (trace.TracerProvider, func(), error) {
		store, err := spanstore.Open("", nil)
		if err != nil {
			return nil, nil, err
		}
		prof, err := profiler.Start(store, &profiler.Options{Labels: labels})
		if err != nil {
			return nil, nil, err
		}
		prof.Pause()
		return prof.TracerProvider(sdk()), func() { prof.Stop(); store.Close() }, nil
	}
}

func datadog() (trace.TracerProvider, func(), error) {
	tp := ddotel.NewTracerProvider(
		ddtracer.WithHTTPClient(&http.Client{Transport: refuse{}}),
		ddtracer.WithLogStartup(false),
		ddtracer.WithLogger(quiet{}),
		ddtracer.WithProfilerCodeHotspots(true),
	)
	return tp, func() { _ = tp.Shutdown() }, nil
}

// nothing is a span processor that does nothing.
type nothing struct{}

func (nothing) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nothing) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nothing) Shutdown(context.Context) error                  { return nil }
func (nothing) ForceFlush(context.Context) error                { return nil }

// refuse keeps dd-trace-go from calling anybody.
type refuse struct{}

func (refuse) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrServerClosed }

type quiet struct{}

func (quiet) Log(string) {}
