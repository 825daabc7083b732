package stall

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FormatDuration gives d three significant digits and a unit that fits: 52.4 ms,
// 500 µs, 1.24 s, and 2 min 5 s from a minute on. Trailing zeros are left out.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0 ms"
	}
	if d < 0 {
		return "-" + FormatDuration(max(-d, 0)) // MinInt64 has no opposite
	}
	if d >= time.Minute {
		return formatLong(d)
	}
	u := unitOf(d)
	return digits(float64(d)/float64(u.size)) + " " + u.name
}

func formatLong(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}

type unit struct {
	name string
	size time.Duration
}

var units = [...]unit{{"s", time.Second}, {"ms", time.Millisecond}, {"µs", time.Microsecond}, {"ns", 1}}

// unitOf picks the unit in which d is at least 1. The rounding in digits must
// not make 1000 µs of 999.96 µs.
func unitOf(d time.Duration) unit {
	for _, u := range units {
		if float64(d) >= 0.9995*float64(u.size) {
			return u
		}
	}
	return units[len(units)-1]
}

// digits gives three figures at most: 1.24, 63.6, 139.
func digits(x float64) string {
	places := 2
	switch {
	case x >= 99.95:
		places = 0
	case x >= 9.995:
		places = 1
	}
	return trimZeros(strconv.FormatFloat(x, 'f', places, 64))
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// FormatPercent gives part of whole as 46 %, "<1 %" for what is more than
// nothing, ">99 %" for what is less than all, and "" without a whole.
func FormatPercent(part, whole time.Duration) string {
	if whole <= 0 {
		return ""
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case part > 0 && p < 0.5:
		return "<1 %"
	case part < whole && p >= 99.5:
		return ">99 %"
	}
	return fmt.Sprintf("%.0f %%", p)
}

// String gives the figure with its interval as far as it has one: "63.6 ms",
// "≈ 60 ms (50–70)", "< 10 ms", "…" while samples may still arrive, "?".
func (c CPU) String() string {
	switch {
	case c.Evidence == Exact:
		return FormatDuration(c.Value)
	case c.Evidence == Inferred:
		return "≈ " + FormatDuration(c.Value)
	case c.Evidence == Sampled && c.Samples > 0:
		return "≈ " + formatEstimate(c.Value, c.Low, c.High)
	case c.Evidence == Sampled && c.High > 0:
		return "< " + FormatDuration(c.High)
	case c.Pending:
		return "…"
	}
	return "?"
}

// formatEstimate gives 60 ms (50–70), all in the unit of the first, and no digits
// that a sample of 10 ms cannot mean.
func formatEstimate(d, low, high time.Duration) string {
	if max(d, high) >= time.Minute {
		return fmt.Sprintf("%s (%s–%s)", FormatDuration(d), FormatDuration(low), FormatDuration(high))
	}
	u := unitOf(d)
	in := func(d time.Duration) string {
		x := float64(d) / float64(u.size)
		if u.size == time.Second {
			return trimZeros(strconv.FormatFloat(x, 'f', 2, 64))
		}
		if x < 9.95 {
			return trimZeros(strconv.FormatFloat(x, 'f', 1, 64))
		}
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return fmt.Sprintf("%s %s (%s–%s)", in(d), u.name, in(low), in(high))
}
