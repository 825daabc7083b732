package spanstore

import (
	"reflect"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// listBlock lists a block of n requests of which every nth has failed and the
// last is the slowest.
func listBlock(t *testing.T, n, failing int) (*blockInfo, *shortlist, *block.Encoder) {
	t.Helper()
	s := &Store{lister: newLister()}
	l, err := (&Options{}).layout()
	if err != nil {
		t.Fatal(err)
	}
	g, enc := spangen.New(5), block.NewEncoder(l.limits)
	for i := range n {
		stubs := g.Request(time.Unix(1_700_000_000, int64(i)*1e6), 2)
		root := &stubs[len(stubs)-1]
		root.Name, root.Status = "GET /", sdktrace.Status{}
		root.EndTime = root.StartTime.Add(time.Duration(i+1) * time.Millisecond)
		if i%failing == 0 {
			stubs[0].Status = sdktrace.Status{Code: codes.Error}
		} else {
			stubs[0].Status = sdktrace.Status{}
		}
		for _, st := range stubs {
			enc.Add(st.Snapshot())
		}
	}
	b := s.packBlock(1, enc, nil)
	return b.info, s.lister.list(enc, b.info), enc
}

func TestShortlistHasErrorsAndTheSlowest(t *testing.T) {
	_, l, enc := listBlock(t, 240, 60)
	fails, slowest := 0, int64(0)
	for _, c := range l.listed {
		if c.why == keptError {
			fails++
		}
		slowest = max(slowest, c.duration)
	}
	if want := 240/listShare + 4; fails != 4 || len(l.listed) != want || slowest != int64(240*time.Millisecond) {
		t.Errorf("got %d listed, %d failed, the slowest of %d ns; want %d, 4, 240 ms", len(l.listed), fails, slowest, want)
	}
	if len(l.routes) != 1 || l.routes[0].roots != 240 {
		t.Errorf("got routes %+v; want one with 240 roots", l.routes)
	}
	sum := 0
	for _, n := range l.spans {
		sum += int(n)
	}
	if sum != enc.Len() {
		t.Errorf("got %d spans; want %d", sum, enc.Len())
	}
}

func TestShortlistHasABound(t *testing.T) {
	if _, l, _ := listBlock(t, 400, 1); len(l.listed) != listMost {
		t.Errorf("%d of 400 failed traces are listed; want %d", len(l.listed), listMost)
	}
}

func TestShortlistUnpacksEqual(t *testing.T) {
	info, l, _ := listBlock(t, 300, 7)
	packed, _ := l.pack(info, nil)
	if got := packed.unpack(info); !reflect.DeepEqual(got, l) {
		t.Errorf("%d listed and %d routes come back otherwise; want %d and %d", len(got.listed), len(got.routes), len(l.listed), len(l.routes))
	}
	if most := 2*len(info.traces) + 20*len(l.listed) + 32; len(packed) > most {
		t.Errorf("packed it takes %d bytes; want at most %d", len(packed), most)
	}
}
