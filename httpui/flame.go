package httpui

import "net/http"

func (h *handler) serveFlame(w *response) {
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	w.fail(failure{status: http.StatusNotFound, Error: "there is no such view"})
}
