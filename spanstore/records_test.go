package spanstore

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// FuzzRecords gives the small records of a segment, summaries, logs of evictions,
// pins and runs, bytes whose checksum holds but whose content may be anything.
// Each must fail or read what it then writes again, without a panic and without
// taking more memory than the bytes justify.
func FuzzRecords(f *testing.F) {
	f.Add((&blockInfo{seq: 3, kind: block.KindSpans, size: 9, count: 2, services: []string{"a", ""}, traces: []uint32{1, 7}}).encode(), byte(0))
	f.Add((&blockInfo{seq: 3, kind: block.KindUsage, kept: true}).encode(), byte(0))
	log := evictions{max: 10, entries: []evictedSegment{{when: time.Unix(5, 0), why: "full", traces: []uint32{1, 7, 9}}}, since: time.Unix(4, 0)}
	f.Add(log.encode(), byte(1))
	f.Add((&pins{ids: map[trace.TraceID]struct{}{{1}: {}, {2}: {}}}).encode(), byte(2))
	run := newRun()
	f.Add(run.encode(), byte(3))
	f.Fuzz(func(t *testing.T, data []byte, kind byte) {
		sealed := slices.Clone(data)
		if n := len(sealed) - 4; n >= 0 {
			binary.LittleEndian.PutUint32(sealed[n:], block.Checksum(sealed[:n]))
		}
		switch kind % 4 {
		case 0:
			fuzzSummary(t, sealed)
		case 1:
			l, again := evictions{max: 1 << 20}, evictions{max: 1 << 20}
			l.decode(sealed, time.Unix(1, 0))
			again.decode(l.encode(), time.Unix(1, 0))
			if !sameLog(l, again) {
				t.Errorf("the log %+v reads back as %+v", l, again)
			}
		case 2:
			var p, again pins
			p.decode(sealed)
			if len(p.ids) > MaxPins {
				t.Errorf("%d pins; want %d at most", len(p.ids), MaxPins)
			}
			if again.decode(p.encode()); len(p.ids) > 0 && !reflect.DeepEqual(p.ids, again.ids) {
				t.Errorf("the pins %v read back as %v", p.ids, again.ids)
			}
		case 3:
			_, _ = decodeRun(data)
		}
	})
}

// fuzzSummary reads a summary, and what it makes of it again.
func fuzzSummary(t *testing.T, b []byte) {
	info, err := decodeSummary(b)
	if err != nil {
		return
	}
	again, err := decodeSummary(info.encode())
	if err != nil {
		t.Fatalf("the summary %+v does not read back: %v", info, err)
	}
	if !reflect.DeepEqual(info.comparable(), again.comparable()) {
		t.Errorf("the summary %+v reads back as %+v", info, again)
	}
}

func sameLog(a, b evictions) bool {
	return a.since.Equal(b.since) && slices.EqualFunc(a.entries, b.entries, func(x, y evictedSegment) bool {
		return x.when.Equal(y.when) && x.why == y.why && slices.Equal(x.traces, y.traces)
	})
}
