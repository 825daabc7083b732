package spanstore

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// QueryError is what is wrong with a query.
type QueryError struct {
	// Column is where in the text, counted in characters from 1. It is 0 for a
	// Query that was not made from text.
	Column int

	// Message is one line: what is wrong, and what would be accepted.
	Message string
}

func (e *QueryError) Error() string {
	if e.Column == 0 {
		return "query: " + e.Message
	}
	return fmt.Sprintf("query, column %d: %s", e.Column, e.Message)
}

// maxText bounds the text of a query.
const maxText = 8 << 10

const hasPrefix = "has:"

// The fields that say something of the query itself.
const (
	fieldFrom  = "from"
	fieldTo    = "to"
	fieldOrder = "order"
)

// ParseQuery reads a query in its text form, such as
//
//	service=orders name~"GET /api" duration>100ms status=error http.response.status_code>=500 cpu<10%
//
// The empty text selects every trace. Terms are separated by blanks, and all of
// them must hold:
//
//	query = { term }
//	term  = field op value | ["!"] "has:" field | ["!"] "root" | ["!"] "entry"
//	op    = "=" | "!=" | "~" | "!~" | "^=" | "*=" | ">" | ">=" | "<" | "<="
//	field = word | quoted
//	value = bare | quoted
//
// A word is anything without blanks, quotes and the characters of operators, a
// bare value anything without blanks and double quotes, which does not begin
// with a back quote. Quoted is as in Go: "with \"escapes\"", or `as it stands`.
//
// There is one span in a selected trace that meets all these terms together:
//
//	service      the resource's service.name: = != ~ !~ ^= *=
//	name         the span's name: the same
//	event        the name of one of its events: the same, and has:event
//	kind         = or != internal, server, client, producer, consumer, unspecified
//	status       = or != unset, ok, error
//	duration     > >= < <= = != a Go duration, such as 100ms or 1.5s
//	root         it has no parent
//	entry        it is the first span in its service: a root, or its parent is remote
//	cpu          > >= < <= a duration, or a share of the span's wall time, such as 10%
//	stall        the same; its wall time without its CPU time and what child spans cover
//	late         > >= < <= = != how many CPU samples fell on it after it had ended
//	span.KEY     the attribute KEY of the span
//	resource.KEY that of its resource
//	event.KEY    that of one of its events, for each term any one
//	KEY          that of the span or of its resource
//
// and the trace as a whole meets these:
//
//	trace.duration   > >= < <= = != a duration; Summary.Duration
//	trace.errors     > >= < <= = != how many of its spans have the status error
//	trace.spans      how many spans of it are in the store, the same
//	trace.cpu        > >= < <= a duration, or a share of trace.duration; Summary.Usage
//	from, to         = a time as in RFC 3339; the trace's start: from <= start < to
//	order            = newest or longest, see Query.Order
//
// ~ is a regular expression (RE2) that matches anywhere in the text, ^= a prefix,
// *= a substring. A field that is a reserved word or begins like one of the
// scopes is an attribute when its scope is written: span.name, span.event.id.
//
// The value of an attribute that is a text is compared as a text; with > >= <
// and <= as a number when it reads like one. Numbers and bools are compared as
// such with = and !=, and in their decimal form with ~ ^= and *=. A list meets
// a comparison when one of its elements does. != and !~ are the contrary of =
// and ~ but need the attribute to be there; !has: asks that it is not.
//
// cpu is the CPU time of the span itself, without its children, as CPU samples
// tell. < and <= hold only for spans that CPU profiles cover from start to end:
// a span that nobody looked at did not use little. stall is what is then left of
// its wall time: no child span that ended in it was running, and neither did it
// compute. > and >= hold only for spans that CPU profiles cover. Of client and
// producer spans there is none: they wait for their peer. Whether a span with a
// stall waited, for what, or ran on goroutines of its own, this does not tell.
//
// An error is a *QueryError, which points at the column.
func ParseQuery(text string) (Query, error) {
	var q Query
	if len(text) > maxText {
		return q, &QueryError{maxText + 1, fmt.Sprintf("the query has %d bytes; at most %d are taken", len(text), maxText)}
	}
	p := parser{text: text}
	for p.skipBlanks(); p.at < len(text); p.skipBlanks() {
		if err := p.term(&q); err != nil {
			return Query{}, err
		}
	}
	return q, nil
}

// String returns q in the form that ParseQuery reads: what that makes of it
// selects the same traces in the same order, and is equal to q when q came from
// there. Limit and Cursor are left out.
func (q Query) String() string {
	var terms []string
	add := func(field string, op Op, value string) {
		terms = append(terms, Condition{field, op, value}.String())
	}
	if q.Service != "" {
		add("service", OpEqual, q.Service)
	}
	if q.Name != "" {
		add("name", OpEqual, q.Name)
	}
	if q.MinDuration > 0 {
		add("trace.duration", OpAtLeast, q.MinDuration.String())
	}
	if q.Errors {
		add("trace.errors", OpMore, "0")
	}
	for _, c := range q.Where {
		terms = append(terms, c.String())
	}
	if !q.From.IsZero() {
		add(fieldFrom, OpEqual, q.From.UTC().Format(time.RFC3339Nano))
	}
	if !q.To.IsZero() {
		add(fieldTo, OpEqual, q.To.UTC().Format(time.RFC3339Nano))
	}
	if q.Order != NewestFirst {
		add(fieldOrder, OpEqual, q.Order.String())
	}
	return strings.Join(terms, " ")
}

// operators are ordered so that none comes before one that it begins.
var operators = []Op{OpNotEqual, OpNotMatch, OpPrefix, OpContains, OpAtLeast, OpAtMost, OpEqual, OpMatch, OpMore, OpLess}

const operatorChars = "=!~^*<>"

// parser reads the text of a query, term by term.
type parser struct {
	text string
	at   int // byte offset
}

// fail points at the byte offset at.
func (p *parser) fail(at int, format string, args ...any) error {
	return &QueryError{utf8.RuneCountInString(p.text[:at]) + 1, oneLine(fmt.Sprintf(format, args...))}
}

func (p *parser) rest() string { return p.text[p.at:] }

func (p *parser) skipBlanks() {
	p.at = len(p.text) - len(strings.TrimLeftFunc(p.rest(), unicode.IsSpace))
}

func (p *parser) take(s string) bool {
	if !strings.HasPrefix(p.rest(), s) {
		return false
	}
	p.at += len(s)
	return true
}

func (p *parser) term(q *Query) (err error) {
	start := p.at
	not := p.take("!")
	has := p.take(hasPrefix)
	var at [3]int // where the parts are
	c := Condition{Op: OpHas}
	if not {
		c.Op = OpHasNot
	}
	at[fieldPart] = p.at
	if c.Field, err = p.field(); err != nil {
		return err
	}
	at[opPart] = p.at
	op := p.operator()
	switch {
	case has && op != "":
		return p.fail(at[opPart], "has: takes no comparison; compare an attribute of that name as span.%s", p.text[start:at[opPart]])
	case not && op != "":
		return p.fail(start, "a comparison is turned round by its operator: !=, !~, or < for >=")
	case !has && op == "" && c.Field != "root" && c.Field != "entry":
		return p.fail(at[opPart], "an operator is missing: = != ~ !~ ^= *= > >= < or <=; %s%s asks for presence alone", hasPrefix, c.Field)
	case op != "":
		c.Op = op
		at[valuePart] = p.at
		if c.Value, err = p.value(op); err != nil {
			return err
		}
	}
	if r, _ := utf8.DecodeRuneInString(p.rest()); p.at < len(p.text) && !unicode.IsSpace(r) {
		return p.fail(p.at, "a blank must follow a term")
	}
	bad := q.add(c)
	if bad != nil {
		return p.fail(at[bad.at], "%s", bad.msg)
	}
	return nil
}

// field reads a word or a quoted field.
func (p *parser) field() (string, error) {
	if s, ok, err := p.quoted(); ok || err != nil {
		return s, err
	}
	n := strings.IndexFunc(p.rest(), endsWord)
	if n < 0 {
		n = len(p.rest())
	}
	if n == 0 {
		return "", p.fail(p.at, "a field is missing: a word such as service or duration, or the key of an attribute")
	}
	p.at += n
	return p.text[p.at-n : p.at], nil
}

func endsWord(r rune) bool {
	return unicode.IsSpace(r) || r == '"' || r == '`' || strings.ContainsRune(operatorChars, r)
}

func (p *parser) operator() Op {
	for _, op := range operators {
		if p.take(string(op)) {
			return op
		}
	}
	return ""
}

// value reads what follows an operator.
func (p *parser) value(op Op) (string, error) {
	if s, ok, err := p.quoted(); ok || err != nil {
		return s, err
	}
	n := strings.IndexFunc(p.rest(), endsBare)
	if n < 0 {
		n = len(p.rest())
	}
	switch {
	case n == 0:
		return "", p.fail(p.at, `a value is missing behind %s; the empty text is ""`, op)
	case op == OpEqual && p.rest()[0] == '~':
		return "", p.fail(p.at-1, "the operator of regular expressions is ~; quote a value that begins with it")
	case strings.IndexByte("=<>", p.rest()[0]) >= 0:
		return "", p.fail(p.at-len(op), "%s%c is no operator: = != ~ !~ ^= *= > >= < or <=; quote a value that begins so", op, p.rest()[0])
	}
	p.at += n
	return p.text[p.at-n : p.at], nil
}

func endsBare(r rune) bool { return unicode.IsSpace(r) || r == '"' }

// quoted reads a text in double or back quotes; ok is false when there is none.
func (p *parser) quoted() (s string, ok bool, err error) {
	open := p.at
	switch {
	case p.take("`"):
		n := strings.IndexByte(p.rest(), '`')
		if n < 0 {
			return "", false, p.fail(open, "the quote ` is not closed")
		}
		p.at += n + 1
		return p.text[open+1 : p.at-1], true, nil
	case !p.take(`"`):
		return "", false, nil
	}
	var b strings.Builder
	for {
		rest := p.rest()
		if rest == "" {
			return "", false, p.fail(open, `the quote " is not closed`)
		}
		if rest[0] == '"' {
			p.at++
			return b.String(), true, nil
		}
		if rest[0] != '\\' {
			b.WriteByte(rest[0])
			p.at++
			continue
		}
		r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			return "", false, p.fail(p.at, `this escape is not known: \" \\ \n \r \t, \x and two, \u and four or \U and eight hex digits are`)
		}
		if r < utf8.RuneSelf || !multibyte {
			b.WriteByte(byte(r))
		} else {
			b.WriteRune(r)
		}
		p.at = len(p.text) - len(tail)
	}
}

// quoteField and quoteValue return s as the parser reads it.
func quoteField(s string) string {
	if s == "" || strings.IndexFunc(s, endsWord) >= 0 || strings.HasPrefix(s, hasPrefix) || !utf8.ValidString(s) {
		return strconv.Quote(s)
	}
	return s
}

func quoteValue(s string) string {
	if s == "" || strings.IndexFunc(s, endsBare) >= 0 || strings.IndexByte("`=<>~", s[0]) >= 0 || !printable(s) {
		return strconv.Quote(s)
	}
	return s
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// add adds a term to q.
func (q *Query) add(c Condition) *fault {
	switch c.Field {
	case fieldFrom:
		return setTime(&q.From, c)
	case fieldTo:
		return setTime(&q.To, c)
	case fieldOrder:
		return q.setOrder(c)
	}
	if len(q.Where) == maxConditions {
		return wrong(fieldPart, "there are more than %d conditions", maxConditions)
	}
	if _, bad := c.compile(); bad != nil {
		return bad
	}
	q.Where = append(q.Where, c)
	return nil
}

func setTime(to *time.Time, c Condition) *fault {
	if c.Op != OpEqual {
		return wrong(opPart, "%s takes =", c.Field)
	}
	if !to.IsZero() {
		return wrong(fieldPart, "%s stands here twice", c.Field)
	}
	t, err := time.Parse(time.RFC3339Nano, c.Value)
	if err != nil || t.IsZero() {
		return wrong(valuePart, "%s takes a time as in RFC 3339, such as 2026-11-20T09:41:07Z", c.Field)
	}
	*to = t.UTC()
	return nil
}

func (q *Query) setOrder(c Condition) *fault {
	if c.Op != OpEqual {
		return wrong(opPart, "%s takes =", c.Field)
	}
	for _, o := range []Order{NewestFirst, LongestFirst} {
		if c.Value == o.String() {
			q.Order = o
			return nil
		}
	}
	return wrong(valuePart, "order is %s or %s", NewestFirst, LongestFirst)
}

// compile makes the conditions of q ready to be asked, the simple fields among
// them.
func (q *Query) compile() ([]term, error) {
	if len(q.Where) > maxConditions {
		return nil, &QueryError{0, fmt.Sprintf("%d conditions; at most %d are taken", len(q.Where), maxConditions)}
	}
	all := q.Where[:len(q.Where):len(q.Where)]
	if q.Name != "" {
		all = append(all, Condition{"name", OpEqual, q.Name})
	}
	if q.Service != "" {
		all = append(all, Condition{"service", OpEqual, q.Service})
	}
	terms := make([]term, len(all))
	for i, c := range all {
		var bad *fault
		if terms[i], bad = c.compile(); bad != nil {
			return nil, &QueryError{0, fmt.Sprintf("%s: %s", c, bad.msg)}
		}
	}
	return terms, nil
}
