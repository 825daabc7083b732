package spangen

import (
	"fmt"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

// Diff names the first field in which got and want differ, "" when they are
// equal: times by Equal, span contexts by all they carry, attributes by type and
// value and order, nil and empty lists alike.
func Diff(got, want any) string {
	return diff("", reflect.ValueOf(got), reflect.ValueOf(want))
}

func diff(path string, got, want reflect.Value) string {
	differs := func() string { return fmt.Sprintf("%s: got %+v; want %+v", path, got, want) }
	switch g := got.Interface().(type) {
	case time.Time:
		if !g.Equal(want.Interface().(time.Time)) {
			return differs()
		}
		return ""
	case trace.SpanContext:
		if w := want.Interface().(trace.SpanContext); !g.Equal(w) || g.TraceState().String() != w.TraceState().String() {
			return differs()
		}
		return ""
	case attribute.Value:
		if w := want.Interface().(attribute.Value); g.Type() != w.Type() || !reflect.DeepEqual(g.AsInterface(), w.AsInterface()) {
			return differs()
		}
		return ""
	case attribute.Set:
		if w := want.Interface().(attribute.Set); !g.Equals(&w) {
			return differs()
		}
		return ""
	case *resource.Resource:
		w := want.Interface().(*resource.Resource)
		if (g == nil) != (w == nil) || g != nil && (!g.Equal(w) || g.SchemaURL() != w.SchemaURL()) {
			return differs()
		}
		return ""
	}
	switch got.Kind() {
	case reflect.Pointer:
		if got.IsNil() != want.IsNil() {
			return differs()
		}
		if got.IsNil() {
			return ""
		}
		return diff(path, got.Elem(), want.Elem())
	case reflect.Slice:
		if got.Len() != want.Len() {
			return differs()
		}
		for i := range got.Len() {
			if d := diff(fmt.Sprintf("%s[%d]", path, i), got.Index(i), want.Index(i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Struct:
		for i := range got.NumField() {
			if d := diff(path+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i)); d != "" {
				return d
			}
		}
		return ""
	}
	if !reflect.DeepEqual(got.Interface(), want.Interface()) {
		return differs()
	}
	return ""
}
