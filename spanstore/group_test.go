package spanstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore"
)

// TestBlocksAreCommittedInGroups counts commits: none before sixteen blocks are
// full, unless two seconds are over. Full means about 1,024 spans.
func TestBlocksAreCommittedInGroups(t *testing.T) {
	const full, group = 1024, 16
	for _, dir := range []string{"", t.TempDir()} {
		synctest.Test(t, func(t *testing.T) {
			s, g := open(t, dir, nil), newTraffic()
			add := func(n int) {
				var batch []tracetest.SpanStub
				for len(batch) < n {
					batch = append(batch, g.request("GET /")...)
				}
				for i := range batch { // so small that their bytes do not make a group
					batch[i].Attributes, batch[i].Events, batch[i].Links = nil, nil, nil
				}
				export(t, s, batch[:n]...)
				synctest.Wait()
			}
			want := func(commits, durable, blocks int64) {
				t.Helper()
				if st := s.Stats(); st.Commits != commits || st.Durable != durable || st.Blocks != blocks || st.Spans != st.Accepted {
					t.Fatalf("got %d commits, %d durable spans, %d blocks, %d of %d spans; want %d, %d, %d, all",
						st.Commits, st.Durable, st.Blocks, st.Spans, st.Accepted, commits, durable, blocks)
				}
			}
			add((group - 2) * full)
			first := s.Stats()
			for first.Commits == 0 && first.Accepted < (group+2)*full {
				want(0, 0, first.Blocks)
				add(1)
				first = s.Stats()
			}
			done := first.Accepted
			want(1, done, group)
			if done < group*full*7/8 || done > group*full*9/8 {
				t.Fatalf("%d blocks have %d spans; want about %d", group, done, group*full)
			}

			time.Sleep(1800 * time.Millisecond)
			add(full / 2) // is closed by the next tick, less is not
			time.Sleep(1800 * time.Millisecond)
			synctest.Wait()
			want(2, done+full/2, group+1)
			add(full / 4)
			time.Sleep(1800 * time.Millisecond)
			synctest.Wait()
			want(3, done+full/2+full/4, group+2)
			add(full / 4)
			want(3, done+full/2+full/4, group+2)
			flush(t, s)
			want(4, done+full, group+2)
		})
	}
}

// TestTheRingUsesItsBudget wants the files close to the budget when the ring is
// full, never above.
func TestTheRingUsesItsBudget(t *testing.T) {
	const budget = spanstore.MinMaxBytes
	dir := t.TempDir()
	s, g := open(t, dir, smallRing), newTraffic()
	most, least := int64(0), int64(budget)
	for s.Stats().EvictedSegments < 12 {
		var batch []tracetest.SpanStub
		for range 512 {
			batch = append(batch, g.request("GET /")...)
		}
		export(t, s, batch...)
		n := dirBytes(t, dir)
		if most = max(most, n); n > budget {
			t.Fatalf("the files have %d bytes; the budget is %d", n, budget)
		}
		if s.Stats().EvictedSegments > 4 {
			least = min(least, n)
		}
	}
	if most < budget*90/100 || least < budget*75/100 {
		t.Errorf("the files have between %d and %d bytes of %d", least, most, budget)
	}
}
