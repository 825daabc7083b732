package spanstore

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// conditions are what a query asks, by what is needed to answer.
type conditions struct {
	span  []term // by the span's own columns, the cheapest first
	usage []term // by what the profiler measured of the span
	trace []term // of the whole trace
}

func (q *Query) conditions() (*conditions, error) {
	terms, err := q.compile()
	if err != nil {
		return nil, err
	}
	cs := &conditions{}
	for _, t := range terms {
		switch {
		case t.aboutTrace():
			cs.trace = append(cs.trace, t)
		case t.aboutUsage():
			cs.usage = append(cs.usage, t)
		default:
			cs.span = append(cs.span, t)
		}
	}
	slices.SortStableFunc(cs.span, func(a, b term) int { return cmp.Compare(a.cost(), b.cost()) })
	return cs, nil
}

// cost orders terms by the columns that they read.
func (t *term) cost() int {
	switch t.of {
	case ofService, ofResourceAttr:
		return 0 // one look at each resource
	case ofKind, ofStatus:
		return 1
	case ofName:
		return 2
	case ofDuration, ofRoot, ofEntry:
		return 3
	case ofSpanAttr, ofAnyAttr:
		return 4
	}
	return 5
}

// ofSpans reports whether a single span decides whether a trace is selected.
func (cs *conditions) ofSpans() bool { return len(cs.span)+len(cs.usage) > 0 }

// mayHold reports whether a block may hold a span that meets the conditions, by
// what the index knows of it.
func (cs *conditions) mayHold(info *blockInfo) bool {
	for i := range cs.span {
		t := &cs.span[i]
		switch t.of {
		case ofService:
			// A service without a name is not in the index.
			if !slices.ContainsFunc(info.services, t.value.holdsText) && !t.value.holdsText("") {
				return false
			}
		case ofStatus:
			if t.set == 1<<codes.Error && info.errors == 0 {
				return false
			}
		case ofDuration:
			if (t.op == OpMore || t.op == OpAtLeast || t.op == OpEqual) && info.longest < t.least {
				return false
			}
		}
	}
	return true
}

// holdsText asks of a text that every span has: the contrary of a test holds
// wherever the test does not.
func (v *valueTest) holdsText(s string) bool {
	if v.presence() {
		return (s != "") != v.negate
	}
	return v.matchText(s) != v.negate
}

// matcher asks the conditions of the spans of one block after the other. It is
// for one goroutine.
type matcher struct {
	cs *conditions

	hits, mark, items []bool
	ranks             []bool // by rank in a value column
	verdict           []byte // by position in the strings: 0 not asked, else a bool + 1
	ids, owners       []uint32
	values            []int64
	parents           []block.Parent
	remote            []bool
}

// match returns for each span whether it meets the conditions on spans, and nil
// when none does. The result is valid until the next call.
func (m *matcher) match(c *block.Columns) []bool {
	n := c.Len()
	m.hits = refill(m.hits, n, true)
	for i := range m.cs.span {
		m.mark = refill(m.mark, n, false)
		m.ask(c, &m.cs.span[i])
		any := false
		for i, ok := range m.mark {
			hit := m.hits[i] && ok
			m.hits[i] = hit
			any = any || hit
		}
		if !any {
			return nil
		}
	}
	if n == 0 {
		return nil
	}
	return m.hits
}

// refill returns s with n elements of v.
func refill(s []bool, n int, v bool) []bool {
	s = slices.Grow(s[:0], n)[:n]
	if !v {
		clear(s)
		return s
	}
	for i := range s {
		s[i] = true
	}
	return s
}

// ask sets the mark of each span that meets t.
func (m *matcher) ask(c *block.Columns, t *term) {
	switch t.of {
	case ofService:
		m.askResources(c, func(r *block.ColumnsResource) bool { return t.value.holdsText(r.Service) })
	case ofResourceAttr:
		if !c.MayHold(t.key) {
			m.absent(t)
			return
		}
		m.askResources(c, func(r *block.ColumnsResource) bool { return t.value.holdsIn(r.Attributes, t.key) })
	case ofName:
		if t.value.mayStandAnywhere(c) {
			m.ids = c.Names(m.ids[:0])
			m.askStrings(c, &t.value, m.ids, m.mark)
		}
	case ofKind:
		m.askSet(c.Kinds(m.ids[:0]), t.set)
	case ofStatus:
		m.askSet(c.Statuses(m.ids[:0]), t.set)
	case ofDuration:
		starts, ends := c.Times()
		for i := range m.mark {
			m.mark[i] = t.meets(wall(starts[i], ends[i]))
		}
	case ofRoot, ofEntry:
		m.parents, m.remote = c.Parents(m.parents[:0], m.remote[:0])
		for i, p := range m.parents {
			m.mark[i] = (p == block.NoParent || t.of == ofEntry && m.remote[i]) == t.want
		}
	case ofEvent:
		m.askEvents(c, t)
	case ofEventAttr:
		if !c.MayHold(t.key) {
			m.absent(t)
			return
		}
		m.owners = c.Events(m.owners[:0])
		m.items = refill(m.items, len(m.owners), false)
		m.askTable(c, c.EventAttrs(len(m.owners)), t, m.items)
		m.markOwners(t)
	default:
		m.askAttributes(c, t)
	}
}

// askAttributes asks of the span's attributes, and of its resource's.
func (m *matcher) askAttributes(c *block.Columns, t *term) {
	if !t.mayStandIn(c) {
		m.absent(t)
		return
	}
	m.askTable(c, c.SpanAttrs(), t, m.mark)
	// That the resources need not be asked mostly saves unpacking the section
	// they are in, which is the largest.
	if t.of == ofAnyAttr && c.MayHoldWithin(t.key) {
		table := c.ResourceTable()
		hit := make([]bool, len(table))
		any := false
		for i := range table {
			hit[i] = t.value.anyIn(table[i].Attributes, t.key)
			any = any || hit[i]
		}
		if any {
			m.ids = c.Resources(m.ids[:0])
			for i, r := range m.ids {
				m.mark[i] = m.mark[i] || int(r-1) < len(hit) && hit[r-1]
			}
		}
	}
	if t.value.presence() && t.value.negate {
		invert(m.mark)
	}
}

// mayStandIn reports whether the block's strings leave it open that the
// condition is met: it needs the key, and mostly the text.
func (t *term) mayStandIn(c *block.Columns) bool {
	v := &t.value
	if !c.MayHold(t.key) {
		return false
	}
	if v.op != OpEqual || v.negate || v.isNum {
		return true
	}
	switch v.text {
	case "true", "false", "+Inf", "-Inf", "NaN":
		return true // these are not kept as texts
	}
	return c.MayHold(v.text)
}

// absent marks what t makes of a block in which nothing of it stands.
func (m *matcher) absent(t *term) {
	if t.value.presence() && t.value.negate {
		invert(m.mark)
	}
}

func invert(bs []bool) {
	for i, b := range bs {
		bs[i] = !b
	}
}

// askTable sets the items of which a value of the term's key meets the test;
// for presence and its contrary those that have the key.
func (m *matcher) askTable(c *block.Columns, table *block.AttrTable, t *term, items []bool) {
	for _, col := range table.Columns(t.key) {
		if t.value.presence() {
			col.Mark(items, nil)
		} else if m.askColumn(c, col, &t.value) {
			col.Mark(items, m.ranks)
		}
	}
}

// askColumn tests each value of a column, and reports whether any meets it.
func (m *matcher) askColumn(c *block.Columns, col block.AttrColumn, v *valueTest) (any bool) {
	least, most, n := col.Bounds()
	if col.Type == block.AttrInt && v.op == OpEqual && v.num.isInt && v.isNum && (v.num.i < least || v.num.i > most) {
		m.ranks = refill(m.ranks, n, v.negate)
		return v.negate && n > 0
	}
	m.values = col.Values(m.values[:0])
	m.ranks = slices.Grow(m.ranks[:0], n)[:n]
	var test func(int64) bool
	switch col.Type {
	case block.AttrInt:
		test = v.matchInt
	case block.AttrFloat:
		test = func(x int64) bool { return v.matchValue(col.Value(x)) }
	case block.AttrBool:
		test = func(x int64) bool { return v.matchBool(x != 0) }
	case block.AttrString:
		test = m.once(c, func(x int64) bool { return v.matchText(c.String(int(x))) })
	case block.AttrEmpty:
		test = func(int64) bool { return false }
	default:
		test = m.once(c, func(x int64) bool { return v.matchValue(col.Value(x)) })
	}
	for i, x := range m.values {
		hit := test(x) != v.negate
		m.ranks[i] = hit
		any = any || hit
	}
	return any
}

// once asks test once for each of the block's strings.
func (m *matcher) once(c *block.Columns, test func(int64) bool) func(int64) bool {
	n := c.Strings()
	m.verdict = slices.Grow(m.verdict[:0], n)[:n]
	clear(m.verdict)
	return func(x int64) bool {
		if uint64(x) >= uint64(len(m.verdict)) {
			return test(x)
		}
		v := m.verdict[x]
		if v == 0 {
			if v = 1; test(x) {
				v = 2
			}
			m.verdict[x] = v
		}
		return v == 2
	}
}

// mayStandAnywhere reports whether a text of the block may meet v.
func (v *valueTest) mayStandAnywhere(c *block.Columns) bool {
	return v.negate || v.op != OpEqual && v.op != OpContains && v.op != OpPrefix || c.MayHold(v.text)
}

// askStrings marks the items whose text, by its position, meets v.
func (m *matcher) askStrings(c *block.Columns, v *valueTest, ids []uint32, items []bool) {
	test := m.once(c, func(x int64) bool { return v.holdsText(c.String(int(x))) })
	for i, id := range ids {
		items[i] = test(int64(id))
	}
}

func (m *matcher) askSet(values []uint32, set uint64) {
	m.ids = values
	for i, v := range values {
		m.mark[i] = set>>min(v, 63)&1 != 0
	}
}

// askResources asks each resource once. A span without one is asked as one with
// an empty resource.
func (m *matcher) askResources(c *block.Columns, test func(*block.ColumnsResource) bool) {
	table := c.ResourceTable()
	hit := make([]bool, len(table)+1)
	hit[0] = test(&block.ColumnsResource{})
	same := true
	for i := range table {
		hit[i+1] = test(&table[i])
		same = same && hit[i+1] == hit[0]
	}
	if same {
		if hit[0] {
			invert(m.mark)
		}
		return
	}
	m.ids = c.Resources(m.ids[:0])
	for i, r := range m.ids {
		if int(r) >= len(hit) {
			r = 0
		}
		m.mark[i] = hit[r]
	}
}

// askEvents asks of the names of events.
func (m *matcher) askEvents(c *block.Columns, t *term) {
	m.owners = c.Events(m.owners[:0])
	m.items = refill(m.items, len(m.owners), t.value.presence())
	if !t.value.presence() {
		if t.value.mayStandAnywhere(c) {
			m.ids = c.EventNames(m.ids[:0], len(m.owners))
			m.askStrings(c, &t.value, m.ids, m.items)
		}
	}
	m.markOwners(t)
}

// markOwners marks the spans whose events are set in items.
func (m *matcher) markOwners(t *term) {
	for i, hit := range m.items {
		if hit {
			m.mark[m.owners[i]] = true
		}
	}
	m.absent(t)
}

// anyIn reports whether a value of the key meets the test; for presence and its
// contrary whether there is one.
func (v *valueTest) anyIn(kvs []attribute.KeyValue, key string) bool {
	for _, kv := range kvs {
		if string(kv.Key) == key && (v.presence() || v.matchValue(kv.Value) != v.negate) {
			return true
		}
	}
	return false
}

// holdsIn is anyIn with the contrary of presence turned round.
func (v *valueTest) holdsIn(kvs []attribute.KeyValue, key string) bool {
	return v.anyIn(kvs, key) != (v.presence() && v.negate)
}

// wall is the time from start to end in nanoseconds, 0 where it is not known.
func wall(start, end int64) int64 {
	if start == block.ZeroTime || end == block.ZeroTime || end <= start {
		return 0
	}
	if d := end - start; d > 0 {
		return d
	}
	return 1<<63 - 1 // some centuries more than can be told
}
