package block

import (
	"math"
	"slices"
	"strings"
)

// secSignals is the section of a block of usage that holds signals, absent when
// there are none. It has strings of its own, so that nobody else unpacks it.
const secSignals = 8

// Columns of secSignals, one value a stretch of time. The values of the signal
// that is the i-th name have the column colSignalValues+i.
const (
	colSignalStart  = 0
	colSignalLength = 1
	colSignalNames  = 2 // text: the names, a NUL between two
	colSignalValues = 16

	// MaxSignals bounds the distinct names of one block, MaxStretches the
	// stretches of time: a column of equal values takes no room, however many it
	// claims to hold.
	MaxSignals   = 128
	MaxStretches = 1024
)

// absent stands for a value that is not there: no signal has the least int64.
const absent = math.MinInt64

// Signals are figures of one stretch of time, by name. Start is in Unix
// nanoseconds, Length in nanoseconds.
type Signals struct {
	Start, Length int64
	Values        map[string]int64
}

// encodeSignals returns the section's columns. Names beyond MaxSignals, and those
// with a NUL in them, are left out, and stretches beyond MaxStretches.
func encodeSignals(all []Signals) []byte {
	all = all[:min(len(all), MaxStretches)]
	names := signalNames(all)
	starts, lengths := make([]int64, len(all)), make([]int64, len(all))
	for i, s := range all {
		starts[i], lengths[i] = s.Start, s.Length
	}
	out := appendInts(nil, colSignalStart, starts)
	out = appendInts(out, colSignalLength, lengths)
	out = appendColumn(out, colSignalNames, []byte(strings.Join(names, "\x00")))
	values := make([]int64, len(all))
	for n, name := range names {
		for i, s := range all {
			v, ok := s.Values[name]
			if !ok {
				v = absent
			}
			values[i] = v
		}
		out = appendInts(out, byte(colSignalValues+n), values)
	}
	return out
}

// signalNames returns the distinct names, sorted.
func signalNames(all []Signals) (names []string) {
	seen := map[string]bool{}
	for _, s := range all {
		for name := range s.Values {
			if !seen[name] && name != "" && !strings.Contains(name, "\x00") {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names[:min(len(names), MaxSignals)]
}

// decodeSignals reads the section.
func decodeSignals(cs columns) ([]Signals, error) {
	starts, err := cs.ints(colSignalStart, -1)
	if err != nil {
		return nil, err
	}
	lengths, err := cs.ints(colSignalLength, starts.n)
	if err != nil || starts.n == 0 {
		return nil, err
	}
	var names []string
	if text := string(cs[colSignalNames]); text != "" {
		names = strings.Split(text, "\x00")
	}
	if len(names) > MaxSignals || starts.n > MaxStretches {
		return nil, corrupt("%d signals of %d names", starts.n, len(names))
	}
	out := make([]Signals, starts.n)
	for i := range out {
		out[i] = Signals{Start: starts.at(i), Length: lengths.at(i), Values: make(map[string]int64, len(names))}
	}
	for n, name := range names {
		values, err := cs.ints(byte(colSignalValues+n), starts.n)
		if err != nil {
			return nil, err
		}
		for i := range out {
			if v := values.at(i); v != absent {
				out[i].Values[name] = v
			}
		}
	}
	return out, nil
}
