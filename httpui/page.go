package httpui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// WritePage writes one self-contained HTML file that shows t as the page of a trace
// does, from a disk and without a network: script, style and data are in it. It may
// load nothing and send nothing, by its own content security policy. What asks the
// service, such as a span's history, is left out.
func WritePage(w io.Writer, t *spanstore.Trace) error {
	b, err := alone(loadAssets(), stall.Analyze(t), true)
	if err != nil {
		return fmt.Errorf("make a page of trace %s: %w", t.ID, err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write a page: %w", err)
	}
	return nil
}

// pack is the data of a page that stands alone: the trace, and in which chunk each span
// is. What the page gets is what it would have been answered.
type pack struct {
	Trace columnsJSON `json:"trace"`
	Order []string    `json:"order"` // ids of the spans, in the order of the chunks
	Chunk int         `json:"chunk"` // spans in a chunk
}

// chunkSpans are read together when one of them is selected.
const chunkSpans = 200

// alone makes a page of the front end's files. They are compressed in text that
// cannot end the element in which it stands.
func alone(files map[string]asset, a *stall.Analysis, values bool) ([]byte, error) {
	if len(a.Nodes) == 0 {
		return nil, errors.New("it has no spans")
	}
	p := pack{Trace: newColumns(a, values), Chunk: chunkSpans}
	p.Trace.Pending = false // nobody is there to ask again
	chunks := make([]map[string]spanJSON, (len(a.Nodes)+chunkSpans-1)/chunkSpans)
	for i := range a.Nodes {
		id := a.Nodes[i].Span.SpanID().String()
		if chunks[i/chunkSpans] == nil {
			chunks[i/chunkSpans] = map[string]spanJSON{}
		}
		if _, repeated := chunks[i/chunkSpans][id]; !repeated {
			chunks[i/chunkSpans][id] = newSpan(a, &a.Nodes[i], values)
		}
		p.Order = append(p.Order, id)
	}
	var data strings.Builder
	if err := packed(&data, "pack", p); err != nil {
		return nil, err
	}
	for i, c := range chunks {
		if err := packed(&data, fmt.Sprintf("chunk%d", i), c); err != nil {
			return nil, err
		}
	}
	return assemble(files, a, data.String())
}

// packed writes v into an element that the script reads.
func packed(b *strings.Builder, id string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var z bytes.Buffer
	c, err := gzip.NewWriterLevel(&z, gzip.BestSpeed)
	if err != nil {
		return err
	}
	_, err = c.Write(text)
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	fmt.Fprintf(b, "<script type=\"application/gzip\" id=\"%s\">%s</script>\n", id, base64.StdEncoding.EncodeToString(z.Bytes()))
	return nil
}

// assemble puts script, style and data into the page's own HTML.
func assemble(files map[string]asset, a *stall.Analysis, data string) ([]byte, error) {
	// An end tag in a script or a style would end it, wherever it stands.
	closed := func(name string) string {
		return strings.ReplaceAll(string(files[name].body), "</script", `<\/script`)
	}
	early, script := closed("early.js"), closed("app.js")
	style := strings.ReplaceAll(string(files["app.css"].body), "</style", `<\/style`)
	policy := fmt.Sprintf("default-src 'none'; script-src 'sha256-%s' 'sha256-%s'; style-src 'sha256-%s'; img-src data:; "+
		"require-trusted-types-for 'script'; base-uri 'none'; form-action 'none'", hashOf(early), hashOf(script), hashOf(style))
	root := a.Nodes[0].Span
	parts := []string{ // what is there, and what takes its place
		`data-base="` + basePlaceholder + `"`, `data-trace="` + a.Trace.ID.String() + `"`,
		`<meta charset="utf-8">`, `<meta charset="utf-8">` + "\n" + `<meta http-equiv="Content-Security-Policy" content="` + policy + `">`,
		`<title>spanclock</title>`, `<title>` + html.EscapeString(escape(clip(root.Name, 200))) + ` · spanclock</title>`,
		`<link rel="stylesheet" href="` + basePlaceholder + `static/app.css">`, "<style>" + style + "</style>",
		`<script src="` + basePlaceholder + `static/early.js"></script>`, "<script>" + early + "</script>",
		`<script type="module" src="` + basePlaceholder + `static/app.js"></script>`, `<script type="module">` + script + "</script>",
		`The same data as text: add ?format=text to the address; as JSON: ?format=json.`, "Its data is in this file, compressed.",
		`<div id="app"></div>`, `<div id="app"></div>` + "\n" + data,
	}
	page := string(files[index].body)
	for i := 0; i < len(parts); i += 2 {
		if strings.Count(page, parts[i]) != 1 {
			return nil, fmt.Errorf("the front end's page has no %s", parts[i])
		}
	}
	return []byte(strings.NewReplacer(parts...).Replace(page)), nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
