package httpui

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"strings"
)

// dist is the built front end; see web.
//
//go:embed web/dist
var dist embed.FS

const (
	distDir = "web/dist"
	index   = "index.html"

	// basePlaceholder stands in index.html for the relative way to the mount.
	basePlaceholder = "{{base}}"
)

type asset struct {
	body []byte
	mime string
	etag string
}

// mimes are named here because the system's table may say otherwise.
var mimes = map[string]string{
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
	".svg":  "image/svg+xml",
}

// loadAssets reads the front end's files, by name. Embedded files cannot fail.
func loadAssets() map[string]asset {
	assets := map[string]asset{}
	entries, _ := dist.ReadDir(distDir)
	for _, e := range entries {
		body, err := dist.ReadFile(path.Join(distDir, e.Name()))
		mime := mimes[path.Ext(e.Name())]
		if err != nil || mime == "" {
			continue
		}
		sum := sha256.Sum256(body)
		assets[e.Name()] = asset{body, mime, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return assets
}

// serveStatic answers a file of the front end. Browsers may keep it but must ask
// whether it is still the same: its name does not change with its contents.
func (h *handler) serveStatic(w *response, file string) {
	a, ok := h.assets[file]
	if !ok || file == index {
		w.fail(failure{status: http.StatusNotFound, Error: "there is no such file"})
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", a.etag)
	if matches(w.r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.send(http.StatusOK, a.mime, a.body)
}

// matches reports whether an If-None-Match header names etag. A proxy that
// compresses makes a weak tag of it.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if t := strings.TrimPrefix(strings.TrimSpace(tag), "W/"); t == etag || t == "*" {
			return true
		}
	}
	return false
}

// page is the front end's page for a view from which base leads to the mount. It
// asks for its data itself.
func (h *handler) page(base string) string {
	return strings.ReplaceAll(string(h.assets[index].body), basePlaceholder, base)
}
