package exectrace

import (
	"slices"
	"sort"
)

// did is what one of a span's helpers did while the span's own goroutine was blocked.
type did struct {
	from, to int64
	waitKey
	thread *thread
	by     *goroutine // it waited for that one, or was started by it: what that did counts
}

// history is what a helper did in one wait of a span's own goroutine.
type history struct {
	of    *span
	since int64 // when that wait began
	did   []did
}

// errand is what a goroutine that works for others does for a span: one of the span's
// helpers has let it go on.
type errand struct {
	of *span
	by *goroutine
	at int64
}

// maxDid bounds what is remembered of one wait, over all helpers; each one's last part
// then takes what comes after. maxHops bounds how far it is followed who waited for whom.
const (
	maxDid  = 1 << 12
	maxHops = 32
)

// awaits reports whether what the helpers do may be what the span waits for.
func (s *span) awaits() bool {
	return s != nil && !s.unwanted && s.main != nil && s.main.state.blocked() && !s.main.mutex
}

// historyIn returns what g has done in the present wait of the span, nil for nothing.
func (g *goroutine) historyIn(s *span) []did {
	if g.past.of != s || g.past.since != s.main.since {
		return nil
	}
	return g.past.did
}

// note adds to what a helper has done. What is known already stays.
func (g *goroutine) note(s *span, d did) {
	if !s.awaits() {
		return
	}
	if s.notedIn != s.main.since {
		s.notedIn, s.noted = s.main.since, 0
	}
	if g.past.of != s || g.past.since != s.main.since {
		clear(g.past.did) // or they keep others
		g.past = history{of: s, since: s.main.since, did: g.past.did[:0]}
	}
	d.from = max(d.from, g.past.since)
	n := len(g.past.did)
	if n > 0 {
		d.from = max(d.from, g.past.did[n-1].to)
	}
	if d.from >= d.to {
		return
	}
	if n > 0 {
		last := &g.past.did[n-1]
		if s.noted >= maxDid || last.to == d.from && last.waitKey == d.waitKey && last.thread == d.thread && last.by == d.by {
			last.to = d.to
			return
		}
	}
	if s.noted < maxDid {
		g.past.did = append(g.past.did, d)
		s.noted++
	}
}

// noteState notes what g, a helper of the span, has been doing until now.
func (g *goroutine) noteState(s *span, now int64) {
	d := did{from: g.since, to: now, waitKey: waitKey{g.state, g.stack}}
	if g.state == CPU {
		d.thread = g.thread
	}
	g.note(s, d)
}

// workedFor returns the goroutine whose work for the span has led to what g does now, and
// until when it was that one's: g itself, or who sent it.
func (g *goroutine) workedFor(s *span, now int64) (*goroutine, int64) {
	if g == nil || !s.awaits() || g == s.main {
		return nil, 0
	}
	if g.current() == s {
		g.noteState(s, now)
	}
	if len(g.historyIn(s)) > 0 {
		return g, now
	}
	if g.errand.of == s && g.errand.at > s.main.since {
		return g.errand.by, g.errand.at
	}
	return nil, 0
}

// inherit notes, of a goroutine that by has just started or let go on, that what by did
// is what it has waited for since a time.
func (g *goroutine) inherit(by *goroutine, since, now int64) {
	s := g.current()
	if !g.helps(s) || !s.awaits() || g.mutex {
		return
	}
	if w, until := by.workedFor(s, now); w != nil && w != g {
		g.note(s, did{from: since, to: until, by: w})
	}
}

// send notes on whose behalf a goroutine goes on that works for no span, or for another.
func (g *goroutine) send(by *goroutine, now int64) {
	g.errand = errand{}
	if by == nil {
		return
	}
	s := by.current()
	if s == nil || s == g.current() {
		return
	}
	if w, until := by.workedFor(s, now); w != nil && w != g {
		g.errand = errand{s, w, until}
	}
}

// settle is called before the span's own goroutine, which was blocked, goes on, and says
// again what the span did meanwhile: what was done by the one that let it go on, and by
// those for whom that one waited. Whoever else worked for the span did so in the
// background, and what nobody of the span did was the goroutine's own wait.
func (s *span) settle(g, by *goroutine, now int64) {
	if !s.awaits() {
		return
	}
	s.close(now)
	if len(s.segments) >= maxSegments {
		return
	}
	w, until := by.workedFor(s, now)
	own, first := waitKey{g.state, g.stack}, len(s.segments)
	again := w != nil
	for first > 0 && s.segments[first-1].from >= g.since {
		first--
		seg := &s.segments[first]
		again = again || seg.wait < 0 || s.waits[seg.wait].waitKey != own
	}
	if !again {
		return
	}
	for _, was := range s.segments[first:] {
		if was.wait >= 0 {
			s.waits[was.wait].total -= was.to - was.from
			s.waits[was.wait].count--
		}
	}
	s.segments = s.segments[:first]
	from := max(g.since, s.start)
	if first > 0 {
		from = max(from, s.segments[first-1].to)
	}
	if w != nil {
		s.follow(w, own, from, until, maxHops)
		from = max(from, until)
	}
	s.again(did{from: from, to: now, waitKey: own})
	s.now, s.wait, s.thread = None, -1, nil
}

// follow says again what the span did in a part of a wait, by what w did then.
func (s *span) follow(w *goroutine, own waitKey, from, to int64, hops int) {
	past := w.historyIn(s)
	i := sort.Search(len(past), func(i int) bool { return past[i].to > from })
	for ; i < len(past) && past[i].from < to; i++ {
		d := past[i]
		d.from, d.to = max(d.from, from), min(d.to, to)
		s.again(did{from: from, to: d.from, waitKey: own})
		switch {
		case d.by != nil && hops > 0:
			s.follow(d.by, own, d.from, d.to, hops-1)
		case d.by != nil || !slices.Contains(helping[:], d.state):
			s.again(did{from: d.from, to: d.to, waitKey: own})
		default:
			s.again(d)
		}
		from = d.to
	}
	s.again(did{from: from, to: to, waitKey: own})
}

// again appends what the span did to its segments.
func (s *span) again(d did) {
	if d.from >= d.to {
		return
	}
	seg := segment{d.from, d.to, d.state, -1, d.thread}
	if d.state != CPU && d.state != STW {
		seg.wait = s.placeOf(d.waitKey)
	}
	n := len(s.segments)
	s.push(seg)
	if seg.wait >= 0 && len(s.segments) > n {
		s.waits[seg.wait].count++
	}
}
