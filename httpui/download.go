package httpui

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui/export"
	"github.com/spanclock/spanclock/spanstore"
)

// asPage is the name of the download that WritePage makes, beside export.Formats.
const asPage = "html"

// serveDownload answers a trace as a file.
func (h *handler) serveDownload(w *response, id trace.TraceID) {
	as := w.r.URL.Query().Get("as")
	if as != asPage && !slices.Contains(export.Formats, export.Format(as)) {
		w.fail(badParameter("as", as, downloads()))
		return
	}
	t := h.readFor(w, id, formText) // a file is asked for once, as text is
	if t == nil {
		return
	}
	body, mime, extension, err := h.file(t, as, w.values)
	if err != nil {
		h.report(fmt.Errorf("httpui: download %s as %s: %w", id, as, err))
		w.fail(failure{status: http.StatusInternalServerError, Error: "the file could not be made", Hint: "The service's log has the cause."})
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="trace-`+id.String()+extension+`"`)
	w.packed = as == string(export.Pprof)
	w.send(http.StatusOK, mime, body)
}

// file makes a download.
func (h *handler) file(t *spanstore.Trace, as string, values bool) (body []byte, mime, extension string, err error) {
	if as == asPage {
		body, err = alone(h.assets, h.analyze(t), values)
		return body, mimes[".html"], ".html", err
	}
	if !values {
		t = export.Hide(t)
	}
	f := export.Format(as)
	var b bytes.Buffer
	err = export.Write(&b, f, t)
	return b.Bytes(), f.MIME(), f.Extension(), err
}

// downloads names what a trace may be downloaded as.
func downloads() string {
	var all []string
	for _, f := range export.Formats {
		all = append(all, string(f))
	}
	return strings.Join(all, ", ") + " or " + asPage
}
