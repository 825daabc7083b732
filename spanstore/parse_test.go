package spanstore_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

func where(field string, op spanstore.Op, value string) spanstore.Condition {
	return spanstore.Condition{Field: field, Op: op, Value: value}
}

func TestParseQuery(t *testing.T) {
	const (
		eq, has = spanstore.OpEqual, spanstore.OpHas
	)
	for text, want := range map[string]spanstore.Query{
		"":      {},
		" \t\n": {},
		`service=orders name~"GET /api" duration>100ms status=error http.response.status_code>=500 cpu<10%`: {Where: []spanstore.Condition{
			where("service", eq, "orders"), where("name", spanstore.OpMatch, "GET /api"), where("duration", spanstore.OpMore, "100ms"),
			where("status", eq, "error"), where("http.response.status_code", spanstore.OpAtLeast, "500"), where("cpu", spanstore.OpLess, "10%"),
		}},
		`root !entry has:db.system !has:span.name has:root`: {Where: []spanstore.Condition{
			where("root", has, ""), where("entry", spanstore.OpHasNot, ""), where("db.system", has, ""), where("span.name", spanstore.OpHasNot, ""), where("root", has, ""),
		}},
		`a!=1 b!~x c^=/v1 d*="" e<=-1.5e3 f<0`: {Where: []spanstore.Condition{
			where("a", spanstore.OpNotEqual, "1"), where("b", spanstore.OpNotMatch, "x"), where("c", spanstore.OpPrefix, "/v1"),
			where("d", spanstore.OpContains, ""), where("e", spanstore.OpAtMost, "-1.5e3"), where("f", spanstore.OpLess, "0"),
		}},
		`name="a \"b\"\n\x00é\u23f1" url.query=a=b&c=<d> "my key"=v`: {Where: []spanstore.Condition{
			where("name", eq, "a \"b\"\n\x00é⏱"), where("url.query", eq, "a=b&c=<d>"), where("my key", eq, "v"),
		}},
		"name~`^\\d+ \"` `a b`=\"`\"": {Where: []spanstore.Condition{where("name", spanstore.OpMatch, `^\d+ "`), where("a b", eq, "`")}},
		"from=2026-11-20T09:41:07+01:00 order=longest to=2026-11-21T00:00:00.5Z": {
			From: time.Date(2026, 11, 20, 8, 41, 7, 0, time.UTC), To: time.Date(2026, 11, 21, 0, 0, 0, 5e8, time.UTC), Order: spanstore.LongestFirst,
		},
		"order=newest trace.cpu>=5ms trace.errors=0 trace.spans>3 trace.duration<1s late>0": {Where: []spanstore.Condition{
			where("trace.cpu", spanstore.OpAtLeast, "5ms"), where("trace.errors", eq, "0"), where("trace.spans", spanstore.OpMore, "3"),
			where("trace.duration", spanstore.OpLess, "1s"), where("late", spanstore.OpMore, "0"),
		}},
	} {
		got, err := spanstore.ParseQuery(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v; want %+v", text, got, want)
		}
		if again, err := spanstore.ParseQuery(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q reads back as %+v, %v", got, again, err)
		}
	}
}

func TestParseQueryPointsAtTheFault(t *testing.T) {
	for _, c := range []struct {
		text   string
		column int
		says   string
	}{
		{"orders", 7, "has:orders"},
		{"service", 8, "an operator is missing"},
		{"name=a service", 15, "an operator is missing"},
		{"=x", 1, "a field is missing"},
		{"!", 2, "a field is missing"},
		{"has:", 5, "a field is missing"},
		{`""=x`, 1, "a field is missing"},
		{"span.=x", 1, "span. takes the key"},
		{"name=", 6, `the empty text is ""`},
		{"name= x", 6, "a value is missing"},
		{"é=1 name=~x", 9, "operator of regular expressions is ~"},
		{"a==1", 2, "== is no operator"},
		{"a=>1", 2, "=> is no operator"},
		{"a<>1", 2, "<> is no operator"},
		{`name="open`, 6, "is not closed"},
		{"name=`open", 6, "is not closed"},
		{`name="a\q"`, 8, "this escape is not known"},
		{`name="a"b`, 9, "a blank must follow"},
		{`name=a"b"`, 7, "a blank must follow"},
		{"root=1", 5, "root stands alone"},
		{"has:a=1", 6, "span.has:a"},
		{"!a=1", 1, "!="},
		{"kind=serber", 6, "internal, server, client"},
		{"status>error", 7, "status takes = or !="},
		{"status=bad", 8, "unset, error, ok"},
		{"duration>100", 10, "a duration such as"},
		{"duration>-1s", 10, "a duration such as"},
		{"duration~1", 9, "takes > >= < <= = or !="},
		{"cpu<ten%", 5, "10%"},
		{"cpu<-1%", 5, "10%"},
		{"cpu<NaN%", 5, "10%"},
		{"cpu=1ms", 4, "estimate"},
		{"trace.cpu>5", 11, "or a share"},
		{"late>few", 6, "whole number"},
		{"trace.name=x", 1, "span.trace.name"},
		{"name=x stall=30%", 13, "estimate"},
		{"stall>often", 7, "or a share"},
		{"service>a", 8, "takes = != ~"},
		{"a>b", 3, "a number"},
		{"a>NaN", 3, "a number"},
		{"a>0x10", 3, "a number"},
		{"name~(", 6, "missing closing )"},
		{"name~a{5000}", 6, "regular expression"},
		{"name~" + strings.Repeat("a", 1001), 6, "at most 1000"},
		{"from=yesterday", 6, "RFC 3339"},
		{"from>2026-11-20T09:41:07Z", 5, "from takes ="},
		{"to=2026-11-20T09:41:07Z to=2026-11-20T09:41:07Z", 25, "twice"},
		{"order=shortest", 7, "newest or longest"},
		{strings.Repeat("a=1 ", 33), 129, "more than 32"},
		{strings.Repeat(" ", 9000), 8193, "9000 bytes"},
	} {
		_, err := spanstore.ParseQuery(c.text)
		var qe *spanstore.QueryError
		if !errors.As(err, &qe) {
			t.Errorf("%q: got %v; want a QueryError", c.text, err)
			continue
		}
		if qe.Column != c.column || !strings.Contains(qe.Message, c.says) || strings.Contains(qe.Message, "\n") {
			t.Errorf("%q: got column %d, %q; want column %d, %q", c.text, qe.Column, qe.Message, c.column, c.says)
		}
	}
}

// What ParseQuery would refuse, Traces refuses too.
func TestConditionsThatMakeNoSense(t *testing.T) {
	s := open(t, "", nil)
	for _, c := range []spanstore.Condition{
		{}, where("a", "", "1"), where("a", "<>", "1"), where("from", spanstore.OpEqual, "2026-11-20T09:41:07Z"),
		where("root", spanstore.OpEqual, "1"), where("kind", spanstore.OpEqual, "x"), where("name", spanstore.OpMatch, "("),
	} {
		var qe *spanstore.QueryError
		if _, err := s.Traces(t.Context(), spanstore.Query{Where: []spanstore.Condition{c}}); !errors.As(err, &qe) || qe.Column != 0 {
			t.Errorf("%+v: got %v; want a QueryError without a column", c, err)
		}
	}
	if _, err := s.Traces(t.Context(), spanstore.Query{Where: make([]spanstore.Condition, 33)}); err == nil {
		t.Error("33 conditions are taken")
	}
}

// FuzzParseQuery: whatever the text, the parser answers, points into the text,
// and reads back what it made of it.
func FuzzParseQuery(f *testing.F) {
	for _, text := range []string{
		`service=orders name~"GET /api" duration>100ms status=error http.response.status_code>=500 cpu<10%`,
		"root !entry has:db.system !has:span.name late>0 trace.errors>0 order=longest",
		`name="a \"b\"\n\x00é\u23f1" "my key"!=v event.exception.type*=IO`,
		"name~`^\\d+$` kind!=client from=2026-11-20T09:41:07+01:00",
		`a=~b`, `name="`, `has:`, "\xff=\xff", "=", `""!~""`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := spanstore.ParseQuery(text)
		if err != nil {
			var qe *spanstore.QueryError
			if !errors.As(err, &qe) || qe.Column < 1 || qe.Column > len(text)+1 || qe.Message == "" || strings.ContainsAny(qe.Message, "\n\x1b") {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := spanstore.ParseQuery(q.String())
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Fatalf("%q is %+v, which as %q reads back as %+v, %v", text, q, q, again, err)
		}
	})
}
