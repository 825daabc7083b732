package stall_test

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
)

// TestCallsOfOneName: calls of one name are an N+1 when their statements differ in values
// alone, and of those that may change something nobody says that they could run side by
// side.
func TestCallsOfOneName(t *testing.T) {
	db := func(system, each string) func(int) []attribute.KeyValue {
		return func(i int) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("db.system.name", system), attribute.String("db.query.text", fmt.Sprintf(each, i))}
		}
	}
	texts := func(key, system string, texts ...string) func(int) []attribute.KeyValue {
		return func(i int) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("db.system", system), attribute.String(key, texts[i%len(texts)])}
		}
	}
	method := func(m string) func(int) []attribute.KeyValue {
		return func(int) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("http.request.method", m)}
		}
	}
	none := func(int) []attribute.KeyValue { return nil }
	for _, tt := range []struct {
		name, span string
		attrs      func(int) []attribute.KeyValue
		want       string // "": no finding of structure
	}{
		{"no statements", "query", none, stall.NPlusOne},
		{"numbers", "query", db("postgresql", "SELECT * FROM item WHERE id = %d"), stall.NPlusOne},
		{"strings", "query", db("postgresql", "SELECT * FROM item WHERE name = 'it''s %d' -- %[1]d"), stall.NPlusOne},
		{"comments", "query", db("postgresql", "SELECT * FROM item WHERE id = $1 /*traceparent='00-%da'*/"), stall.NPlusOne},
		{"lists", "query", texts("db.statement", "mysql", "SELECT a\n FROM b WHERE c IN (1)", `SELECT a FROM b WHERE c IN (7, "x" ,  8.5)`, "SELECT a FROM b WHERE c IN (?,?)"), stall.NPlusOne},
		{"JSON", "query", db("mongodb", `{"find":"item","filter":{"id":"a%d"}}`), stall.NPlusOne},
		{"keys", "query", texts("db.query.text", "redis", "GET anna", "GET bert"), stall.NPlusOne},
		{"tables", "query", texts("db.query.text", "postgresql", "SELECT * FROM item WHERE id = 1", "SELECT * FROM customer WHERE id = 1"), stall.SequentialSiblings},
		{"quoted tables", "query", texts("db.statement", "postgresql", `SELECT * FROM "item"`, `SELECT * FROM "customer"`), stall.SequentialSiblings},
		{"GET", "HTTP GET", method("GET"), stall.NPlusOne},
		{"POST", "call", method("POST"), ""},
		{"PATCH by name", "HTTP PATCH", none, ""},
		{"DELETE by name", "delete /cart", none, ""},
		{"a search by POST", "search", func(int) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("db.system.name", "elasticsearch"), attribute.String("http.request.method", "POST")}
		}, stall.NPlusOne},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spans := []span{{1, 0, "GET /x", 0, 100, trace.SpanKindServer, "s", nil}}
			for i := range 9 {
				spans = append(spans, span{uint64(i + 2), 1, tt.span, 5 + float64(i)*10, 15 + float64(i)*10, trace.SpanKindClient, "s", tt.attrs(i)})
			}
			got := ""
			for _, f := range stall.Analyze(literal(spans...)).Findings {
				if f.Kind == stall.NPlusOne || f.Kind == stall.SequentialSiblings {
					got = f.Kind
				}
			}
			if got != tt.want {
				t.Errorf("got %q; want %q", got, tt.want)
			}
		})
	}
}
