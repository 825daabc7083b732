package stall

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Finding is something that could be gained. A trace in which nothing stands out
// has none.
type Finding struct {
	// Kind names the sort of finding; see the constants.
	Kind string

	// Text says it in a sentence with figures.
	Text string

	// Spans are the indices in Analysis.Nodes of the spans it is about.
	Spans []int

	// Saves is how much earlier the main root would end, as WallWithout estimates
	// it; 0 for work that it does not wait for.
	Saves time.Duration
}

// DeferrableTail is a write at the end of a request that alone decides when the
// request ends, though the request may not need its result.
const DeferrableTail = "deferrable_tail"

// FindingKinds returns all kinds that a finding may have.
func FindingKinds() []string {
	return []string{
		DeferrableTail, SequentialSiblings, NPlusOne, WorkAfterEnd,
		CPUWork, CPUWait, LockWait, ChannelWait, PoolWait, PeerWait, BlockingSyscall, GCAssistWork, SleepWait, LongSpan, Uncovered,
	}
}

// leastGain is the least Saves worth a finding, beside a twentieth of the wall
// time: below it the scheduler decides more than the program.
const leastGain = 100 * time.Microsecond

// findings looks for everything that is worth a sentence, the greatest gain
// first. Of two that speak of the same time the more useful one stays.
func (a *Analysis) findings(children [][]int) []Finding {
	var out []Finding
	if f, ok := a.deferrableTail(children); ok {
		out = append(out, f)
	}
	out = append(out, a.structure(children)...)
	for _, f := range a.causes() {
		if !vague[f.Kind] || !slices.ContainsFunc(out, func(o Finding) bool { return o.Saves > 0 && within(f.Spans, o.Spans) }) {
			out = append(out, f)
		}
	}
	rankFindings(out)
	return out
}

// vague are findings that say nothing about spans of which another says what to
// do.
var vague = map[string]bool{LongSpan: true, Uncovered: true, PeerWait: true}

// within reports whether all of spans are among those of another finding.
func within(spans, others []int) bool {
	in := make(map[int]bool, len(others))
	for _, o := range others {
		in[o] = true
	}
	return !slices.ContainsFunc(spans, func(s int) bool { return !in[s] })
}

// find returns the first finding of a kind.
func (a *Analysis) find(kind string) (Finding, bool) {
	i := slices.IndexFunc(a.Findings, func(f Finding) bool { return f.Kind == kind })
	if i < 0 {
		return Finding{}, false
	}
	return a.Findings[i], true
}

// deferrableTail follows, down from the main root, the spans that end last as
// long as they end with the root, to the first that is a write.
//
// What leaving it out would save is bounded on each level by the awaited
// siblings that still run beside it.
func (a *Analysis) deferrableTail(children [][]int) (Finding, bool) {
	root := &a.Nodes[0]
	least := max(leastGain, root.Wall()/20)
	most := root.Wall() - root.Wall()/20 // more is not the tail of the request but the request
	limit, end := root.Wall(), root.End
	for at := 0; ; {
		c := a.lastChild(children[at])
		if c < 0 || a.Nodes[c].End < root.End-root.Wall()/20 {
			return Finding{}, false
		}
		n := &a.Nodes[c]
		end = min(end, n.End)
		limit = min(limit, end-max(a.Nodes[at].Start, a.othersEnd(c, children[at])))
		saves := min(limit, end-max(n.Start, a.Nodes[at].Start))
		switch {
		case limit < least:
			return Finding{}, false
		case saves >= least && saves <= most && writes(n.Span):
			return Finding{
				Kind: DeferrableTail,
				Text: fmt.Sprintf("%s is a write at the tail that alone decides when %s ends. Done after the answer, if the answer does not need it, it would save %s of %s (%s, inferred).",
					clip(n.Span.Name), a.subject(), FormatDuration(saves), FormatDuration(root.Wall()), FormatPercent(saves, root.Wall())),
				Spans: []int{c},
				Saves: saves,
			}, true
		}
		at = c
	}
}

// lastChild returns the child that the critical walk took first, -1 for none.
func (a *Analysis) lastChild(children []int) int {
	for _, c := range children {
		if a.Nodes[c].endsLast {
			return c
		}
	}
	return -1
}

// theRequest is what a sentence calls a server's root.
const theRequest = "the request"

// subject is what a sentence calls the main root.
func (a *Analysis) subject() string {
	if a.Nodes[0].Span.Kind == trace.SpanKindServer {
		return theRequest
	}
	return clip(a.Nodes[0].Span.Name)
}

// writes reports whether s hands data over without asking for any back, as far
// as its attributes and its name tell.
func writes(s *spanstore.Span) bool {
	return s.Kind == trace.SpanKindProducer || writeOperations[operation(s)]
}

// operation returns the database or messaging operation of s in capitals: SET
// for db.operation.name=SET, for a statement "set k v", and for a span named
// redis.SET.
func operation(s *spanstore.Span) string {
	op := text(s, "db.operation.name", "db.operation", "messaging.operation.type", "messaging.operation",
		"db.query.text", "db.statement")
	if op == "" {
		op = s.Name[strings.LastIndexByte(s.Name, '.')+1:]
	}
	words := strings.Fields(op[:min(len(op), 100)])
	if len(words) > 1 && strings.EqualFold(words[0], "pipeline") {
		words = words[1:]
	}
	if len(words) == 0 {
		return ""
	}
	return strings.ToUpper(strings.Trim(words[0], `:;,("'`))
}

// writeOperations answer with no more than that they are done. Those that
// answer with data, such as INCR or LPOP, are not among them.
var writeOperations = map[string]bool{
	"SET": true, "SETEX": true, "PSETEX": true, "MSET": true, "DEL": true, "UNLINK": true, "EXPIRE": true, "PEXPIRE": true,
	"HSET": true, "HMSET": true, "HDEL": true, "SADD": true, "SREM": true, "ZADD": true, "ZREM": true,
	"LPUSH": true, "RPUSH": true, "XADD": true, "PUBLISH": true,
	"INSERT": true, "UPDATE": true, "DELETE": true, "UPSERT": true, "REPLACE": true, "MERGE": true,
	"SEND": true,
}
