package exectrace

import (
	"slices"
	"time"
)

// thread is what is known of one thread: how long it ran goroutines, from the
// trace, beside its own clock. Times are the trace's, in nanoseconds.
type thread struct {
	seen  int64 // when it ran a goroutine for the first time
	since int64 // when the goroutine that it runs now began; -1 while it runs none
	ran   int64 // nanoseconds in goroutines, up to since

	readings []clockPoint
	before   int64   // ran, when the reading that is under way began
	shares   []share // of the intervals between the readings, as far as they are final
}

// clockPoint is a reading: at a time the thread had run goroutines for ran, and
// had been on CPU for cpu.
type clockPoint struct{ at, ran, cpu int64 }

// share is how much of the time that a thread ran it was on CPU, until a time.
type share struct{ until, ran, cpu int64 }

// onCPU is a CPU time, and between what bounds it is sure to lie.
type onCPU struct{ value, low, high time.Duration }

func (c onCPU) plus(o onCPU) onCPU { return onCPU{c.value + o.value, c.low + o.low, c.high + o.high} }

func (t *thread) start(now int64) {
	if t.since < 0 {
		t.since = now
	}
}

func (t *thread) stop(now int64) {
	if t.since >= 0 {
		t.ran += now - t.since
		t.since = -1
	}
}

func (t *thread) ranUntil(now int64) int64 {
	if t.since >= 0 {
		return t.ran + now - t.since
	}
	return t.ran
}

// read adds a reading, which was made between two moments of the trace.
func (t *thread) read(before, now, cpu int64) {
	p := clockPoint{at: before + (now-before)/2, ran: t.before + (t.ranUntil(now)-t.before)/2, cpu: cpu}
	if n := len(t.readings); n > 0 && p.cpu < t.readings[n-1].cpu {
		// Another thread has taken over the number of one that ended.
		t.settle(true)
		t.readings = t.readings[:0]
	} else if n == 0 && len(t.shares) == 0 && p.cpu < p.ran {
		// It is new: it has had all of its CPU time since it was seen.
		t.readings = append(t.readings, clockPoint{at: t.seen})
	}
	t.readings = append(t.readings, p)
	t.settle(false)
}

// settle makes the shares of the intervals between readings final. An interval
// waits for the one after it, as either may have CPU time that belongs to the
// other: a reading that a busy machine held up says more, or less, than the
// trace of the same time. All of them are final at the end.
func (t *thread) settle(end bool) {
	for len(t.readings) > 2 || end && len(t.readings) > 1 {
		a, b := t.readings[0], &t.readings[1]
		ran, cpu := b.ran-a.ran, b.cpu-a.cpu
		if len(t.readings) > 2 {
			next := t.readings[2]
			excess, room := cpu-ran, (next.ran-b.ran)-(next.cpu-b.cpu)
			if excess > 0 && room > 0 { // it burnt here what it ran there
				b.cpu -= min(excess, room)
			} else if excess < 0 && room < 0 {
				b.cpu += min(-excess, -room)
			}
			cpu = b.cpu - a.cpu
		}
		cpu = min(ran, max(0, cpu))
		if len(t.shares) == 0 && a.ran > 0 && ran > 0 {
			// Before the first reading it was as after it, as far as anybody knows.
			t.shares = append(t.shares, share{a.at, a.ran, int64(float64(a.ran) * float64(cpu) / float64(ran))})
		}
		t.shares = append(t.shares, share{b.at, ran, cpu})
		t.readings = slices.Delete(t.readings, 0, 1)
	}
}

// settledUntil is the time up to which shares are final.
func (t *thread) settledUntil() int64 {
	if n := len(t.shares); n > 0 {
		return t.shares[n-1].until
	}
	return t.seen
}

// readAt is when the clock was read last.
func (t *thread) readAt() int64 {
	if n := len(t.readings); n > 0 {
		return t.readings[n-1].at
	}
	return 0
}

// onCPU returns how much of [from, to), in which the thread ran a goroutine for ran, it
// was on CPU: its share of the interval between two readings. At least it is what
// the rest of the interval cannot have had, at most all. Time that no reading
// covers counts whole.
func (t *thread) onCPU(from, to, ran int64) (sum onCPU) {
	part := 1.0
	if ran < to-from {
		part = float64(ran) / float64(to-from)
	}
	i, _ := slices.BinarySearchFunc(t.shares, from, func(s share, at int64) int {
		if s.until <= at {
			return -1
		}
		return 1
	})
	for ; i < len(t.shares) && from < to; i++ {
		s := t.shares[i]
		until := min(to, s.until)
		sum, from = sum.plus(s.of(int64(part*float64(until-from)))), until
	}
	if rest := time.Duration(part * float64(to-from)); rest > 0 {
		sum = sum.plus(onCPU{value: rest, high: rest})
	}
	return sum
}

// of is the CPU time of a part of the time that the thread ran.
func (s share) of(d int64) onCPU {
	c := onCPU{high: time.Duration(min(d, s.cpu)), low: time.Duration(min(d, max(0, s.cpu-max(0, s.ran-d))))}
	if s.ran > 0 {
		c.value = time.Duration(float64(d) * float64(s.cpu) / float64(s.ran))
	}
	c.value = max(c.low, min(c.value, c.high))
	return c
}

// forget drops shares that nobody will ask for any more.
func (t *thread) forget(before int64) {
	i, _ := slices.BinarySearchFunc(t.shares, before, func(s share, at int64) int {
		if s.until < at {
			return -1
		}
		return 1
	})
	t.shares = slices.Delete(t.shares, 0, i)
}
