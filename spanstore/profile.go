package spanstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxProfiled bounds the spans with usage that one Profiles looks at, about 100
// bytes each: at 100 samples a second as many minutes of a busy CPU as 20.
const maxProfiled = 1 << 17

// maxProfiledSegments bounds the segments of exact states that one Profiles looks
// at, 32 bytes each: those of some 20,000 spans.
const maxProfiledSegments = 1 << 19

// maxProfileStacks is how many distinct stacks, and how many waits, a profile has:
// the most frequent, and the longest.
const maxProfileStacks = 256

// Grouping says which spans have a profile in common.
type Grouping int

const (
	// ByBuild has one profile for each operation, a service and a name, and each
	// build of the program.
	ByBuild Grouping = iota

	// ByName has one for each operation, whatever the build.
	ByName

	// ByRoute has one for each operation that requests enter by, and puts to it
	// what all spans of these requests did: those whose topmost ancestor in the store
	// is a span of the operation. That has no parent, or one in another process.
	ByRoute
)

// Profile is what the spans of one operation did, as one build of the program had
// it. A span of a few milliseconds has no CPU profile of its own, since hardly a
// sample falls on it; all spans of its name together have one.
//
// ByRoute what is measured counts for the request as a whole: of each of its spans,
// in the time that is that span's own. Of spans that ran side by side each counts, so
// that the sum may be more than the request took.
type Profile struct {
	Service, Name string

	// Revision is that of the build that the spans ran in, as Run.Revision; empty
	// where it is not known, as for copies of kept traces, and where builds are not
	// told apart.
	Revision string

	// Spans counts the operation's spans, those without a sample included, whether
	// or not a CPU profile ran. Wall is the sum of their wall times, P99 the one that 99 %
	// of them do not exceed, within 1.6 %.
	Spans     int
	Wall, P99 time.Duration

	// CPU is the mean CPU time of one.
	CPU MeanCPU

	// Usage is the sum over the spans; it has no ids. Of its Stacks the 256 most
	// frequent are there.
	Usage Usage

	// Exact is what those spans did that have exact states; Slowest what those of them
	// did that are among the slowest hundredth of all spans: P99 or longer. Which spans
	// have exact states is no matter of chance: slow ones are more likely to.
	Exact, Slowest StateProfile
}

// StateProfile adds up exact states of spans.
type StateProfile struct {
	// Spans counts them; Wall is the sum of their wall times, Own the part of it in which
	// no awaited child span ran. ByRoute Spans and Wall are of the entry spans, and Own
	// is that of all spans with exact states below them.
	Spans     int
	Wall, Own time.Duration

	// States divides Own; what is missing to it is not known. Stolen is how much of this
	// time the thread was not on CPU though Go ran the goroutine, an estimate.
	States map[string]time.Duration
	Stolen time.Duration

	// Waits are what the spans waited for in their own time, merged by state and stack,
	// the longest total first; at most 256.
	Waits []WaitSum
}

// WaitSum is how long, and how often, spans waited at one place.
type WaitSum struct {
	State string
	Total time.Duration
	Count int

	// Stack says where, leaf first; nil when that is not known. Read only: of what one
	// call returns equal stacks are the same memory.
	Stack []Frame
}

// Profiles is what Store.Profiles returns.
type Profiles struct {
	Profiles []Profile // most CPU time first

	// Problems name what could not be read or counted, one sentence each.
	Problems []string
}

// ProfileQuery selects spans; ByRoute entry spans, with all that is below them. The
// zero ProfileQuery selects all of them.
type ProfileQuery struct {
	// From and To bound the span's start: From <= start < To. Zero is unbounded.
	From, To time.Time

	// Service and Name, when not empty, are those of the span.
	Service, Name string

	// By says which spans have a profile in common.
	By Grouping
}

// Profiles returns what was measured for the spans of each operation, together. It
// adds up what the store holds of single spans, so it costs nothing until it is asked
// for, follows the ring, and is in no need of tables of its own. It reads the usage
// and the names of all spans in the range, at most the latest 131,072 spans with
// usage, and 524,288 segments of exact states.
func (s *Store) Profiles(ctx context.Context, q ProfileQuery) (*Profiles, error) {
	if s == nil {
		return &Profiles{}, nil
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	p := newProfiling(sn, q)
	p.collect(sn)
	p.watched.close()

	blocks := sn.scanBlocks()
	if q.By == ByRoute {
		p.shared = newPlaceIndex(blocks)
	}
	err = sn.eachColumns(blocks, p.places(blocks), func() columnsVisitor {
		return newProfiledSpans(p, blocks)
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
	q         ProfileQuery
	from, to  int64
	revisions revisions
	stacks    stackTable
	states    stateTable
	usage     map[spanID]*spanUsage
	watched   watched

	exactTraces map[trace.TraceID]bool // that have spans with exact states
	segments    int                    // in usage
	covers      map[spanID][]profileCover
	exactHits   []profileHit

	shared  placeIndex // ByRoute: the traces in several blocks
	links   map[spanID]profileLink
	entries map[spanID]*profileUnit // what was found by links; nil for none
	climbs  []profileHit

	left, bare, many, cut, orphans int // what was one too many, or has no entry span
	profiles                       map[profileKey]*profileSum
}

func newProfiling(sn *snapshot, q ProfileQuery) *profiling {
	p := &profiling{
		q: q, revisions: revisions{sn: sn}, usage: map[spanID]*spanUsage{}, exactTraces: map[trace.TraceID]bool{},
		covers: map[spanID][]profileCover{}, links: map[spanID]profileLink{}, entries: map[spanID]*profileUnit{},
		profiles: map[profileKey]*profileSum{},
	}
	p.from, p.to = bounds(q.From, q.To)
	return p
}

// selects reports whether the query asks for a unit.
func (p *profiling) selects(u *profileUnit) bool {
	return u.start >= p.from && u.start < p.to && (p.q.Service == "" || u.key.service == p.q.Service) && (p.q.Name == "" || u.key.name == p.q.Name)
}

// places returns the places of the blocks that may have something to say: spans
// below an entry span may come later than it, and belong to other services, and so
// may the children of a span with exact states.
func (p *profiling) places(blocks []scanBlock) (places []int) {
	if p.q.By == ByRoute {
		return placesBetween(blocks, p.from, math.MaxInt64, "")
	}
	places = placesBetween(blocks, p.from, p.to, p.q.Service)
	var fps []uint32
	for id := range p.exactTraces {
		fps = append(fps, fingerprint(id))
	}
	slices.Sort(fps)
	sorted := places
	for i := range blocks {
		if _, in := slices.BinarySearch(sorted, i); !in && shareOne(blocks[i].fingerprints(), fps) {
			places = append(places, i)
		}
	}
	return places
}

// spanUsage is what was measured of a span, or of all spans of an operation.
type spanUsage struct {
	samples, cpu, late int64
	stacks             []block.StackRef // of the stackTable
	exact              *profiledExact
	taken              bool
}

// add adds what was measured of another; stacks and exact states are apart.
func (u *spanUsage) add(o *spanUsage) {
	u.samples, u.cpu, u.late = u.samples+o.samples, u.cpu+o.cpu, u.late+o.late
}

// profileCount counts units, and those of them that were watched from start to end.
type profileCount struct {
	walls histogram
	seen  int
}

func (n *profileCount) count(p *profiling, u *profileUnit) {
	n.walls.add(wall(u.start, u.end))
	if p.watched.all(u.start, u.end) {
		n.seen++
	}
}

type profileSum struct {
	profileCount
	usage   spanUsage
	watched spanUsage        // of the watched units; without stacks
	stacks  map[uint32]int64 // samples
	exact   map[spanID]*exactUnit
}

// collect reads the usage that may belong to spans which start at the query's From
// or later, the latest first.
func (p *profiling) collect(sn *snapshot) {
	infos := slices.Clone(sn.usage)
	for _, w := range sn.waiting {
		infos = append(infos, w.info)
	}
	for _, info := range slices.Backward(infos) {
		switch {
		case info.max != 0 && info.max < p.from: // of windows that were over then; 0 is a block with none
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
	if p.q.By == ByRoute { // the samples of a request are all there
		for i := range u.Windows {
			u.Windows[i].RootsOnly = false
		}
	}
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
		if r.Exact != nil {
			p.addExact(of, &r, ids)
		}
	}
}

// merge takes in what a visitor found.
func (p *profiling) merge(v *profiledSpans) {
	for key, n := range v.counts {
		if to := p.profile(key); to != nil {
			to.walls.merge(&n.walls)
			to.seen += n.seen
		} else {
			p.many += int(n.walls.count)
		}
	}
	p.orphans += v.orphans
	p.link(v.links)
	for _, c := range v.covers {
		p.covers[c.parent] = append(p.covers[c.parent], c)
	}
	for _, h := range v.hits {
		if h.climb {
			p.climbs = append(p.climbs, h)
		} else {
			p.take(h)
		}
	}
}

// take puts a span's usage to its profile.
func (p *profiling) take(h profileHit) {
	to, u := p.profile(h.unit.key), p.usage[h.id]
	if to == nil || u == nil || u.taken {
		return
	}
	u.taken = true // a span that is in two blocks counts once
	to.usage.add(u)
	if p.watched.all(h.unit.start, h.unit.end) {
		to.watched.add(u)
	}
	for _, ref := range u.stacks {
		to.stacks[ref.Stack] += ref.Samples
	}
	if u.exact != nil {
		p.exactHits = append(p.exactHits, h)
	}
}

// takeClimbing takes those whose request is known by links alone.
func (p *profiling) takeClimbing() {
	for _, h := range p.climbs {
		switch u := p.climb(h.id); {
		case u == nil:
			p.orphans++
		case p.selects(u):
			h.unit = *u
			p.take(h)
		}
	}
}

// profile returns nil when there are too many.
func (p *profiling) profile(key profileKey) *profileSum {
	to := p.profiles[key]
	if to == nil && len(p.profiles) < maxNames {
		to = &profileSum{stacks: map[uint32]int64{}, exact: map[spanID]*exactUnit{}}
		p.profiles[key] = to
	}
	return to
}

func (p *profiling) result(problems []string) *Profiles {
	p.countLinked()
	p.takeClimbing()
	p.takeExact()
	out := &Profiles{Problems: append(problems, p.problems()...)}
	for key, sum := range p.profiles {
		of := Profile{
			Service: key.service, Name: key.name, Revision: key.revision,
			Spans: int(sum.walls.count), Wall: time.Duration(sum.walls.total), P99: sum.walls.quantile(0.99),
			CPU: meanCPU(sum.seen, sum.watched.samples, time.Duration(sum.watched.cpu), p.watched.period),
			Usage: Usage{
				Samples: int(sum.usage.samples), CPU: time.Duration(sum.usage.cpu), LateSamples: int(sum.usage.late),
				Stacks: p.stacks.most(sum.stacks, maxProfileStacks),
			},
		}
		of.Exact, of.Slowest = p.stateProfiles(sum)
		out.Profiles = append(out.Profiles, of)
	}
	slices.SortFunc(out.Profiles, func(a, b Profile) int {
		return cmp.Or(cmp.Compare(b.Usage.CPU, a.Usage.CPU), cmp.Compare(b.Wall, a.Wall),
			profileKey{a.Service, a.Name, a.Revision}.compare(profileKey{b.Service, b.Name, b.Revision}))
	})
	return out
}

// problems says what was left out.
func (p *profiling) problems() (out []string) {
	for _, x := range []struct {
		n    int
		text string
	}{
		{p.left, fmt.Sprintf("the usage of up to %d spans, older than the latest %d, was left out", p.left, maxProfiled)},
		{p.bare, fmt.Sprintf("the exact states of %d spans, older than the latest %d segments, were left out", p.bare, maxProfiledSegments)},
		{p.many, fmt.Sprintf("there are more than %d operations: %d spans were left out", maxNames, p.many)},
		{p.cut, fmt.Sprintf("%d spans of traces in several blocks, beyond %d, were left out", p.cut, maxLinks)},
		{p.orphans, fmt.Sprintf("%d spans with usage are below an entry span that has not ended, or is not in the store: they were left out", p.orphans)},
	} {
		if x.n > 0 {
			out = append(out, x.text)
		}
	}
	return out
}
