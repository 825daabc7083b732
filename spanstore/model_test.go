package spanstore_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// model is a store that keeps stubs in a map and asks everything of all of them.
type model struct {
	traces  map[trace.TraceID][]tracetest.SpanStub
	usage   map[trace.SpanID]spanstore.Usage
	windows []spanstore.Window
}

type modelTrace struct {
	id       trace.TraceID
	start    time.Time
	duration time.Duration
}

// list returns the ids that a query selects, in its order.
func (m *model) list(q spanstore.Query) (ids []trace.TraceID) {
	var all []modelTrace
	for id, spans := range m.traces {
		if mt := newModelTrace(id, spans); m.selects(q, mt, spans) {
			all = append(all, mt)
		}
	}
	slices.SortFunc(all, func(a, b modelTrace) int {
		if q.Order == spanstore.LongestFirst && a.duration != b.duration {
			return cmp.Compare(b.duration, a.duration)
		}
		return cmp.Or(b.start.Compare(a.start), bytes.Compare(a.id[:], b.id[:]))
	})
	for _, mt := range all {
		ids = append(ids, mt.id)
	}
	return ids
}

func newModelTrace(id trace.TraceID, spans []tracetest.SpanStub) modelTrace {
	first, root, latest := spans[0], (*tracetest.SpanStub)(nil), spans[0].EndTime
	for i, s := range spans {
		if s.StartTime.Before(first.StartTime) {
			first = s
		}
		if s.EndTime.After(latest) {
			latest = s.EndTime
		}
		if !s.Parent.SpanID().IsValid() && (root == nil || s.StartTime.Before(root.StartTime)) {
			root = &spans[i]
		}
	}
	if root != nil {
		return modelTrace{id, root.StartTime, modelWall(root.StartTime, root.EndTime)}
	}
	return modelTrace{id, first.StartTime, modelWall(first.StartTime, latest)}
}

func modelWall(start, end time.Time) time.Duration {
	if start.IsZero() || end.IsZero() {
		return 0
	}
	return max(0, end.Sub(start))
}

func (m *model) selects(q spanstore.Query, mt modelTrace, spans []tracetest.SpanStub) bool {
	errs := 0
	for _, s := range spans {
		if s.Status.Code == codes.Error {
			errs++
		}
	}
	switch {
	case !q.From.IsZero() && mt.start.Before(q.From), !q.To.IsZero() && !mt.start.Before(q.To):
		return false
	case mt.duration < q.MinDuration, q.Errors && errs == 0:
		return false
	}
	var ofSpan []spanstore.Condition
	for _, c := range q.Where {
		switch c.Field {
		case "trace.duration":
			d, _ := time.ParseDuration(c.Value)
			if !holds(c.Op, cmp.Compare(mt.duration, d)) {
				return false
			}
		case "trace.errors", "trace.spans":
			n := len(spans)
			if c.Field == "trace.errors" {
				n = errs
			}
			if !compareText(c.Op, fmt.Sprint(n), c.Value) {
				return false
			}
		case "trace.cpu":
			var cpu time.Duration
			from, to := spans[0].StartTime, spans[0].EndTime
			for _, s := range spans {
				cpu += m.usage[s.SpanContext.SpanID()].CPU
				if s.StartTime.Before(from) {
					from = s.StartTime
				}
				if s.EndTime.After(to) {
					to = s.EndTime
				}
			}
			if !m.cpuHolds(c, cpu, mt.duration, from, to) {
				return false
			}
		default:
			ofSpan = append(ofSpan, c)
		}
	}
	return slices.ContainsFunc(spans, func(s tracetest.SpanStub) bool {
		return (q.Service == "" || q.Service == modelService(s)) && (q.Name == "" || q.Name == s.Name) &&
			!slices.ContainsFunc(ofSpan, func(c spanstore.Condition) bool { return !m.holds(c, s, spans) })
	})
}

func modelService(s tracetest.SpanStub) string {
	if s.Resource == nil {
		return ""
	}
	v, _ := s.Resource.Set().Value("service.name")
	return v.AsString()
}

func (m *model) holds(c spanstore.Condition, s tracetest.SpanStub, of []tracetest.SpanStub) bool {
	var resource []attribute.KeyValue
	if s.Resource != nil {
		resource = s.Resource.Attributes()
	}
	text := func(t string) bool { return valueHolds(c, attribute.StringValue(t)) }
	switch key := c.Field; {
	case key == "service":
		if c.Op == spanstore.OpHas || c.Op == spanstore.OpHasNot {
			return (modelService(s) != "") == (c.Op == spanstore.OpHas)
		}
		return text(modelService(s))
	case key == "name":
		return text(s.Name)
	case key == "kind":
		return (c.Value == strings.ToLower(s.SpanKind.String())) == (c.Op == spanstore.OpEqual)
	case key == "status":
		return (c.Value == strings.ToLower(s.Status.Code.String())) == (c.Op == spanstore.OpEqual)
	case key == "duration":
		d, _ := time.ParseDuration(c.Value)
		return holds(c.Op, cmp.Compare(modelWall(s.StartTime, s.EndTime), d))
	case key == "root":
		return !s.Parent.SpanID().IsValid() == (c.Op == spanstore.OpHas)
	case key == "entry":
		return (!s.Parent.SpanID().IsValid() || s.Parent.IsRemote()) == (c.Op == spanstore.OpHas)
	case key == "late":
		return compareText(c.Op, fmt.Sprint(m.usage[s.SpanContext.SpanID()].LateSamples), c.Value)
	case key == "cpu":
		return m.cpuHolds(c, m.usage[s.SpanContext.SpanID()].CPU, modelWall(s.StartTime, s.EndTime), s.StartTime, s.EndTime)
	case key == "stall":
		return m.usageHolds(c, max(0, modelSelf(s, of)-m.usage[s.SpanContext.SpanID()].CPU), modelWall(s.StartTime, s.EndTime), s.StartTime, s.EndTime,
			c.Op == spanstore.OpMore || c.Op == spanstore.OpAtLeast)
	case key == "event":
		if c.Op == spanstore.OpHas || c.Op == spanstore.OpHasNot {
			return (len(s.Events) > 0) == (c.Op == spanstore.OpHas)
		}
		for _, e := range s.Events {
			if text(e.Name) {
				return true
			}
		}
		return false
	case strings.HasPrefix(key, "span."):
		return anyHolds(c, key[len("span."):], s.Attributes)
	case strings.HasPrefix(key, "resource."):
		return anyHolds(c, key[len("resource."):], resource)
	case strings.HasPrefix(key, "event."):
		var all []attribute.KeyValue
		for _, e := range s.Events {
			all = append(all, e.Attributes...)
		}
		return anyHolds(c, key[len("event."):], all)
	default:
		return anyHolds(c, key, append(slices.Clone(s.Attributes), resource...))
	}
}

// modelSelf is the time of a span in which no child that it awaited ran, found
// by looking at each moment at which a child starts or ends.
func modelSelf(s tracetest.SpanStub, of []tracetest.SpanStub) (self time.Duration) {
	if s.SpanKind == trace.SpanKindClient || s.SpanKind == trace.SpanKindProducer || modelWall(s.StartTime, s.EndTime) == 0 {
		return 0
	}
	var children []tracetest.SpanStub
	cuts := []time.Time{s.StartTime, s.EndTime}
	for _, c := range of {
		if c.Parent.SpanID() == s.SpanContext.SpanID() && !c.EndTime.After(s.EndTime) {
			children = append(children, c)
			cuts = append(cuts, c.StartTime, c.EndTime)
		}
	}
	slices.SortFunc(cuts, time.Time.Compare)
	for i := 1; i < len(cuts); i++ {
		from, to := cuts[i-1], cuts[i]
		if from.Before(s.StartTime) || to.After(s.EndTime) {
			continue
		}
		if !slices.ContainsFunc(children, func(c tracetest.SpanStub) bool { return !c.StartTime.After(from) && !c.EndTime.Before(to) }) {
			self += to.Sub(from)
		}
	}
	return self
}

func (m *model) cpuHolds(c spanstore.Condition, cpu, wall time.Duration, from, to time.Time) bool {
	return m.usageHolds(c, cpu, wall, from, to, c.Op == spanstore.OpLess || c.Op == spanstore.OpAtMost)
}

// usageHolds compares a figure that must be covered by profiles where more
// samples could make the comparison fail.
func (m *model) usageHolds(c spanstore.Condition, cpu, wall time.Duration, from, to time.Time, covered bool) bool {
	if covered {
		if !slices.ContainsFunc(m.windows, func(w spanstore.Window) bool {
			return !w.Start.After(from) && !w.End.Before(to) && !to.Before(from)
		}) {
			return false
		}
	}
	if share, ok := strings.CutSuffix(c.Value, "%"); ok {
		var f float64
		fmt.Sscan(share, &f)
		return wall > 0 && holds(c.Op, cmp.Compare(float64(cpu)/float64(wall), f/100))
	}
	d, _ := time.ParseDuration(c.Value)
	return holds(c.Op, cmp.Compare(cpu, d))
}

func anyHolds(c spanstore.Condition, key string, kvs []attribute.KeyValue) bool {
	has := false
	for _, kv := range kvs {
		if string(kv.Key) == key {
			has = true
			if c.Op != spanstore.OpHas && c.Op != spanstore.OpHasNot && valueHolds(c, kv.Value) {
				return true
			}
		}
	}
	return c.Op == spanstore.OpHas && has || c.Op == spanstore.OpHasNot && !has
}

func valueHolds(c spanstore.Condition, v attribute.Value) bool {
	positive := c
	switch c.Op {
	case spanstore.OpNotEqual:
		positive.Op = spanstore.OpEqual
		return !valueHolds(positive, v)
	case spanstore.OpNotMatch:
		positive.Op = spanstore.OpMatch
		return !valueHolds(positive, v)
	}
	var texts, numbers []string
	switch v.Type() {
	case attribute.STRING:
		texts = []string{v.AsString()}
	case attribute.STRINGSLICE:
		texts = v.AsStringSlice()
	case attribute.BOOL, attribute.BOOLSLICE:
		list := v.AsBoolSlice()
		if v.Type() == attribute.BOOL {
			list = []bool{v.AsBool()}
		}
		for _, b := range list {
			if c.Op == spanstore.OpEqual || isText(c.Op) {
				texts = append(texts, fmt.Sprint(b))
			}
		}
	case attribute.INT64, attribute.INT64SLICE:
		list := v.AsInt64Slice()
		if v.Type() == attribute.INT64 {
			list = []int64{v.AsInt64()}
		}
		for _, n := range list {
			numbers = append(numbers, fmt.Sprint(n))
		}
	case attribute.FLOAT64, attribute.FLOAT64SLICE:
		list := v.AsFloat64Slice()
		if v.Type() == attribute.FLOAT64 {
			list = []float64{v.AsFloat64()}
		}
		for _, n := range list {
			if math.IsInf(n, 0) && c.Op == spanstore.OpEqual {
				texts = append(texts, fmt.Sprint(n))
				continue
			}
			numbers = append(numbers, fmt.Sprint(n))
		}
	case attribute.SLICE:
		return slices.ContainsFunc(v.AsSlice(), func(v attribute.Value) bool { return valueHolds(c, v) })
	}
	for _, t := range texts {
		if textHolds(c, t) {
			return true
		}
	}
	for _, n := range numbers {
		if isText(c.Op) && textHolds(c, n) || !isText(c.Op) && compareText(c.Op, n, c.Value) {
			return true
		}
	}
	return false
}

func isText(op spanstore.Op) bool {
	return op == spanstore.OpPrefix || op == spanstore.OpContains || op == spanstore.OpMatch
}

func textHolds(c spanstore.Condition, t string) bool {
	switch c.Op {
	case spanstore.OpEqual:
		return t == c.Value
	case spanstore.OpPrefix:
		return len(t) >= len(c.Value) && t[:len(c.Value)] == c.Value
	case spanstore.OpContains:
		return strings.Contains(t, c.Value)
	case spanstore.OpMatch:
		return regexp.MustCompile(c.Value).MatchString(t)
	}
	return !strings.ContainsAny(t, " <") && compareText(c.Op, t, c.Value)
}

// compareText compares two numbers, of which those that are not whole are as
// precise as a float64.
func compareText(op spanstore.Op, a, b string) bool {
	parse := func(s string) (*big.Float, bool) {
		if strings.HasPrefix(s, "+Inf") || strings.HasPrefix(s, "-Inf") {
			return new(big.Float).SetInf(s[0] == '-'), true
		}
		if n, ok := new(big.Int).SetString(s, 10); ok && n.IsInt64() {
			return new(big.Float).SetPrec(100).SetInt(n), true
		}
		f, err := strconv.ParseFloat(s, 64)
		return big.NewFloat(f), err == nil
	}
	x, ok := parse(a)
	y, ok2 := parse(b)
	return ok && ok2 && holds(op, x.Cmp(y))
}

func holds(op spanstore.Op, c int) bool {
	switch op {
	case spanstore.OpMore:
		return c > 0
	case spanstore.OpAtLeast:
		return c >= 0
	case spanstore.OpLess:
		return c < 0
	case spanstore.OpAtMost:
		return c <= 0
	case spanstore.OpNotEqual:
		return c != 0
	}
	return c == 0
}

// randomCondition makes a condition that has a chance to hold: its field and
// mostly its value come from s.
func randomCondition(g *spangen.Gen, s tracetest.SpanStub) spanstore.Condition {
	pick := func(list ...string) string { return list[g.IntN(len(list))] }
	compare := func(ops ...spanstore.Op) spanstore.Op { return ops[g.IntN(len(ops))] }
	figure := []spanstore.Op{spanstore.OpMore, spanstore.OpAtLeast, spanstore.OpLess, spanstore.OpAtMost}
	text := func(field, v string, more ...spanstore.Op) spanstore.Condition {
		c := spanstore.Condition{Field: field, Value: v, Op: compare(append(more, spanstore.OpEqual, spanstore.OpNotEqual,
			spanstore.OpMatch, spanstore.OpNotMatch, spanstore.OpPrefix, spanstore.OpContains)...)}
		switch c.Op {
		case spanstore.OpHas, spanstore.OpHasNot:
			c.Value = ""
		case spanstore.OpMatch, spanstore.OpNotMatch:
			c.Value = regexp.QuoteMeta(strings.ToValidUTF8(v, ""))
			if g.IntN(2) == 0 {
				c.Value = pick("^", "e$", "[0-9]+", "^-?1", "(?i)NAME", "")
			}
		case spanstore.OpPrefix, spanstore.OpContains:
			from := 0
			if c.Op == spanstore.OpContains {
				from = g.IntN(len(v) + 1)
			}
			c.Value = v[from : from+g.IntN(len(v)-from+1)]
		}
		return c
	}
	attr := func(scope string, kvs []attribute.KeyValue) spanstore.Condition {
		if len(kvs) == 0 {
			return spanstore.Condition{Field: scope + "k0.1", Op: compare(spanstore.OpHas, spanstore.OpHasNot)}
		}
		kv := kvs[g.IntN(len(kvs))]
		v := kv.Value.String()
		switch kv.Value.Type() {
		case attribute.STRINGSLICE:
			if l := kv.Value.AsStringSlice(); len(l) > 0 {
				v = l[0]
			}
		case attribute.INT64SLICE:
			v = pick("1", "-2", "-9223372036854775808")
		}
		if g.IntN(3) == 0 {
			return spanstore.Condition{Field: scope + string(kv.Key), Op: compare(append(figure, spanstore.OpEqual)...),
				Value: pick("0", "-1", "9223372036854775807", "9223372036854775806.5", "1e18", "-1.5", "0.5", "-9223372036854775808")}
		}
		return text(scope+string(kv.Key), v, spanstore.OpHas, spanstore.OpHasNot)
	}
	switch g.IntN(16) {
	case 0:
		return text("service", modelService(s), spanstore.OpHas, spanstore.OpHasNot)
	case 1:
		return text("name", s.Name)
	case 2:
		return spanstore.Condition{Field: "kind", Op: compare(spanstore.OpEqual, spanstore.OpNotEqual), Value: strings.ToLower(s.SpanKind.String())}
	case 3:
		return spanstore.Condition{Field: "status", Op: compare(spanstore.OpEqual, spanstore.OpNotEqual), Value: strings.ToLower(s.Status.Code.String())}
	case 4:
		return spanstore.Condition{Field: "duration", Op: compare(append(figure, spanstore.OpEqual, spanstore.OpNotEqual)...),
			Value: modelWall(s.StartTime, s.EndTime).String()}
	case 5:
		return spanstore.Condition{Field: pick("root", "entry"), Op: compare(spanstore.OpHas, spanstore.OpHasNot)}
	case 6:
		name := ""
		if len(s.Events) > 0 {
			name = s.Events[0].Name
		}
		return text("event", name, spanstore.OpHas, spanstore.OpHasNot)
	case 7:
		if len(s.Events) > 0 {
			return attr("event.", s.Events[0].Attributes)
		}
		return attr("event.", nil)
	case 8:
		if s.Resource == nil {
			return attr("resource.", nil)
		}
		return attr(pick("resource.", ""), s.Resource.Attributes())
	case 9:
		return spanstore.Condition{Field: "trace.duration", Op: compare(figure...), Value: pick("0s", "10ms", "500ms", "800ms")}
	case 10:
		return spanstore.Condition{Field: pick("trace.errors", "trace.spans"), Op: compare(append(figure, spanstore.OpEqual, spanstore.OpNotEqual)...), Value: pick("0", "1", "2")}
	case 11:
		return spanstore.Condition{Field: pick("cpu", "stall", "trace.cpu"), Op: compare(figure...), Value: pick("0s", "10ms", "30ms", "5%", "50%")}
	case 12:
		return spanstore.Condition{Field: "late", Op: compare(append(figure, spanstore.OpEqual)...), Value: pick("0", "1", "2")}
	}
	return attr(pick("", "span."), s.Attributes)
}

// randomQuery makes a query of conditions that have a chance to hold of some of
// the stubs, which start in the hour after base.
func randomQuery(g *spangen.Gen, stubs []tracetest.SpanStub, base time.Time) spanstore.Query {
	q := spanstore.Query{Limit: 1 + g.IntN(200)}
	for range g.IntN(4) {
		q.Where = append(q.Where, randomCondition(g, stubs[g.IntN(len(stubs))]))
	}
	if g.IntN(4) == 0 {
		q.From = base.Add(time.Duration(g.Int64N(int64(time.Hour))))
	}
	if g.IntN(4) == 0 {
		q.To = base.Add(time.Duration(g.Int64N(int64(time.Hour))))
	}
	if g.IntN(5) == 0 {
		q.Service = modelService(stubs[g.IntN(len(stubs))])
	}
	if g.IntN(8) == 0 {
		q.Name = stubs[g.IntN(len(stubs))].Name
	}
	q.Errors = g.IntN(8) == 0
	if g.IntN(8) == 0 {
		q.MinDuration = time.Duration(g.Int64N(int64(time.Second)))
	}
	if g.IntN(2) == 0 {
		q.Order = spanstore.LongestFirst
	}
	return q
}

func TestQueriesAgainstModel(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	ctx := context.Background()
	s := open(t, t.TempDir(), &spanstore.Options{MaxBytes: 8 << 20}) // small blocks
	m := &model{traces: map[trace.TraceID][]tracetest.SpanStub{}, usage: map[trace.SpanID]spanstore.Usage{}}
	var stubs []tracetest.SpanStub
	for i := range 1500 {
		stub := g.Wild()
		if g.IntN(3) > 0 && i > 0 { // of a trace that was there before, perhaps long before
			back := 1 + g.IntN(min(i, []int{3, 3, 3, 1500}[g.IntN(4)]))
			of := stubs[i-back].SpanContext
			stub.SpanContext = stub.SpanContext.WithTraceID(of.TraceID())
			if stub.Parent.IsValid() && g.IntN(2) == 0 {
				stub.Parent = of.WithRemote(g.IntN(2) == 0)
			}
		}
		stubs = append(stubs, stub)
		id := stub.SpanContext.TraceID()
		m.traces[id] = append(m.traces[id], stub)
	}
	base := time.Unix(0, 1_700_000_000_000_000_000).UTC()
	for i := 0; i < len(stubs); i += 100 {
		export(t, s, stubs[i:min(i+100, len(stubs))]...)
		if g.IntN(3) == 0 {
			flush(t, s)
		}
		w := spanstore.Window{Start: base.Add(time.Duration(g.IntN(3600)) * time.Second), Period: 10 * time.Millisecond}
		w.End = w.Start.Add(10 * time.Second * time.Duration(g.IntN(30)))
		m.windows = append(m.windows, w)
		b := spanstore.UsageBatch{Windows: []spanstore.Window{w}}
		for range 20 {
			of := stubs[g.IntN(len(stubs))].SpanContext
			u := m.usage[of.SpanID()]
			add := spanstore.Usage{TraceID: of.TraceID(), SpanID: of.SpanID(), Samples: 1, CPU: 10 * time.Millisecond * time.Duration(g.IntN(4)), LateSamples: g.IntN(2)}
			u.CPU, u.LateSamples = u.CPU+add.CPU, u.LateSamples+add.LateSamples
			m.usage[of.SpanID()] = u
			b.Spans = append(b.Spans, add)
		}
		if err := s.AddUsage(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	// Windows that touch or overlap cover what lies across them.
	m.windows = joined(m.windows)

	hits, selective := 0, 0
	n := 400
	if testing.Short() || spanstore.RaceEnabled {
		n = 150
	}
	for range n {
		q := randomQuery(g, stubs, base)
		got, want := list(t, s, q), m.list(q)
		if !slices.Equal(got, want) {
			for i, id := range got {
				if j := slices.Index(got, id); j < i {
					t.Errorf("trace %s is listed at %d and %d", id, j, i)
				}
			}
			t.Fatalf("%q, limit %d: got %d traces; want %d: %s", q, q.Limit, len(got), len(want), m.firstDifference(got, want))
		}
		if again, err := spanstore.ParseQuery(q.String()); err != nil {
			t.Fatalf("%q: %v", q, err)
		} else if !slices.Equal(m.list(again), want) {
			t.Fatalf("%q selects other traces when it is read back as %+v", q, again)
		}
		if len(want) > 0 {
			hits++
		}
		if len(want) > 0 && len(want) < len(m.traces)/2 {
			selective++
		}
	}
	if hits < n/4 || selective < n/5 {
		t.Errorf("of %d queries %d selected something and %d something but not nearly everything: the test is too weak", n, hits, selective)
	}
}

func joined(ws []spanstore.Window) (out []spanstore.Window) {
	slices.SortFunc(ws, func(a, b spanstore.Window) int { return a.Start.Compare(b.Start) })
	for _, w := range ws {
		if n := len(out); n > 0 && w.Start.Sub(out[n-1].End) <= w.Period {
			if w.End.After(out[n-1].End) {
				out[n-1].End = w.End
			}
			continue
		}
		out = append(out, w)
	}
	return out
}

func (m *model) firstDifference(got, want []trace.TraceID) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			describe := func(ids []trace.TraceID) string {
				if i >= len(ids) {
					return "nothing"
				}
				return fmt.Sprintf("%+v", newModelTrace(ids[i], m.traces[ids[i]]))
			}
			return fmt.Sprintf("at %d got %s; want %s", i, describe(got), describe(want))
		}
	}
	return "none"
}
