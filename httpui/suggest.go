package httpui

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/spanclock/spanclock/spanstore"
)

const (
	// suggestTraces is how many of the newest traces attribute keys are taken from:
	// the store has no list of them, and these are the ones that are in use.
	suggestTraces = 100
	suggestSpans  = 5000

	maxSuggestions = 500
	maxValues      = 20
)

// suggestJSON is what a query may be completed with.
type suggestJSON struct {
	Services   []string          `json:"services"`
	Operations []suggestion      `json:"operations"` // most used first
	Attributes []keySuggestion   `json:"attributes"` // most used first, of the newest traces
	Fields     []fieldSuggestion `json:"fields"`
}

type suggestion struct {
	Service string `json:"service"`
	Name    string `json:"name"`
	Count   int    `json:"count"`
}

// keySuggestion is the key of an attribute of spans or, when Of is "resource", of
// their resources.
type keySuggestion struct {
	Key    string   `json:"key"`
	Of     string   `json:"of"`
	Count  int      `json:"count"`
	Values []string `json:"values"` // some of them; none when there are many
}

// fieldSuggestion is a word of the query language.
type fieldSuggestion struct {
	Field string `json:"field"`
	Takes string `json:"takes"`
}

// fields are the words of the query language; see spanstore.ParseQuery.
var fields = []fieldSuggestion{
	{"service", "= != ~ !~ ^= *= a name"}, {"name", "= != ~ !~ ^= *= a span name"}, {"kind", "= internal server client producer consumer"},
	{"status", "= ok error unset"}, {"duration", "> >= < <= 100ms"}, {"cpu", "> < 10ms or 10%"}, {"stall", "> < 50ms or 50%"},
	{"root", "spans without a parent"}, {"entry", "first spans of a service"}, {"event", "= ~ an event's name"}, {"has:", "a key that is there"},
	{"late", "> samples after the end"}, {"trace.duration", "> < 1s"}, {"trace.errors", "> a number"}, {"trace.spans", "> a number"}, {"trace.cpu", "> < 10ms or 10%"},
	{"order", "= newest or longest"},
}

func (h *handler) serveSuggest(w *response) {
	s, err := h.suggestions.get(w.r.Context(), "", h.suggest)
	if err != nil {
		w.fail(h.storeFailure(err))
		return
	}
	if !w.values {
		s = s.hidden()
	}
	if w.form == formText {
		w.text(http.StatusOK, suggestText(s))
		return
	}
	w.json(http.StatusOK, s)
}

func (h *handler) suggest(ctx context.Context) (*suggestJSON, error) {
	l, err := h.store.Latencies(ctx, spanstore.LatencyQuery{})
	if err != nil {
		return nil, err
	}
	services, err := h.store.Services(ctx)
	if err != nil {
		return nil, err
	}
	s := &suggestJSON{Services: append([]string{}, services...), Operations: []suggestion{}, Fields: fields}
	for _, o := range l.Operations {
		s.Operations = append(s.Operations, suggestion{o.Service, o.Name, o.Count})
	}
	slices.SortStableFunc(s.Operations, func(a, b suggestion) int { return cmp.Compare(b.Count, a.Count) })
	s.Operations = s.Operations[:min(len(s.Operations), maxSuggestions)]
	s.Attributes, err = h.attributeKeys(ctx)
	return s, err
}

// attributeKeys counts the attributes of the newest traces.
func (h *handler) attributeKeys(ctx context.Context) ([]keySuggestion, error) {
	page, err := h.store.Traces(ctx, spanstore.Query{Limit: suggestTraces})
	if err != nil {
		return nil, err
	}
	all := map[[2]string]*keySuggestion{}
	left := suggestSpans
	for i := range page.Traces {
		if page.Traces[i].Spans > left {
			continue
		}
		t, err := h.store.Trace(ctx, page.Traces[i].TraceID)
		if err != nil {
			continue // evicted meanwhile, or named by the list
		}
		left -= len(t.Spans)
		for j := range t.Spans {
			count(all, "span", t.Spans[j].Attributes)
			if r := t.Spans[j].Resource; r != nil {
				count(all, "resource", r.Attributes())
			}
		}
	}
	out := []keySuggestion{}
	for k := range maps.Values(all) {
		if len(k.Values) > maxValues {
			k.Values = nil // they are no choice
		}
		slices.Sort(k.Values)
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b keySuggestion) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Key, b.Key), strings.Compare(a.Of, b.Of))
	})
	return out[:min(len(out), maxSuggestions)], nil
}

func count(all map[[2]string]*keySuggestion, of string, kvs []attribute.KeyValue) {
	for _, kv := range kvs {
		key := [2]string{of, string(kv.Key)}
		k := all[key]
		if k == nil {
			if len(all) >= 2*maxSuggestions {
				continue
			}
			k = &keySuggestion{Key: string(kv.Key), Of: of, Values: []string{}}
			all[key] = k
		}
		k.Count++
		if v := kv.Value.String(); len(k.Values) <= maxValues && len(v) <= 80 && !slices.Contains(k.Values, v) {
			k.Values = append(k.Values, v)
		}
	}
}

// hidden is without the values of attributes.
func (s *suggestJSON) hidden() *suggestJSON {
	c := *s
	c.Attributes = slices.Clone(s.Attributes)
	for i := range c.Attributes {
		c.Attributes[i].Values = nil
	}
	return &c
}

func suggestText(s *suggestJSON) string {
	var b strings.Builder
	for _, f := range s.Fields {
		b.WriteString("field      " + f.Field + " " + f.Takes + "\n")
	}
	for _, name := range s.Services {
		b.WriteString("service    " + escape(name) + "\n")
	}
	for _, o := range s.Operations {
		b.WriteString("operation  " + escape(o.Service) + " " + escape(o.Name) + "\n")
	}
	for _, a := range s.Attributes {
		b.WriteString("attribute  " + a.Of + "." + escape(a.Key) + " " + escape(strings.Join(a.Values, " ")) + "\n")
	}
	return b.String()
}
