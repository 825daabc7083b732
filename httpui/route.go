package httpui

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

type viewKind int

const (
	viewUnknown viewKind = iota
	viewRedirect
	viewList
	viewTrace
	viewSpan
	viewOperations
	viewStatic
	viewProfile
	viewLive
	viewCapture
	viewOverview
	viewGraph
	viewFlame
	viewHealth
	viewShares
	viewSuggest
	viewDownload
)

// words are the views that have one word for a path.
var words = map[string]viewKind{
	"live": viewLive, "overview": viewOverview, "graph": viewGraph, "flame": viewFlame, "health": viewHealth,
	"shares": viewShares, "suggest": viewSuggest,
}

// view is what a request's path asks for.
type view struct {
	kind  viewKind
	trace trace.TraceID
	span  trace.SpanID
	file  string // of viewStatic
	to    string // of viewRedirect, a relative reference
	hint  string // of viewUnknown

	// base leads from the request's URL to the mount, relative: "./" or "../"
	// once or more. Empty when the mount is not known.
	base string
}

// paged reports whether the front end has a page for the view.
func (v *view) paged() bool {
	switch v.kind {
	case viewList, viewTrace, viewSpan, viewOperations, viewLive, viewOverview, viewGraph, viewFlame, viewHealth:
		return true
	}
	return false
}

// methods are those that the view takes.
func (v *view) methods() []string {
	if v.kind == viewCapture {
		return []string{http.MethodPost}
	}
	return []string{http.MethodGet, http.MethodHead}
}

// locate recognises a view by the end of the path, wherever the handler may be
// mounted.
func locate(r *http.Request) view {
	asked, stripped := askedPath(r)
	segs := names(r.URL)
	v := viewAt(segs)
	if len(segs) > 0 && words[segs[len(segs)-1]] == v.kind && isMount(r, segs, stripped) {
		v = view{}
	}
	if v.kind != viewUnknown {
		depth := map[viewKind]int{viewTrace: 1, viewSpan: 2, viewStatic: 1, viewProfile: 1, viewCapture: 1, viewDownload: 2, viewOperations: 2}[v.kind]
		if endsInSlash(asked) {
			depth++
		}
		v.base = cmp.Or(strings.Repeat("../", depth), "./")
		return v
	}
	if below := belowMount(r, segs, stripped); below > 0 || v.hint != "" {
		if endsInSlash(asked) {
			below++
		}
		if below > 0 {
			v.base = "./" + strings.Repeat("../", below-1)
		}
		return v
	}
	if last := names(asked); len(last) > 0 && !endsInSlash(asked) {
		// The leading ./ keeps a colon in the segment from reading as a scheme.
		v = view{kind: viewRedirect, to: "./" + url.PathEscape(last[len(last)-1]) + "/"}
		if r.URL.RawQuery != "" {
			v.to += "?" + r.URL.RawQuery
		}
		return v
	}
	return view{kind: viewList, base: "./"}
}

// viewAt reads the view that a path ends in. A path that ends in what is nearly
// a view gets a hint.
func viewAt(segs []string) view {
	at := func(back int) string {
		if back > len(segs) {
			return ""
		}
		return segs[len(segs)-back]
	}
	switch {
	case at(3) == "trace" && at(1) == "download":
		id, err := trace.TraceIDFromHex(strings.ToLower(at(2)))
		if err != nil {
			return view{hint: "A file of a trace is at trace/<id>/download?as=; the id has 32 hex digits, not all zero."}
		}
		return view{kind: viewDownload, trace: id}
	case at(3) == "trace" && at(1) == "operations":
		id, err := trace.TraceIDFromHex(strings.ToLower(at(2)))
		if err != nil {
			return view{hint: "The operations of a trace are at trace/<id>/operations; the id has 32 hex digits, not all zero."}
		}
		return view{kind: viewOperations, trace: id}
	case at(2) == "trace":
		id, err := trace.TraceIDFromHex(strings.ToLower(at(1)))
		if err != nil {
			return view{hint: "A trace is at trace/<id>; the id has 32 hex digits, not all zero."}
		}
		return view{kind: viewTrace, trace: id}
	case at(3) == "span":
		id, err := trace.TraceIDFromHex(strings.ToLower(at(2)))
		span, err2 := trace.SpanIDFromHex(strings.ToLower(at(1)))
		if err != nil || err2 != nil {
			return view{hint: "A span is at span/<trace id>/<span id>; the ids have 32 and 16 hex digits, not all zero."}
		}
		return view{kind: viewSpan, trace: id, span: span}
	case at(2) == "static":
		return view{kind: viewStatic, file: at(1)}
	case at(2) == "pprof" && at(1) == "profile":
		return view{kind: viewProfile}
	case words[at(1)] != viewUnknown:
		return view{kind: words[at(1)]}
	case at(2) == "live":
		id, err := trace.TraceIDFromHex(strings.ToLower(at(1)))
		if err != nil {
			return view{hint: "A request in flight is at live/<trace id>, which takes POST; the id has 32 hex digits, not all zero."}
		}
		return view{kind: viewCapture, trace: id}
	}
	return view{}
}

// isMount reports whether the path is known to be that of the mount itself: one
// may be called like a view.
func isMount(r *http.Request, segs []string, stripped bool) bool {
	if stripped {
		return len(segs) == 0
	}
	below, known := belowPattern(r.Pattern, segs)
	return known && len(below) == 0
}

// belowMount returns how many segments of a path that ends in no view lie below
// the mount; 0 says that it is the mount.
//
// What is left of the path below a stripped prefix or the router's pattern
// tells, unless another router stands between: then the usual name of the mount
// does. Without any of these every path may be a mount.
func belowMount(r *http.Request, segs []string, stripped bool) int {
	below, known := segs, stripped
	if !stripped {
		below, known = belowPattern(r.Pattern, segs)
	}
	for i, s := range slices.Backward(below) {
		if s == "traces" {
			return len(below) - 1 - i
		}
	}
	if known {
		return len(below)
	}
	return 0
}

// belowPattern takes from a path what the pattern that matched it says of its
// beginning. ok is false when the pattern does not belong to the path.
func belowPattern(pattern string, segs []string) (below []string, ok bool) {
	slash := strings.IndexByte(pattern, '/') // after a method and a host
	if slash < 0 {
		return segs, false
	}
	pattern = pattern[slash:]
	fixed := segments(pattern)
	if n := len(fixed); n > 0 && (strings.HasSuffix(fixed[n-1], "...}") || fixed[n-1] == "{$}" || fixed[n-1] == "*") {
		fixed = fixed[:n-1]
	}
	if len(fixed) > len(segs) {
		return segs, false
	}
	for i, f := range fixed {
		if plain, err := url.PathUnescape(f); err != nil || plain != segs[i] && !strings.HasPrefix(f, "{") {
			return segs, false
		}
	}
	return segs[len(fixed):], true
}

// askedPath returns the URL with the path as the client asked for it, which relative
// references count from, and whether a router has stripped its beginning since.
// A path that was rewritten altogether is taken as it is now.
func askedPath(r *http.Request) (u *url.URL, stripped bool) {
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return r.URL, false
	}
	asked, now := names(u), names(r.URL)
	if cut := len(asked) - len(now); cut >= 0 && slices.Equal(asked[cut:], now) {
		return u, cut > 0
	}
	return r.URL, false
}

// names are the segments of a URL's path. A slash that is written as %2F is part of
// one: browsers do not count relative references from it.
func names(u *url.URL) []string {
	segs := segments(u.EscapedPath())
	for i, s := range segs {
		if plain, err := url.PathUnescape(s); err == nil {
			segs[i] = plain
		}
	}
	return segs
}

func endsInSlash(u *url.URL) bool { return strings.HasSuffix(u.EscapedPath(), "/") }

// segments splits a path. Empty segments count for nothing.
func segments(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}
