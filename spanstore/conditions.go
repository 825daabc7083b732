package spanstore

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Condition is one condition of a Query: a field, how it is compared, and with
// what. ParseQuery lists the fields and what each takes.
type Condition struct {
	// Field is what is compared: a reserved word such as duration, or the key
	// of an attribute, with "span.", "resource." or "event." before it to say
	// whose.
	Field string

	Op Op

	// Value is what the field is compared with, in the form that text has it:
	// 100ms, error, 500. OpHas and OpHasNot take none.
	Value string
}

// Op is how a Condition compares.
type Op string

// The comparisons. OpNotEqual and OpNotMatch hold for a field that is there and
// differs, never for one that is missing.
const (
	OpHas      Op = "has"  // the field is there, whatever its value
	OpHasNot   Op = "!has" // it is not
	OpEqual    Op = "="
	OpNotEqual Op = "!="
	OpMatch    Op = "~"  // a regular expression (RE2) matches somewhere in it
	OpNotMatch Op = "!~" // and nowhere
	OpPrefix   Op = "^=" // it begins with the value
	OpContains Op = "*=" // the value stands in it
	OpMore     Op = ">"
	OpAtLeast  Op = ">="
	OpLess     Op = "<"
	OpAtMost   Op = "<="
)

const (
	// maxPattern bounds a regular expression. RE2 matches in linear time, and
	// its compiler bounds what repetition may blow it up to.
	maxPattern = 1000

	// maxConditions bounds the conditions of a query.
	maxConditions = 32
)

// subject is what a condition looks at.
type subject int

const (
	ofAnyAttr subject = iota // the span's attributes and its resource's
	ofSpanAttr
	ofResourceAttr
	ofEventAttr
	ofService
	ofName
	ofEvent
	ofKind
	ofStatus
	ofDuration
	ofRoot
	ofEntry
	ofCPU
	ofStall
	ofLate
	ofTraceDuration
	ofTraceErrors
	ofTraceSpans
	ofTraceCPU
)

var reserved = map[string]subject{
	"service": ofService, "name": ofName, "event": ofEvent, "kind": ofKind, "status": ofStatus,
	"duration": ofDuration, "root": ofRoot, "entry": ofEntry, "cpu": ofCPU, "stall": ofStall, "late": ofLate,
	"trace.duration": ofTraceDuration, "trace.errors": ofTraceErrors, "trace.spans": ofTraceSpans, "trace.cpu": ofTraceCPU,
}

// term is a condition made ready to be asked.
type term struct {
	of    subject
	key   string    // of an attribute
	op    Op        // of figures: one of > >= < <= = !=
	value valueTest // of texts and attributes
	set   uint64    // of kind and status: the values that are accepted, as bits
	want  bool      // of root and entry
	least int64     // of figures, in nanoseconds or a count
	share float64   // of cpu, stall and trace.cpu as a share of wall time; negative when least is meant
}

// part names the part of a condition that is wrong.
type part int

const (
	fieldPart part = iota
	opPart
	valuePart
)

// fault says what is wrong with a condition, and what would be right.
type fault struct {
	at  part
	msg string
}

func wrong(at part, format string, args ...any) *fault {
	return &fault{at, oneLine(fmt.Sprintf(format, args...))}
}

// oneLine replaces what a terminal or a log would take for more than text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// String returns the condition in the form that ParseQuery reads.
func (c Condition) String() string {
	switch c.Op {
	case OpHas, OpHasNot:
		not := strings.TrimSuffix(string(c.Op), "has")
		if c.Field == "root" || c.Field == "entry" {
			return not + c.Field
		}
		return not + hasPrefix + quoteField(c.Field)
	}
	return quoteField(c.Field) + string(c.Op) + quoteValue(c.Value)
}

// AsksValue reports whether c compares the value of an attribute, so that what
// is found tells of it. Whoever may see names and times but no values must not
// ask that.
func (c Condition) AsksValue() bool {
	of, _, bad := parseField(c.Field)
	return bad == nil && of <= ofEventAttr && c.Op != OpHas && c.Op != OpHasNot
}

// compile makes c ready to be asked.
func (c Condition) compile() (t term, bad *fault) {
	t.share = -1
	if t.of, t.key, bad = parseField(c.Field); bad != nil {
		return t, bad
	}
	switch t.of {
	case ofAnyAttr, ofSpanAttr, ofResourceAttr, ofEventAttr:
		t.value, bad = compileValue(c, true)
	case ofService, ofName, ofEvent:
		t.value, bad = compileValue(c, false)
	case ofKind:
		t.set, bad = compileWord(c, kindNames[:])
	case ofStatus:
		t.set, bad = compileWord(c, statusNames[:])
	case ofRoot, ofEntry:
		if t.want = c.Op == OpHas; !t.want && c.Op != OpHasNot {
			bad = wrong(opPart, "%s stands alone: %s or !%s", c.Field, c.Field, c.Field)
		}
	default:
		bad = t.compileFigure(c)
	}
	return t, bad
}

// parseField finds out what a field names.
func parseField(field string) (of subject, key string, bad *fault) {
	if field == "" {
		return 0, "", wrong(fieldPart, "a field is missing: a word such as service or duration, or the key of an attribute")
	}
	if of, ok := reserved[field]; ok {
		return of, "", nil
	}
	if field == fieldFrom || field == fieldTo || field == fieldOrder {
		return 0, "", wrong(fieldPart, "%s is no condition but a field of Query; an attribute of that name is span.%s", field, field)
	}
	for prefix, of := range map[string]subject{"span.": ofSpanAttr, "resource.": ofResourceAttr, "event.": ofEventAttr} {
		if key, ok := strings.CutPrefix(field, prefix); ok {
			if key == "" {
				return 0, "", wrong(fieldPart, "%s takes the key of an attribute behind it", prefix)
			}
			return of, key, nil
		}
	}
	if strings.HasPrefix(field, "trace.") {
		return 0, "", wrong(fieldPart, "%s is not known: trace.duration, trace.errors, trace.spans, trace.cpu, or span.%s for an attribute", field, field)
	}
	return ofAnyAttr, field, nil
}

var (
	kindNames = [...]string{
		trace.SpanKindUnspecified: "unspecified", trace.SpanKindInternal: "internal", trace.SpanKindServer: "server",
		trace.SpanKindClient: "client", trace.SpanKindProducer: "producer", trace.SpanKindConsumer: "consumer",
	}
	statusNames = [...]string{codes.Unset: "unset", codes.Error: "error", codes.Ok: "ok"}
)

// compileWord returns the values, as bits, that are the word, or are not.
func compileWord(c Condition, words []string) (set uint64, bad *fault) {
	if c.Op != OpEqual && c.Op != OpNotEqual {
		return 0, wrong(opPart, "%s takes = or !=", c.Field)
	}
	for i, w := range words {
		if w == c.Value {
			if set = 1 << i; c.Op == OpNotEqual {
				set = ^set
			}
			return set, nil
		}
	}
	return 0, wrong(valuePart, "%s is one of %s", c.Field, strings.Join(words, ", "))
}

// compileFigure reads a comparison with a duration, a share or a count.
func (t *term) compileFigure(c Condition) *fault {
	isCPU := t.of == ofCPU || t.of == ofStall || t.of == ofTraceCPU
	switch c.Op {
	case OpMore, OpAtLeast, OpLess, OpAtMost:
	case OpEqual, OpNotEqual:
		if isCPU {
			return wrong(opPart, "%s takes > >= < or <=: it is an estimate", c.Field)
		}
	default:
		return wrong(opPart, "%s takes > >= < <= = or !=", c.Field)
	}
	t.op = c.Op
	switch {
	case isCPU && strings.HasSuffix(c.Value, "%"):
		share, err := strconv.ParseFloat(strings.TrimSuffix(c.Value, "%"), 64)
		if err != nil || !(share >= 0 && share <= 1e6) {
			return wrong(valuePart, "%s takes a duration such as 5ms, or a share of wall time such as 10%%", c.Field)
		}
		t.share = share / 100
	case t.of == ofDuration || t.of == ofTraceDuration || isCPU:
		d, err := time.ParseDuration(c.Value)
		if err != nil || d < 0 {
			or := ""
			if isCPU {
				or = ", or a share of wall time such as 10%"
			}
			return wrong(valuePart, "%s takes a duration such as 100ms or 1.5s%s", c.Field, or)
		}
		t.least = int64(d)
	default:
		n, err := strconv.ParseInt(c.Value, 10, 64)
		if err != nil || n < 0 {
			return wrong(valuePart, "%s takes a whole number, not negative", c.Field)
		}
		t.least = n
	}
	return nil
}

// meets compares a figure that is not a share.
func (t *term) meets(v int64) bool {
	c := 0
	switch {
	case v < t.least:
		c = -1
	case v > t.least:
		c = 1
	}
	return t.op.holds(c)
}

// holds reports whether the comparison holds for a field that stands to the
// value as c says: less, equal or greater than 0.
func (o Op) holds(c int) bool {
	switch o {
	case OpMore:
		return c > 0
	case OpAtLeast:
		return c >= 0
	case OpLess:
		return c < 0
	case OpAtMost:
		return c <= 0
	case OpNotEqual:
		return c != 0
	}
	return c == 0
}

// aboutTrace reports whether t asks about the whole trace instead of a span.
func (t *term) aboutTrace() bool { return t.of >= ofTraceDuration }

// aboutUsage reports whether t needs what the profiler measured.
func (t *term) aboutUsage() bool { return t.of == ofCPU || t.of == ofStall || t.of == ofLate }

// valueTest tests a text or an attribute's value.
type valueTest struct {
	op     Op   // never one that negates
	negate bool // the result of op is turned round
	text   string
	re     *regexp.Regexp
	num    number // of text, when isNum
	isNum  bool
}

// presence reports whether any value will do.
func (v *valueTest) presence() bool { return v.op == OpHas }

// compileValue reads a comparison with a text; those of attributes compare
// numbers too.
func compileValue(c Condition, attr bool) (v valueTest, bad *fault) {
	v.op, v.text = c.Op, c.Value
	v.num, v.isNum = parseNumber(c.Value)
	switch c.Op {
	case OpEqual, OpPrefix, OpContains:
	case OpHas:
	case OpNotEqual:
		v.op, v.negate = OpEqual, true
	case OpHasNot:
		v.op, v.negate = OpHas, true
	case OpMatch, OpNotMatch:
		v.op, v.negate = OpMatch, c.Op == OpNotMatch
		if len(c.Value) > maxPattern {
			return v, wrong(valuePart, "the regular expression has %d bytes; at most %d are taken", len(c.Value), maxPattern)
		}
		re, err := regexp.Compile(c.Value)
		if err != nil {
			return v, wrong(valuePart, "%s takes a regular expression (RE2): %s", c.Op, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		v.re = re
	case OpMore, OpAtLeast, OpLess, OpAtMost:
		if !attr {
			return v, wrong(opPart, "%s takes = != ~ !~ ^= or *=", c.Field)
		}
		if !v.isNum {
			return v, wrong(valuePart, "%s takes a number", c.Op)
		}
	default:
		return v, wrong(opPart, "%q is no comparison: = != ~ !~ ^= *= > >= < <= or has", string(c.Op))
	}
	return v, nil
}

// The tests below are of op alone, before negate.

// matchText tests a text.
func (v *valueTest) matchText(s string) bool {
	switch v.op {
	case OpHas:
		return true
	case OpEqual:
		return s == v.text
	case OpPrefix:
		return strings.HasPrefix(s, v.text)
	case OpContains:
		return strings.Contains(s, v.text)
	case OpMatch:
		return v.re.MatchString(s)
	}
	n, ok := parseNumber(s)
	return ok && v.matchNumber(n)
}

// matchInt, matchFloat and matchBool test values as numbers where they can, and
// in their decimal form where the test is one of texts.
func (v *valueTest) matchInt(i int64) bool {
	if v.ofText() {
		return v.matchText(strconv.FormatInt(i, 10))
	}
	return v.matchNumber(number{isInt: true, i: i})
}

func (v *valueTest) matchFloat(f float64) bool {
	if v.ofText() || v.op == OpEqual && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return v.matchText(strconv.FormatFloat(f, 'g', -1, 64)) // +Inf, -Inf, NaN
	}
	return v.matchNumber(number{f: f})
}

func (v *valueTest) matchBool(b bool) bool {
	return (v.ofText() || v.op == OpEqual) && v.matchText(strconv.FormatBool(b))
}

func (v *valueTest) ofText() bool {
	return v.op == OpPrefix || v.op == OpContains || v.op == OpMatch
}

func (v *valueTest) matchNumber(n number) bool {
	if v.op == OpHas {
		return true
	}
	if !v.isNum {
		return false
	}
	c, ok := n.compare(v.num)
	return ok && v.op.holds(c)
}

// matchValue tests any value. A list meets the test when one of its elements
// does; maps and bytes meet none but that of presence.
func (v *valueTest) matchValue(a attribute.Value) bool {
	if v.op == OpHas {
		return true
	}
	switch a.Type() {
	case attribute.STRING:
		return v.matchText(a.AsString())
	case attribute.INT64:
		return v.matchInt(a.AsInt64())
	case attribute.FLOAT64:
		return v.matchFloat(a.AsFloat64())
	case attribute.BOOL:
		return v.matchBool(a.AsBool())
	case attribute.STRINGSLICE:
		return anyOf(a.AsStringSlice(), v.matchText)
	case attribute.INT64SLICE:
		return anyOf(a.AsInt64Slice(), v.matchInt)
	case attribute.FLOAT64SLICE:
		return anyOf(a.AsFloat64Slice(), v.matchFloat)
	case attribute.BOOLSLICE:
		return anyOf(a.AsBoolSlice(), v.matchBool)
	case attribute.SLICE:
		return anyOf(a.AsSlice(), v.matchValue)
	}
	return false
}

func anyOf[T any](list []T, test func(T) bool) bool {
	for _, e := range list {
		if test(e) {
			return true
		}
	}
	return false
}

// number is an integer or a float, kept apart so that integers beyond 2^53
// compare exactly.
type number struct {
	isInt bool
	i     int64
	f     float64
}

// parseNumber reads decimal integers and floats. NaN and infinities are texts.
func parseNumber(s string) (number, bool) {
	if s == "" || len(s) > 40 || strings.ContainsAny(s, "xXpP_nN") {
		return number{}, false // as ParseFloat takes hexadecimals, underscores, Inf and NaN
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return number{isInt: true, i: i}, true
	}
	f, err := strconv.ParseFloat(s, 64)
	return number{f: f}, err == nil
}

// compare returns how n stands to m; false when one of them is no number.
func (n number) compare(m number) (c int, ok bool) {
	switch {
	case n.isInt && m.isInt:
		return compareOrdered(n.i, m.i), true
	case n.isInt:
		c, ok = compareIntFloat(n.i, m.f)
		return c, ok
	case m.isInt:
		c, ok = compareIntFloat(m.i, n.f)
		return -c, ok
	}
	return compareOrdered(n.f, m.f), n.f == n.f && m.f == m.f
}

func compareOrdered[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareIntFloat compares without rounding i.
func compareIntFloat(i int64, f float64) (c int, ok bool) {
	switch {
	case f != f:
		return 0, false
	case f >= 1<<63:
		return -1, true
	case f < -1<<63:
		return 1, true
	}
	whole := math.Floor(f)
	if c = compareOrdered(i, int64(whole)); c == 0 && f > whole {
		c = -1
	}
	return c, true
}
