package httpui

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// Options configure a Handler. Nil and the zero value mean the defaults.
type Options struct {
	// Profiler adds what it knows: whether samples are still to come, and the
	// view pprof/profile. Without one the handler shows what the store has.
	Profiler *profiler.Profiler

	// Authorize says what the sender of a request may see. It is called for
	// every request, also for the page's own files, possibly concurrently. Nil
	// gives ShowValues to requests that are Local and NoAccess to all others;
	// an Authorize that only adds to that asks Local itself.
	Authorize func(*http.Request) Access

	// Logger is told when the handler fails by its own fault. Nil means the
	// OpenTelemetry error handler.
	Logger *slog.Logger
}

// policy is the Content-Security-Policy of every answer. A page may run its own
// script, use its own styles and ask its own origin; nothing else, nowhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"require-trusted-types-for 'script'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

type handler struct {
	store  *spanstore.Store
	opts   Options
	assets map[string]asset

	overviews   shared[*overviewJSON]
	past        shared[*spanstore.Latencies] // of the whole store, for trace/<id>/operations
	graphs      shared[*graphJSON]
	suggestions shared[*suggestJSON]
	profiles    shared[*spanstore.Profiles]
	digests     digests
	streams     atomic.Int64 // live views that are open
}

// Handler returns the handler of all views. A nil store is shown as an empty
// one, with a word on what to do; nil options mean the defaults. The handler is
// safe for concurrent use, answers GET and HEAD, and does not panic.
func Handler(store *spanstore.Store, o *Options) http.Handler {
	h := &handler{store: store, assets: loadAssets()}
	if o != nil {
		h.opts = *o
	}
	return h
}

// ServeHTTP answers one request: who asks, how, for which view, in which form.
func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw, r: r, form: formOf(r)}
	defer h.rescue(w)
	setHeaders(rw.Header())

	access, why := h.access(r)
	if access == NoAccess {
		w.fail(failure{status: http.StatusForbidden, Error: why, Hint: remedy})
		return
	}
	v := locate(r)
	if allow := v.methods(); !slices.Contains(allow, r.Method) {
		rw.Header().Set("Allow", strings.Join(allow, ", "))
		w.fail(failure{status: http.StatusMethodNotAllowed, Error: fmt.Sprintf("method %q is not allowed", r.Method), Hint: "Only " + strings.Join(allow, " and ") + "."})
		return
	}
	if f := r.URL.Query().Get("format"); w.form == "" {
		w.fail(badParameter("format", f, "html, json or text"))
		return
	}

	w.base, w.values = v.base, access == ShowValues
	if v.paged() {
		w.page = h.page(v.base)
	}
	h.serve(w, v)
}

func (h *handler) serve(w *response, v view) {
	switch v.kind {
	case viewRedirect:
		w.redirect(v.to)
	case viewList:
		h.serveList(w)
	case viewTrace:
		h.serveTrace(w, v.trace)
	case viewDownload:
		h.serveDownload(w, v.trace)
	case viewSpan:
		h.serveSpan(w, v.trace, v.span)
	case viewOperations:
		h.serveOperations(w, v.trace)
	case viewStatic:
		h.serveStatic(w, v.file)
	case viewProfile:
		h.serveProfile(w)
	case viewLive:
		h.serveLive(w)
	case viewCapture:
		h.serveCapture(w, v.trace)
	case viewOverview:
		h.serveOverview(w)
	case viewGraph:
		h.serveGraph(w)
	case viewFlame:
		h.serveFlame(w)
	case viewHealth:
		h.serveHealth(w)
	case viewShares:
		h.serveShares(w)
	case viewSuggest:
		h.serveSuggest(w)
	default:
		w.fail(failure{status: http.StatusNotFound, Error: "there is no such view", Hint: cmp.Or(v.hint, views)})
	}
}

// views is what is said to who asks for something else.
const views = "There are: the list of traces at the mount, which ends in a slash; trace/<trace id>; trace/<trace id>/download?as=; trace/<trace id>/operations; span/<trace id>/<span id>; live; overview; graph; flame; health; pprof/profile."

func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept, Accept-Encoding")
}

// rescue answers 500 for a panic, if nothing was answered yet, and reports it.
// The host must not suffer from being looked at.
func (h *handler) rescue(w *response) {
	p := recover()
	if p == nil {
		return
	}
	h.report(fmt.Errorf("httpui: panic while answering %q: %v\n%s", w.r.URL.Path, p, debug.Stack()))
	if !w.wrote {
		w.fail(failure{status: http.StatusInternalServerError, Error: "the page failed by its own fault", Hint: "The service's log has the cause."})
	}
}

func (h *handler) report(err error) {
	if h.opts.Logger != nil {
		h.opts.Logger.Error(err.Error())
		return
	}
	otel.Handle(err)
}

func (h *handler) serveProfile(w *response) {
	if h.opts.Profiler == nil {
		w.fail(failure{status: http.StatusNotFound, Error: "no profiler is mounted here", Hint: "Set httpui.Options.Profiler to the profiler that profiler.Start returned."})
		return
	}
	h.opts.Profiler.ProfileHandler().ServeHTTP(w, w.r)
}
