package exectrace

// progress is how long one of a span's helpers waited in a place, until it went on.
type progress struct {
	from, to int64
	waitKey
	counted bool // among the waits
}

// maxProgress bounds what is remembered of one wait; the last then takes what comes
// after.
const maxProgress = 1 << 12

// waiting reports whether a goroutine may be in the state for as long as the process
// runs, doing nothing for anybody, such as one that reads a connection which is kept.
func (s State) waiting() bool { return s == Net || s == Syscall }

// progressed notes that a helper has gone on that had been in a place for a while.
// What went on meanwhile within that time is forgotten.
func (s *span) progressed(key waitKey, from, to int64) {
	if s.unwanted || !key.state.waiting() || s.main == nil || !s.main.state.blocked() {
		return
	}
	from = max(from, s.main.since)
	n := len(s.progress)
	for n > 0 && s.progress[n-1].from >= from {
		n--
	}
	s.progress = s.progress[:n]
	if n > 0 {
		from = max(from, s.progress[n-1].to)
	}
	if n == maxProgress {
		s.progress[n-1].to = to
	} else if from < to {
		s.progress = append(s.progress, progress{from: from, to: to, waitKey: key})
	}
}

// settle is called before the span's own goroutine goes on, and goes through what was
// said of the span while that was blocked. A helper that is still in the network, or
// in the kernel, was not what it waited for: that time is its own wait's.
func (s *span) settle(g *goroutine, now int64) {
	if s.unwanted {
		return
	}
	s.close(now)
	first, doubtful := len(s.segments), false
	for first > 0 && s.segments[first-1].from >= g.since {
		first--
		doubtful = doubtful || s.segments[first].state.waiting()
	}
	if doubtful && len(s.segments) < maxSegments {
		s.rewrite(first, g)
	}
	s.progress = s.progress[:0]
}

// rewrite says again what the span did from a segment on.
func (s *span) rewrite(first int, g *goroutine) {
	again := append([]segment(nil), s.segments[first:]...)
	s.segments = s.segments[:first]
	own, seen := s.waitOf(g.state, g), false
	for _, was := range again {
		seen = seen || was.wait == own
		if was.wait >= 0 {
			s.waits[was.wait].total -= was.to - was.from
		}
	}
	if own >= 0 && !seen {
		s.waits[own].count++
	}
	done := s.progress
	for _, was := range again {
		if !was.state.waiting() {
			s.push(was)
			continue
		}
		for was.from < was.to {
			for len(done) > 0 && done[0].to <= was.from {
				done = done[1:]
			}
			part := was
			switch {
			case len(done) == 0 || done[0].from >= was.to:
				part.state, part.wait = g.state, own
			case done[0].from > was.from:
				part.to, part.state, part.wait = done[0].from, g.state, own
			default:
				part.to = min(was.to, done[0].to)
				part.wait = s.placeIn(&done[0], was)
			}
			s.push(part)
			was.from = part.to
		}
	}
}

// placeIn returns where the span was in a segment: where the helper waited that went on.
func (s *span) placeIn(p *progress, was segment) int32 {
	if p.state != was.state {
		return was.wait
	}
	w := s.placeOf(p.waitKey)
	if w >= 0 && w != was.wait && !p.counted {
		s.waits[w].count++
		p.counted = true
	}
	return w
}
