package httpui

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/spanclock/spanclock/httpui/internal/text"
)

// form is how an answer is written: one of these, or "" when the request asks
// for one that does not exist.
type form string

const (
	formHTML form = "html"
	formJSON form = "json"
	formText form = "text"
)

// formOf reads ?format=, else the Accept header: of the forms that it names the
// most wanted, HTML first. Who names none, as curl does, gets text.
func formOf(r *http.Request) form {
	if q := r.URL.Query(); q.Has("format") {
		switch f := form(q.Get("format")); f {
		case formHTML, formJSON, formText:
			return f
		}
		return ""
	}
	best, most := formText, 0.0
	for _, f := range []struct {
		form
		types []string
	}{
		{formHTML, []string{"text/html", "application/xhtml+xml"}},
		{formJSON, []string{"application/json", "application/*"}},
		{formText, []string{"text/plain", "text/*"}},
	} {
		for _, mime := range f.types {
			if q := quality(r.Header.Values("Accept"), mime); q > most {
				best, most = f.form, q
			}
		}
	}
	return best
}

// quality returns the weight that an Accept or Accept-Encoding header gives to
// exactly the named item, 0 when it does not name it.
func quality(header []string, name string) float64 {
	for item := range strings.SplitSeq(strings.Join(header, ","), ",") {
		item, params, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(item), name) {
			continue
		}
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				q, err := strconv.ParseFloat(v, 64)
				if err != nil {
					return 0
				}
				return q
			}
		}
		return 1
	}
	return 0
}

// response is a ResponseWriter that knows in which form to answer whom.
type response struct {
	http.ResponseWriter
	r      *http.Request
	form   form
	base   string // leads to the mount; see view
	page   string // the front end's page, for the views that it shows
	values bool   // may see attribute values
	wrote  bool
	packed bool // the body is compressed in itself
}

func (w *response) WriteHeader(status int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// compressFrom is the size from which compression is worth its CPU time.
const compressFrom = 4 << 10

var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

// send writes a whole answer. A client that has gone away is no error of ours.
func (w *response) send(status int, mime string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mime)
	if !w.packed && len(body) >= compressFrom && quality(w.r.Header.Values("Accept-Encoding"), "gzip") > 0 && h.Get("Content-Encoding") == "" {
		body = compressed(body)
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if w.r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func compressed(body []byte) []byte {
	var b bytes.Buffer
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(&b)
	_, _ = z.Write(body) // a Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

func (w *response) json(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode JSON: %v", err)) // a fault of this package; rescue answers it
	}
	w.send(status, "application/json", append(b, '\n'))
}

func (w *response) text(status int, s string) {
	if width, bad := textWidth(w.r); bad == nil && w.r.URL.Query().Has("width") {
		s = text.Wrap(s, width)
	}
	w.send(status, "text/plain; charset=utf-8", []byte(s))
}

func (w *response) redirect(to string) {
	w.Header().Set("Location", to) // http.Redirect would make it absolute
	w.text(http.StatusTemporaryRedirect, "The traces are at "+escape(to)+"\n")
}

// failure is an answer that is no data.
type failure struct {
	status  int
	Error   string   `json:"error"`
	Hint    string   `json:"hint"`
	Column  int      `json:"column,omitempty"` // of a bad query, from 1
	Evicted *evicted `json:"evicted,omitempty"`
}

// evicted says what became of a trace that was here once.
type evicted struct {
	When string `json:"when"`
	Why  string `json:"why"`
}

func badParameter(name, value, want string) failure {
	return failure{
		status: http.StatusBadRequest,
		Error:  fmt.Sprintf("bad value %q of the parameter %s", value, name),
		Hint:   fmt.Sprintf("%s takes %s.", name, want),
	}
}

// errorPage is the page of a failure outside of the views that the front end
// shows. It stands alone: who is refused may not even load the style sheet.
const errorPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s · spanclock</title>
%s</head>
<body>
<main id="main">
%s</main>
</body>
</html>
`

// html is the page of a failure. A view of the front end gets its page, which
// asks for the data and shows why there is none, where it can be corrected or
// tried again; the reason is in it for those who run no scripts.
func (f *failure) html(page, base string) string {
	var notice strings.Builder
	fmt.Fprintf(&notice, "<section class=\"notice\" role=\"alert\">\n<h1><span class=\"status\">%d</span> %s</h1>\n", f.status, html.EscapeString(escape(f.Error)))
	if f.Hint != "" {
		fmt.Fprintf(&notice, "<p>%s</p>\n", html.EscapeString(escape(f.Hint)))
	}
	style := ""
	if base != "" {
		style = `<link rel="stylesheet" href="` + base + "static/app.css\">\n"
		fmt.Fprintf(&notice, "<p class=\"actions\"><a href=\"%s\">All traces</a></p>\n", base)
	}
	notice.WriteString("</section>\n")
	if before, after, ok := strings.Cut(page, "<noscript>"); ok {
		return before + "<noscript>\n" + notice.String() + after
	}
	return fmt.Sprintf(errorPage, html.EscapeString(http.StatusText(f.status)), style, notice.String())
}

// fail answers a failure in the form asked for.
func (w *response) fail(f failure) {
	switch w.form {
	case formJSON:
		w.json(f.status, f)
	case formHTML:
		w.send(f.status, mimes[".html"], []byte(f.html(w.page, w.base)))
	default:
		w.text(f.status, strings.TrimRight(fmt.Sprintf("%d %s: %s\n%s", f.status, http.StatusText(f.status), escape(f.Error), escape(f.Hint)), "\n")+"\n")
	}
}
