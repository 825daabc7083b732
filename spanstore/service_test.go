package spanstore_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// A service.name that is no string names no service, wherever it is read.
func TestServiceNameOfAnotherType(t *testing.T) {
	for name, v := range map[string]attribute.Value{
		"bytes": attribute.ByteSliceValue([]byte("abc")), "int": attribute.IntValue(3),
		"strings": attribute.StringSliceValue([]string{"a"}), "bool": attribute.BoolValue(true),
	} {
		t.Run(name, func(t *testing.T) {
			s, g := open(t, t.TempDir(), nil), spangen.New(1)
			stub := g.Request(time.Now(), 1)[0]
			stub.Resource = resource.NewSchemaless(attribute.KeyValue{Key: "service.name", Value: v})
			export(t, s, stub)
			flush(t, s)
			check(t, s)
			tr, err := s.Trace(ctx, stub.SpanContext.TraceID())
			if err != nil {
				t.Fatal(err)
			}
			if got := tr.Spans[0].Service(); got != "" {
				t.Errorf("the span's service is %q; want none", got)
			}
			page, err := s.Traces(ctx, spanstore.Query{})
			if err != nil || len(page.Traces) != 1 || page.Traces[0].Service != "" {
				t.Errorf("the list has %+v, %v; want one trace without a service", page.Traces, err)
			}
		})
	}
}
