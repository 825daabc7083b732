package profiler

// frameTable finds frames by their span. It is a hash table whose entries are
// chained through the frames themselves: a span comes and goes without any
// memory being allocated or moved, in a third of the time of a Go map.
type frameTable struct {
	buckets []*frame // a power of two of them, or none
	n       int
}

// bucket returns where the chain of k begins. The shard has been chosen by the
// topmost bits of the same product.
func (t *frameTable) bucket(k spanKey64) **frame {
	return &t.buckets[uint64(k)*spread>>32&uint64(len(t.buckets)-1)]
}

func (t *frameTable) get(k spanKey64) *frame {
	if t.n == 0 {
		return nil
	}
	f := *t.bucket(k)
	for f != nil && f.key != k {
		f = f.next
	}
	return f
}

// add takes in f, whose span is not in t.
func (t *frameTable) add(f *frame) {
	if t.n == len(t.buckets) {
		t.grow()
	}
	at := t.bucket(f.key)
	f.next, *at = *at, f
	t.n++
}

// remove takes out f, which is in t.
func (t *frameTable) remove(f *frame) {
	at := t.bucket(f.key)
	for *at != f {
		at = &(*at).next
	}
	*at, f.next = f.next, nil
	t.n--
}

func (t *frameTable) grow() {
	old := t.buckets
	t.buckets = make([]*frame, max(8, 2*len(old)))
	for _, f := range old {
		for f != nil {
			next := f.next
			at := t.bucket(f.key)
			f.next, *at = *at, f
			f = next
		}
	}
}
