package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// service is what each of the four services has: a name, a tracer provider, an
// HTTP server, and clients of Redis and SQL whose spans bear its name.
type service struct {
	name    string
	url     string // where it answers, without a slash at the end
	tracers trace.TracerProvider
	mux     *http.ServeMux
	cache   *cache
	db      *db

	server *http.Server
}

// handle serves pattern, such as "GET /api/order/{id}", with a server span that
// is named by it.
func (s *service) handle(pattern string, h http.Handler) {
	s.mux.Handle(pattern, otelhttp.NewHandler(h, pattern, s.instrument(func(_ string, r *http.Request) string {
		return r.Pattern
	})...))
}

// transport makes HTTP requests to the named service, each in a client span.
func (s *service) transport(to string) http.RoundTripper {
	// The default keeps two idle connections for a host. A burst would then
	// open and close connections all the time.
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	return otelhttp.NewTransport(t, s.instrument(func(_ string, r *http.Request) string {
		return r.Method + " " + to
	})...)
}

// instrument says explicitly what otelhttp would otherwise take from otel's
// globals: here four services live in one process.
func (s *service) instrument(name func(string, *http.Request) string) []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(s.tracers),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(name),
	}
}

// serve answers on l until close.
func (s *service) serve(l net.Listener) {
	if s.url == "" {
		s.url = "http://" + l.Addr().String()
	}
	s.server = &http.Server{Handler: s.mux, ReadHeaderTimeout: 5 * time.Second}
	go s.server.Serve(l) // returns when the server is closed
}

// close lets requests finish for a while, then cuts them off.
func (s *service) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		return s.server.Close()
	}
	return nil
}

// peer is a service as seen by another one that calls it.
type peer struct {
	url       string
	transport http.RoundTripper
}

// peer returns s's way to call to, which must be serving.
func (s *service) peer(to *service) *peer {
	return &peer{url: to.url, transport: s.transport(to.name)}
}

// get reads the JSON at path into v.
func (p *peer) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return err
	}
	res, err := p.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read %s: %w", req.URL, err)
	}
	if res.StatusCode != http.StatusOK {
		return &statusError{res.StatusCode, string(bytes.TrimSpace(body))}
	}
	return json.Unmarshal(body, v)
}

// handler is an HTTP handler that may fail.
type handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP answers a statusError with its code and everything else with 500.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	if err == nil {
		return
	}
	trace.SpanFromContext(r.Context()).RecordError(err)
	code := http.StatusInternalServerError
	if e, ok := errors.AsType[*statusError](err); ok {
		code = e.code
	}
	http.Error(w, err.Error(), code)
}

// statusError is an error that has an HTTP status.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	writeBody(w, b)
	return nil
}

// writeBody answers with JSON that is ready. An error of writing is the
// client's going away: nobody is left to be told.
func writeBody(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}
