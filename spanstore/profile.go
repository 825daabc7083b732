package spanstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxProfiled bounds the spans with usage that one Profiles looks at, about 100
// bytes each: at 100 samples a second as many minutes of a busy CPU as 20.
const maxProfiled = 1 << 17

// maxProfileStacks is how many distinct stacks a profile has, the most frequent.
const maxProfileStacks = 256

// Profile is what the spans of one operation did on CPU, as one build of the
// program had it. A span of a few milliseconds has no profile of its own, since
// hardly a sample falls on it; all spans of its name together have one.
type Profile struct {
	Service, Name string

	// Revision is that of the build that the spans ran in, as Run.Revision; empty
	// where it is not known, as for copies of kept traces.
	Revision string

	// Spans counts the operation's spans, those without a sample included, whether
	// or not a CPU profile ran.
	Spans int

	// CPU is the mean CPU time of one.
	CPU MeanCPU

	// Usage is the sum over the spans; it has no ids. Of its Stacks the 256 most
	// frequent are there.
	Usage Usage
}

// Profiles is what Store.Profiles returns.
type Profiles struct {
	Profiles []Profile // most CPU time first

	// Problems name what could not be read or counted, one sentence each.
	Problems []string
}

// ProfileQuery selects spans. The zero ProfileQuery selects all of them.
type ProfileQuery struct {
	// From and To bound the span's start: From <= start < To. Zero is unbounded.
	From, To time.Time

	// Service and Name, when not empty, are those of the span.
	Service, Name string
}

// Profiles returns what was measured for the spans of each operation, and of
// each build. It adds up what the store holds of single spans, so it costs nothing
// until it is asked for, follows the ring, and is in no need of tables of its own.
// It reads the usage and the names of all spans in the range, at most the latest
// 131,072 spans with usage.
func (s *Store) Profiles(ctx context.Context, q ProfileQuery) (*Profiles, error) {
	if s == nil {
		return &Profiles{}, nil
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	p := &profiling{revisions: revisions{sn: sn}, profiles: map[profileKey]*profileSum{}}
	from, to := bounds(q.From, q.To)
	p.collect(sn, from)
	p.watched.close()

	blocks := sn.scanBlocks()
	err = sn.eachColumns(blocks, placesBetween(blocks, from, to, q.Service), func() columnsVisitor {
		return &profiledSpans{of: p, from: from, to: to, q: q, counts: map[profileKey]profileCount{}, blocks: blocks}
	}, func(v columnsVisitor) { p.merge(v.(*profiledSpans)) })
	if err != nil {
		return nil, err
	}
	return p.result(sn.problems), nil
}

// profileKey says whose profile a span belongs to.
type profileKey struct{ service, name, revision string }

// spanID is a span of all traces.
type spanID struct {
	trace trace.TraceID
	span  trace.SpanID
}

// profiling puts usage to the operations of its spans.
type profiling struct {
	revisions revisions
	stacks    stackTable
	usage     map[spanID]*spanUsage
	watched   watched

	left, many int // spans whose usage, and whose operation, was one too many
	profiles   map[profileKey]*profileSum
}

// spanUsage is what was measured of a span, or of all spans of an operation.
type spanUsage struct {
	samples, cpu, late int64
	stacks             []block.StackRef // of the stackTable
}

// add adds what was measured of another; stacks are apart.
func (u *spanUsage) add(o *spanUsage) {
	u.samples, u.cpu, u.late = u.samples+o.samples, u.cpu+o.cpu, u.late+o.late
}

// profileCount counts spans, and those of them that were watched from start to end.
type profileCount struct{ spans, seen int }

type profileSum struct {
	profileCount
	usage   spanUsage
	watched spanUsage        // of the watched spans; without stacks
	stacks  map[uint32]int64 // samples
}

// collect reads the usage that may belong to spans which start at from or later,
// the latest first.
func (p *profiling) collect(sn *snapshot, from int64) {
	p.usage = map[spanID]*spanUsage{}
	infos := slices.Clone(sn.usage)
	for _, w := range sn.waiting {
		infos = append(infos, w.info)
	}
	for _, info := range slices.Backward(infos) {
		switch {
		case info.max != 0 && info.max < from: // of windows that were over then; 0 is a block with none
		case len(p.usage) >= maxProfiled || sn.ctx.Err() != nil:
			p.left += info.count
		default:
			for _, u := range sn.usageBlocks(true, func(b *blockInfo) bool { return b == info }) {
				p.add(u)
			}
		}
	}
}

// add takes in a block of usage; its memory goes.
func (p *profiling) add(u *block.Usage) {
	ids := p.stacks.add(u)
	p.watched.add(u.Windows)
	for _, r := range u.Records {
		of := p.usage[spanID{r.TraceID, r.SpanID}]
		if of == nil {
			of = &spanUsage{}
			p.usage[spanID{r.TraceID, r.SpanID}] = of
		}
		of.add(&spanUsage{samples: r.Samples, cpu: r.CPU, late: r.LateSamples})
		for _, ref := range r.Stacks {
			of.stacks = append(of.stacks, block.StackRef{Stack: ids[ref.Stack], Samples: ref.Samples})
		}
	}
}

// profiledSpans visits blocks of spans and finds those with usage.
type profiledSpans struct {
	of       *profiling
	from, to int64
	q        ProfileQuery
	blocks   []scanBlock

	counts map[profileKey]profileCount
	hits   []profileHit

	names, res, traces []uint32
}

type profileHit struct {
	key     profileKey
	id      spanID
	watched bool
}

func (v *profiledSpans) visit(c *block.Columns, place int) {
	revision := v.of.revisions.of(v.blocks[place].info)
	table, ids := c.ResourceTable(), c.IDs()
	v.names, v.res, v.traces = c.Names(v.names[:0]), c.Resources(v.res[:0]), c.Traces(v.traces[:0])
	starts, ends := c.Times()
	for i := range c.Len() {
		key := profileKey{name: c.String(int(v.names[i])), revision: revision}
		if r := v.res[i] - 1; int(r) < len(table) {
			key.service = table[r].Service
		}
		if starts[i] < v.from || starts[i] >= v.to || v.q.Service != "" && key.service != v.q.Service || v.q.Name != "" && key.name != v.q.Name {
			continue
		}
		if _, known := v.counts[key]; !known {
			key = key.clone() // the block's memory goes
		}
		n, watched := v.counts[key], v.of.watched.all(starts[i], ends[i])
		n.spans++
		if watched {
			n.seen++
		}
		v.counts[key] = n
		if id := (spanID{ids.Trace(v.traces[i]), ids.Span(i)}); v.of.usage[id] != nil {
			v.hits = append(v.hits, profileHit{key.clone(), id, watched})
		}
	}
}

func (k profileKey) clone() profileKey {
	return profileKey{strings.Clone(k.service), strings.Clone(k.name), k.revision}
}

func (p *profiling) merge(v *profiledSpans) {
	for key, n := range v.counts {
		if to := p.profile(key); to != nil {
			to.spans, to.seen = to.spans+n.spans, to.seen+n.seen
		} else {
			p.many += n.spans
		}
	}
	for _, h := range v.hits {
		to, u := p.profile(h.key), p.usage[h.id]
		if to == nil || u == nil {
			continue
		}
		delete(p.usage, h.id) // a span that is in two blocks counts once
		to.usage.add(u)
		if h.watched {
			to.watched.add(u)
		}
		for _, ref := range u.stacks {
			to.stacks[ref.Stack] += ref.Samples
		}
	}
}

// profile returns nil when there are too many.
func (p *profiling) profile(key profileKey) *profileSum {
	to := p.profiles[key]
	if to == nil && len(p.profiles) < maxNames {
		to = &profileSum{stacks: map[uint32]int64{}}
		p.profiles[key] = to
	}
	return to
}

func (p *profiling) result(problems []string) *Profiles {
	out := &Profiles{Problems: problems}
	for key, sum := range p.profiles {
		out.Profiles = append(out.Profiles, Profile{
			Service: key.service, Name: key.name, Revision: key.revision, Spans: sum.spans,
			CPU: meanCPU(sum.seen, sum.watched.samples, time.Duration(sum.watched.cpu), p.watched.period),
			Usage: Usage{
				Samples: int(sum.usage.samples), CPU: time.Duration(sum.usage.cpu), LateSamples: int(sum.usage.late),
				Stacks: p.stacks.most(sum.stacks, maxProfileStacks),
			},
		})
	}
	slices.SortFunc(out.Profiles, func(a, b Profile) int {
		return cmp.Or(cmp.Compare(b.Usage.CPU, a.Usage.CPU), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Revision, b.Revision))
	})
	if p.left > 0 {
		out.Problems = append(out.Problems, fmt.Sprintf("the usage of up to %d spans, older than the latest %d, was left out", p.left, maxProfiled))
	}
	if p.many > 0 {
		out.Problems = append(out.Problems, fmt.Sprintf("there are more than %d operations: %d spans were left out", maxNames, p.many))
	}
	return out
}
