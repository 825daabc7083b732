package profiler

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/pprof/profile"

	"github.com/spanclock/spanclock/spanstore"
)

// tally is what the samples of one window come to.
type tally struct {
	// samples = labeled + late + unattributed + own + those without a label
	samples, labeled, late, unattributed, own int64

	// Of own, those on the store's goroutines, and on the exact level's.
	store, exact int64

	usage []spanstore.Usage
	spans map[spanKey64]identity // all that the samples name
}

// attribute puts the samples of prof to the spans that their labels name.
// Identify fills in what is known of the spans it is given. A sample belongs to
// one span alone, the innermost one on its goroutine. A sample whose span was
// over before the window began is late, whatever ran then. Scale is the window's
// calibration.
func attribute(prof *profile.Profile, identify func(map[spanKey64]identity), scale float64, maxStacks, maxDepth int) tally {
	keys := make([]spanKey64, len(prof.Sample))
	spans := map[spanKey64]identity{}
	for i, s := range prof.Sample {
		if k, ok := parseKey(label(s, spanKey)); ok {
			keys[i] = k
			spans[k] = identity{}
		}
	}
	identify(spans)

	t := tally{spans: spans}
	usage := map[spanKey64]*spanstore.Usage{}
	places := map[place]int{}
	frames := stackTable{maxDepth: maxDepth, known: map[string][]spanstore.Frame{}}
	for i, s := range prof.Sample {
		n := s.Value[0]
		t.samples += n
		if keys[i] == 0 {
			switch label(s, ownKey) {
			case "":
			case ownProfiler:
				t.own += n
			case ownExact:
				t.own += n
				t.exact += n
			default:
				t.own += n
				t.store += n
			}
			continue
		}
		who := spans[keys[i]]
		if !who.trace.IsValid() {
			t.unattributed += n
			continue
		}
		u := usage[keys[i]]
		if u == nil {
			u = &spanstore.Usage{TraceID: who.trace, SpanID: keys[i].spanID()}
			usage[keys[i]] = u
		}
		if who.over {
			t.late += n
			u.LateSamples += int(n)
			continue
		}
		t.labeled += n
		u.Samples += int(n)
		if stack := frames.of(s); len(stack) > 0 {
			at, seen := places[place{keys[i], &stack[0]}]
			if !seen {
				at = len(u.Stacks)
				places[place{keys[i], &stack[0]}] = at
				u.Stacks = append(u.Stacks, spanstore.Stack{Frames: stack})
			}
			u.Stacks[at].Samples += int(n)
		}
	}

	for _, u := range usage {
		u.CPU = time.Duration(float64(u.Samples) * float64(prof.Period) * scale)
		slices.SortStableFunc(u.Stacks, func(a, b spanstore.Stack) int { return cmp.Compare(b.Samples, a.Samples) })
		u.Stacks = slices.Clip(u.Stacks[:min(len(u.Stacks), maxStacks)])
		t.usage = append(t.usage, *u)
	}
	return t
}

func samplesOf(prof *profile.Profile) (n int64) {
	for _, s := range prof.Sample {
		n += s.Value[0]
	}
	return n
}

// place is where a span's samples of one stack are counted. Equal stacks share
// their frames, so the first frame's address stands for all of them.
type place struct {
	span  spanKey64
	stack *spanstore.Frame
}

func label(s *profile.Sample, key string) string {
	if v := s.Label[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// stackTable turns samples into stacks, equal ones into one and the same.
type stackTable struct {
	maxDepth int
	known    map[string][]spanstore.Frame
	key      []byte
}

// of returns the frames of s from the leaf on, inlined calls unfolded, and at
// most maxDepth of them.
func (t *stackTable) of(s *profile.Sample) []spanstore.Frame {
	t.key = t.key[:0]
	for _, l := range s.Location {
		t.key = binary.LittleEndian.AppendUint64(t.key, l.ID)
	}
	if frames, ok := t.known[string(t.key)]; ok {
		return frames
	}
	var frames []spanstore.Frame
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil && len(frames) < t.maxDepth {
				frames = append(frames, spanstore.Frame{
					Func: line.Function.Name,
					File: line.Function.Filename,
					Line: int(line.Line),
				})
			}
		}
	}
	frames = slices.Clip(frames)
	t.known[string(t.key)] = frames
	return frames
}
