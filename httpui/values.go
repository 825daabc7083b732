package httpui

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/spanclock/spanclock/httpui/export"
	"github.com/spanclock/spanclock/spanstore"
)

// hidden stands for a value that may not be seen.
const hidden = export.Hidden

func hide(s string, values bool) string {
	if s == "" || values {
		return s
	}
	return hidden
}

type attributeJSON struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// newAttributes makes a list of attributes; except names a key whose value is
// never hidden.
func newAttributes(kvs []attribute.KeyValue, values bool, except attribute.Key) []attributeJSON {
	list := make([]attributeJSON, len(kvs))
	for i, kv := range kvs {
		list[i] = attributeJSON{string(kv.Key), strings.ToLower(kv.Value.Type().String()), hidden}
		if values || kv.Key == except && except != "" {
			list[i].Value = jsonValue(kv.Value)
		}
	}
	return list
}

// jsonValue gives v as JSON can hold it without loss.
func jsonValue(v attribute.Value) any {
	switch v.Type() {
	case attribute.BOOL:
		return v.AsBool()
	case attribute.INT64:
		return jsonInt(v.AsInt64())
	case attribute.FLOAT64:
		return jsonFloat(v.AsFloat64())
	case attribute.STRING:
		return v.AsString()
	case attribute.BOOLSLICE:
		return each(v.AsBoolSlice(), func(b bool) any { return b })
	case attribute.INT64SLICE:
		return each(v.AsInt64Slice(), jsonInt)
	case attribute.FLOAT64SLICE:
		return each(v.AsFloat64Slice(), jsonFloat)
	case attribute.STRINGSLICE:
		return each(v.AsStringSlice(), func(s string) any { return s })
	case attribute.BYTESLICE:
		return base64.StdEncoding.EncodeToString(v.AsByteSlice())
	case attribute.SLICE:
		return each(v.AsSlice(), jsonValue)
	case attribute.MAP:
		m := map[string]any{}
		for _, kv := range v.AsMap() {
			m[string(kv.Key)] = jsonValue(kv.Value)
		}
		return m
	}
	return nil
}

func each[T any](list []T, f func(T) any) []any {
	out := make([]any, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

// jsonInt gives integers that a JavaScript number cannot hold as strings.
func jsonInt(n int64) any {
	if n > 1<<53 || n < -1<<53 {
		return strconv.FormatInt(n, 10)
	}
	return n
}

// jsonFloat gives as strings what JSON has no number for.
func jsonFloat(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return f
}

// telling are the attributes that say best what a span is about, best first.
var telling = []attribute.Key{
	"db.query.text", "db.statement", "url.full", "http.url", "url.path", "http.target", "http.route",
	"messaging.destination.name", "messaging.destination", "rpc.method",
}

// detail is a few words on what a span is about, beyond its name.
func detail(s *spanstore.Span, values bool) string {
	if !values {
		return ""
	}
	for _, k := range telling {
		v, ok := s.Attribute(k)
		if !ok || v.Type() != attribute.STRING {
			continue
		}
		text := v.AsString()
		text = strings.Join(strings.Fields(text[:min(len(text), 1000)]), " ") // the rest is clipped anyway
		if text != "" && !strings.HasSuffix(s.Name, text) {
			return clip(strings.ToValidUTF8(text, "\uFFFD"), 60)
		}
	}
	return ""
}
