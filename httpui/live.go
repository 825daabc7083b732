package httpui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
)

const (
	// maxStreams bounds the live views that are open as streams. A stream ends
	// after streamFor, and when a part of it could not be sent within sendTime: a
	// reader that wants more asks again.
	maxStreams = 32
	streamFor  = 10 * time.Minute
	sendTime   = 10 * time.Second

	// Of each span at most liveStacks stacks are sent, of each stack liveFrames
	// frames from the leaf.
	liveStacks = 5
	liveFrames = 48
)

type liveJSON struct {
	At   string `json:"at"`
	Next string `json:"next"` // when there can be another

	// Spans have started and not ended, the oldest first.
	Spans    []liveSpanJSON `json:"spans"`
	Omitted  int            `json:"omitted"`
	Late     int            `json:"late"` // goroutines with the label of a span that is over
	Capture  captureJSON    `json:"capture"`
	Problems []string       `json:"problems"`
}

type liveSpanJSON struct {
	TraceID    string          `json:"trace_id"`
	SpanID     string          `json:"span_id"`
	ParentID   string          `json:"parent_id"`
	Service    string          `json:"service"`
	Route      string          `json:"route"`
	Name       string          `json:"name"`
	LocalRoot  bool            `json:"local_root"`
	Start      string          `json:"start"`
	AgeNS      int64           `json:"age_ns"`
	Goroutines int             `json:"goroutines"`
	Stacks     []liveStackJSON `json:"stacks"`
}

// liveStackJSON is where some goroutines stand. The state is concluded from the
// frames: "cpu" is one that runs, or is ready to.
type liveStackJSON struct {
	Goroutines int            `json:"goroutines"`
	State      stall.State    `json:"state"`
	Evidence   stall.Evidence `json:"evidence"`
	Frames     []frameJSON    `json:"frames"`
}

// captureJSON says whether the exact states of a request can be asked for.
type captureJSON struct {
	Possible bool   `json:"possible"`
	Why      string `json:"why"` // not
}

func (h *handler) newLive(v *profiler.LiveView, limit int) liveJSON {
	j := liveJSON{
		At: formatTime(v.At), Next: formatTime(v.Next), Spans: make([]liveSpanJSON, 0, min(limit, len(v.Spans))),
		Omitted: v.Omitted + max(0, len(v.Spans)-limit), Late: v.Late, Capture: h.canCapture(), Problems: append([]string{}, v.Problems...),
	}
	for i := range v.Spans[:min(limit, len(v.Spans))] {
		s := &v.Spans[i]
		span := liveSpanJSON{
			TraceID: s.TraceID.String(), SpanID: s.SpanID.String(), Service: s.Service, Route: s.Route, Name: s.Name, LocalRoot: s.LocalRoot,
			Start: formatTime(s.Start), AgeNS: int64(s.Age), Goroutines: s.Goroutines, Stacks: []liveStackJSON{},
		}
		if s.ParentID.IsValid() {
			span.ParentID = s.ParentID.String()
		}
		for _, stack := range s.Stacks[:min(len(s.Stacks), liveStacks)] {
			span.Stacks = append(span.Stacks, newLiveStack(stack))
		}
		j.Spans = append(j.Spans, span)
	}
	return j
}

func newLiveStack(s profiler.LiveStack) liveStackJSON {
	j := liveStackJSON{Goroutines: s.Goroutines, State: standing(s.Frames), Evidence: stall.Inferred, Frames: []frameJSON{}}
	for _, f := range s.Frames[:min(len(s.Frames), liveFrames)] {
		j.Frames = append(j.Frames, frameJSON{f.Func, f.File, f.Line})
	}
	return j
}

func (h *handler) canCapture() captureJSON {
	switch st := h.opts.Profiler.Stats(); {
	case h.opts.Profiler == nil:
		return captureJSON{Why: "there is no profiler"}
	case !st.Exact.Armed:
		return captureJSON{Why: st.Exact.Why}
	}
	return captureJSON{Possible: true}
}

// serveLive answers what is in flight: once, or with stream=1 again and again, a
// line of JSON or a table each, until the reader leaves.
func (h *handler) serveLive(w *response) {
	q := w.r.URL.Query()
	limit := maxLimit
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			w.fail(badParameter("limit", s, fmt.Sprintf("a number from 1 to %d", maxLimit)))
			return
		}
		limit = n
	}
	width, bad := textWidth(w.r)
	if bad != nil {
		w.fail(*bad)
		return
	}
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	stream, _ := strconv.ParseBool(q.Get("stream"))
	if stream && w.r.Method != http.MethodHead {
		h.streamLive(w, limit, width)
		return
	}
	v, err := h.opts.Profiler.Live(w.r.Context())
	if err != nil {
		w.fail(failure{status: http.StatusServiceUnavailable, Error: "the request ended before the view was taken"})
		return
	}
	if w.form == formJSON {
		w.json(http.StatusOK, h.newLive(v, limit))
		return
	}
	w.text(http.StatusOK, liveText(h.newLive(v, limit), width))
}

// streamLive sends view after view. Each is taken for all who look, so that the
// streams together cost hardly more than one.
func (h *handler) streamLive(w *response, limit, width int) {
	if h.streams.Add(1) > maxStreams {
		h.streams.Add(-1)
		w.fail(failure{status: http.StatusTooManyRequests, Error: fmt.Sprintf("%d live views are open already", maxStreams), Hint: "Close one, or ask without stream=1."})
		return
	}
	defer h.streams.Add(-1)
	ctx, cancel := context.WithTimeout(w.r.Context(), streamFor)
	defer cancel()
	mime := "application/x-ndjson"
	if w.form == formText {
		mime = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", mime)
	w.Header().Set("X-Accel-Buffering", "no") // proxies should pass it on as it comes
	w.WriteHeader(http.StatusOK)
	for {
		v, err := h.opts.Profiler.Live(ctx)
		if err != nil || h.sendLive(w, h.newLive(v, limit), width) != nil {
			return
		}
		rest := time.NewTimer(max(time.Second, time.Until(v.Next)))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return
		}
	}
}

// sendLive sends one view and waits no longer than sendTime for a slow reader.
func (h *handler) sendLive(w *response, v liveJSON, width int) error {
	var b bytes.Buffer
	if w.form == formText {
		b.WriteString(liveText(v, width) + "\n")
	} else if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	c := http.NewResponseController(w)
	if err := c.SetWriteDeadline(time.Now().Add(sendTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	return c.Flush()
}

// serveCapture asks for the exact states of a request in flight: when=end has them
// taken when it has ended, when=now at once, as far back as the recorder reaches.
func (h *handler) serveCapture(w *response, id trace.TraceID) {
	if w.r.Header.Get(CaptureHeader) == "" {
		// A page of another site can send a form, but no header of its own.
		w.fail(failure{status: http.StatusForbidden, Error: "the header " + CaptureHeader + " is missing", Hint: "Send it with any value, such as 1."})
		return
	}
	if can := h.canCapture(); !can.Possible {
		w.fail(failure{status: http.StatusConflict, Error: "the exact states cannot be taken: " + can.Why, Hint: "See profiler.Options.Exact."})
		return
	}
	switch when := w.r.URL.Query().Get("when"); when {
	case "", "end":
		if !h.opts.Profiler.CaptureAtEnd(id) {
			w.fail(failure{status: http.StatusConflict, Error: "too many requests are to be captured already", Hint: "Try again when some of them have ended."})
			return
		}
	case "now":
		if err := h.opts.Profiler.Capture(w.r.Context(), id); err != nil {
			hint := err.Error()
			if errors.Is(err, profiler.ErrNotRecorded) {
				hint += ". With when=end they are taken as soon as the request has ended."
			}
			w.fail(failure{status: http.StatusConflict, Error: "the exact states could not be taken", Hint: hint})
			return
		}
	default:
		w.fail(badParameter("when", when, "end or now"))
		return
	}
	if w.form == formJSON {
		w.json(http.StatusAccepted, map[string]string{"trace_id": id.String()})
		return
	}
	w.text(http.StatusAccepted, "asked for: see trace/"+id.String()+"\n")
}
