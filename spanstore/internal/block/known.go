package block

import (
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
)

// known are resources and scopes that were read before. A service has a few and
// names them in every block; to make one takes longer than to find it here.
type known struct {
	mu        sync.Mutex // guards the rest
	resources map[string]knownResource
	scopes    map[string]instrumentation.Scope
}

type knownResource struct {
	resource *resource.Resource
	service  string
}

const (
	maxKnown      = 64      // of each, before they are forgotten
	maxKnownBytes = 4 << 10 // of one's text: 512 KiB in all
)

// resource returns the resource of an encoded text, which it does not keep. It
// reports false when the text is damaged.
func (c *Codec) resource(text string) (knownResource, bool) {
	return remembered(c, text, func(k *known) *map[string]knownResource { return &k.resources }, parseResource)
}

// scope does the same for a scope.
func (c *Codec) scope(text string) (instrumentation.Scope, bool) {
	return remembered(c, text, func(k *known) *map[string]instrumentation.Scope { return &k.scopes }, parseScope)
}

func remembered[T any](c *Codec, text string, of func(*known) *map[string]T, parse func(string) (T, bool)) (T, bool) {
	if c == nil || len(text) > maxKnownBytes {
		return parse(strings.Clone(text))
	}
	k := &c.known
	k.mu.Lock()
	defer k.mu.Unlock()
	m := of(k)
	if v, ok := (*m)[text]; ok {
		return v, true
	}
	text = strings.Clone(text)
	v, ok := parse(text)
	if ok {
		if *m == nil || len(*m) >= maxKnown {
			*m = map[string]T{}
		}
		(*m)[text] = v
	}
	return v, ok
}

func parseResource(text string) (knownResource, bool) {
	r := valueReader{s: text}
	schema := r.string()
	res := resource.NewWithAttributes(schema, r.keyValues(0)...)
	name, _ := res.Set().Value(serviceName)
	return knownResource{res, serviceOf(name)}, !r.bad
}

// serviceOf returns a service.name, "" for one that is no string, as the
// conventions want it: other types may read as a string that nobody wrote.
func serviceOf(v attribute.Value) string {
	if v.Type() != attribute.STRING {
		return ""
	}
	return v.AsString()
}

func parseScope(text string) (instrumentation.Scope, bool) {
	r := valueReader{s: text}
	sc := instrumentation.Scope{Name: r.string(), Version: r.string(), SchemaURL: r.string()}
	sc.Attributes = attribute.NewSet(r.keyValues(0)...)
	return sc, !r.bad
}
