package httpui

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

const (
	// maxDigest is the largest trace that is analysed for a line in a list: that
	// takes some 2 µs a span.
	maxDigest = 5000

	// digestFor is how long a digest holds while more may come to know of its
	// trace, and settled how old a trace is of which nothing more is to come.
	digestFor = 5 * time.Second
	settled   = time.Minute

	maxDigests = 2000 // about 1 KiB each
)

// digest is what lists and sums say of one analysed trace.
type digest struct {
	wall, critical int64
	budget         []shareJSON // of the critical path
	codes          []spanError
	made           time.Time
	final          bool
}

// spanError is a span that failed, and with which code; entry says that it was one
// with which a request came into its service.
type spanError struct {
	service, name, code string
	entry               bool
}

// digests are those of the traces that were looked at lately.
type digests struct {
	mu sync.Mutex
	of map[trace.TraceID]*digest
}

// digest analyses a trace, or remembers that. It returns nil for one that is too
// large, or gone.
func (h *handler) digest(ctx context.Context, id trace.TraceID, spans int) (*digest, error) {
	if spans > maxDigest {
		return nil, nil
	}
	if d := h.digests.get(id); d != nil {
		return d, nil
	}
	t, err := h.store.Trace(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(t.Spans) > maxDigest {
		return nil, nil
	}
	d := newDigest(h.analyze(t))
	h.digests.put(id, d)
	return d, nil
}

func newDigest(a *stall.Analysis) *digest {
	now := time.Now()
	d := &digest{
		wall: int64(a.Wall), critical: int64(a.Critical), budget: newShares(a.Budget), made: now,
		final: !a.Pending && now.Sub(a.Start.Add(a.Extent)) > settled,
	}
	for i := range a.Nodes {
		if s := a.Nodes[i].Span; s.Status.Code == codes.Error && len(d.codes) < 20 {
			d.codes = append(d.codes, spanError{s.Service(), s.Name, errorCode(s), s.LocalRoot()})
		}
	}
	return d
}

// errorKeys are the attributes that name what went wrong, best first.
var errorKeys = []attribute.Key{
	"http.response.status_code", "http.status_code", "rpc.grpc.status_code", "rpc.response.status_code", "db.response.status_code", "error.type",
}

// errorCode names a failed span's error: a status, a type, the type of its
// exception, or "error".
func errorCode(s *spanstore.Span) string {
	for _, key := range errorKeys {
		if v, ok := s.Attribute(key); ok {
			return clip(v.String(), 60)
		}
	}
	for _, e := range s.Events {
		for _, kv := range e.Attributes {
			if kv.Key == "exception.type" {
				return clip(kv.Value.String(), 60)
			}
		}
	}
	return "error"
}

func (c *digests) get(id trace.TraceID) *digest {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.of[id]
	if d == nil || !d.final && time.Since(d.made) > digestFor {
		return nil
	}
	return d
}

// put keeps a digest; when there are too many the older half goes.
func (c *digests) put(id trace.TraceID, d *digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[trace.TraceID]*digest{}
	}
	if len(c.of) >= maxDigests {
		ids := make([]trace.TraceID, 0, len(c.of))
		for id := range c.of {
			ids = append(ids, id)
		}
		slices.SortFunc(ids, func(a, b trace.TraceID) int { return cmp.Compare(c.of[a].made.UnixNano(), c.of[b].made.UnixNano()) })
		for _, id := range ids[:len(ids)/2] {
			delete(c.of, id)
		}
	}
	c.of[id] = d
}

func newShares(shares []stall.Share) []shareJSON {
	out := make([]shareJSON, len(shares))
	for i, s := range shares {
		out[i] = shareJSON{s.State, int64(s.Time), int64(s.Low), int64(s.High), s.Evidence}
	}
	return out
}
