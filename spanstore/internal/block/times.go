package block

import (
	"math"
	"time"
)

// ZeroTime stands for the zero time.Time, whose UnixNano is undefined.
const ZeroTime = math.MinInt64

// UnixNano is t in Unix nanoseconds; a time before 1678 or after 2262 becomes
// the nearest that fits.
func UnixNano(t time.Time) int64 {
	const most = math.MaxInt64 / int64(time.Second)
	switch sec := t.Unix(); {
	case -most < sec && sec < most:
		return t.UnixNano()
	case t.IsZero():
		return ZeroTime
	case sec < 0:
		return ZeroTime + 1
	default:
		return math.MaxInt64
	}
}

// FromUnixNano is the inverse of UnixNano, in UTC.
func FromUnixNano(ns int64) time.Time {
	if ns == ZeroTime {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
