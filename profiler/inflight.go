package profiler

// frames returns what is known of the live spans.
func (r *registry) frames() map[spanKey64]liveFrame {
	out := map[spanKey64]liveFrame{}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for f := s.oldest; f != nil; f = f.newer {
			out[f.key] = liveFrame{trace: f.trace, span: f.span}
		}
		s.mu.Unlock()
	}
	return out
}

// traffic counts the live frames, and all spans that ever ended.
func (r *registry) traffic() (live int, ended uint64) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		live += s.live.n
		ended += s.total
		s.mu.Unlock()
	}
	return live, ended
}

// tick sets the clock, and puts out frames of spans that started longer ago than
// most.
func (r *registry) tick(now, most uint32) {
	r.clock.Store(now)
	if now <= most {
		return
	}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for s.oldest != nil && s.oldest.born < now-most {
			s.unlink(s.oldest).release()
			r.aged.Add(1)
		}
		s.mu.Unlock()
	}
}
