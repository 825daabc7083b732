package httpui

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// CaptureHeader, set to anything but "" or "0" in a request, asks Capture for the
// exact states of that request; the query parameter spanclock=capture does so too.
// The answer has the path of its trace under TraceHeader.
const (
	CaptureHeader = "Spanclock-Capture"
	TraceHeader   = "Spanclock-Trace"
)

// Capture returns a handler that serves requests as next does, and takes the exact
// states of those that ask for it, whatever they take: see profiler.Options.Exact.
// It goes inside the instrumentation, where the request's span has begun:
//
//	mux.Handle("/", otelhttp.NewHandler(httpui.Capture(next, "/debug/traces/", &o), "root"))
//
// Mount is the path at which Handler is mounted. Options.Profiler must be set, and
// Options.Authorize, or the rule that stands for it, must let the request look;
// one that asks without that is served all the same, without a word. Nothing is
// taken from next, and the header and the parameter stay where they are.
func Capture(next http.Handler, mount string, o *Options) http.Handler {
	h := &handler{}
	if o != nil {
		h.opts = *o
	}
	mount = "/" + strings.Trim(mount, "/") + "/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.opts.Profiler != nil && asksCapture(r) {
			sc := trace.SpanContextFromContext(r.Context())
			if access, _ := h.access(r); access != NoAccess && sc.IsValid() && h.opts.Profiler.CaptureAtEnd(sc.TraceID()) {
				w.Header().Set(TraceHeader, mount+"trace/"+sc.TraceID().String())
			}
		}
		next.ServeHTTP(w, r)
	})
}

func asksCapture(r *http.Request) bool {
	v := r.Header.Get(CaptureHeader)
	return v != "" && v != "0" || strings.Contains(r.URL.RawQuery, "spanclock=") && r.URL.Query().Get("spanclock") == "capture"
}
