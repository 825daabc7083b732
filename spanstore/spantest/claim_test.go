package spantest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	. "github.com/spanclock/spanclock/spanstore/spantest"

	"github.com/spanclock/spanclock/profiler/stall"
)

// TestClaims checks each claim on a trace whose times are exact: both that it holds
// and what it says when it does not.
func TestClaims(t *testing.T) {
	selects := Prefix("SELECT")
	for _, c := range []struct {
		claim Claim
		want  string // what is said; "" when it holds
	}{
		{Root().Duration().Is(100 * ms), ""},
		{Root().Duration().Under(100 * ms), "duration of the root: got 100 ms; want under 100 ms (0 ms too much)"},
		{Root().Duration().AtMost(100 * ms), ""},
		{Span("redis.GET").Duration().Under(4 * ms), "duration of redis.GET: got 5 ms; want under 4 ms (1 ms too much)"},
		{Span("redis.GET").Duration().Over(4 * ms), ""},
		{Span("redis.GET").Duration().Over(5 * ms), "got 5 ms; want over 5 ms"},
		{Span("redis.GET").Duration().AtLeast(5 * ms), ""},
		{Span("redis.GET").Duration().AtLeast(8 * ms), "got 5 ms; want at least 8 ms (3 ms too little)"},
		{Span("redis.GET").Duration().Between(4*ms, 6*ms), ""},
		{Span("redis.GET").Duration().Between(6*ms, 7*ms), "got 5 ms; want between 6 ms and 7 ms (1 ms too little)"},
		{Span("redis.GET").Duration().Between(3*ms, 4*ms), "got 5 ms; want between 3 ms and 4 ms (1 ms too much)"},
		{Span("SELECT items").Duration().Under(10 * ms), "got 15 ms; want under 10 ms (5 ms too much), and 1 more"},
		{Span("DELETE").Duration().Under(10 * ms), `no span is selected by "DELETE"`},
		{Span("redis.GET").Start().Is(10 * ms), ""},

		{Root().Self().Is(10 * ms), ""},
		{Root().Critical().Is(10 * ms), ""},
		{Span("render").Critical().Is(35 * ms), ""},
		{selects.Together().Is(50 * ms), ""},
		{selects.Share().Is(0.5), ""},
		{selects.Share().Under(0.4), "share of SELECT… in the trace: got 0.5; want under 0.4 (0.1 too much)"},
		{Ratio(Span("SELECT orders").Duration(), Span("redis.GET").Duration()).Is(4), ""},
		{Ratio(selects.Duration(), Root().Duration()).Under(0.5), "got 0.5; want under 0.5"},
		{Ratio(selects.Duration(), Span("DELETE").Duration()).Under(0.5), `no span is selected by "DELETE"`},

		{selects.Count().AtMost(3), ""},
		{selects.Count().AtMost(2), "number of SELECT…: got 3; want at most 2 (1 too much)"},
		{Span("DELETE").None(), ""},
		{Span("render").None(), "number of render: got 1; want exactly 0"},
		{AnySpan().Count().Is(7), ""},
		{selects.In(Root()).Count().Is(3), ""},
		{selects.In(Span("render")).None(), ""},
		{selects.Of("test").Kind(trace.SpanKindClient).With(attribute.Int("rows", 3)).Count().Is(1), ""},
		{selects.Of("other").None(), ""},
		{AnySpan().Failed().None(), ""},
		{AnySpan().Where("of 35 ms", func(n *stall.Node) bool { return n.Wall() == 35*ms }).Count().Is(1), ""},

		{Span("redis.GET").Before(selects), ""},
		{selects.Before(Span("redis.GET")), "SELECT orders: ends 25 ms after redis.GET began; want SELECT… before redis.GET (and 2 more)"},
		{selects.Overlaps(Root()), ""},
		{Span("redis.GET").Overlaps(Span("render")), "redis.GET: ends 50 ms before render begins; want redis.GET at the same time as render"},
		{Span("render").Overlaps(Span("redis.GET")), "render: begins 50 ms after redis.GET has ended"},
		{Span("render").Before(Prefix("ren")), `"render" and "ren…" select the same one span; want two`},
		{Span("render").Overlaps(Span("render")).Not(), "select the same one span"},
		{Span("redis.GET").Before(Span("DELETE")), `no span is selected by "DELETE"`},

		{Span("render").OnCriticalPath(), ""},
		{Span("render").OffCriticalPath(), "render: is on the critical path for 35 ms; want off the critical path"},
		{Span("audit").OffCriticalPath(), ""},
		{Span("audit").OnCriticalPath(), "audit: is not on the critical path"},
		{Span("audit").NotAwaited(), ""},
		{Span("audit").Awaited(), "audit: ends 30 ms after its parent; want awaited by its parent"},
		{Span("render").Awaited(), ""},
		{selects.NotAwaited(), "SELECT orders: ends 65 ms before its parent; want not awaited by its parent (and 2 more)"},
		{Root().NotAwaited(), "has no parent"},

		{AnySpan().Succeeds(), ""},
		{Root().Fails(), "POST /checkout: got status Unset; want status Error"},
		{Root().Status(codes.Unset), ""},
		{Span("SELECT orders").Has(attribute.Int("rows", 3)), ""},
		{Span("SELECT orders").Has(attribute.Int("rows", 4)), "got rows=3 (INT64); want rows=4"},
		{Span("SELECT orders").Has(attribute.String("rows", "3")), "got rows=3 (INT64); want rows=3"},
		{Span("render").Has(attribute.Int("rows", 4)), "got no attribute rows"},

		{NoFinding(stall.NPlusOne), ""},
		{NoFinding(stall.WorkAfterEnd), "got finding work_after_end: "},
		{Span("audit").Finding(stall.WorkAfterEnd), ""},
		{NoFinding("nplusone"), `there is no kind of finding "nplusone"; there are deferrable_tail sequential_siblings n_plus_one`},
		{NoFinding("nplusone").Not(), `there is no kind of finding "nplusone"`},
		{Span("audit").Finding("nplusone").Not(), `there is no kind of finding "nplusone"`},
		{Span("render").InState("locked").Is(0), `there is no state "locked"; there are cpu runnable`},
		{Span("render").Finding(stall.NPlusOne), "want n_plus_one about render"},

		{Span("render").CPU().Under(1), "the CPU time of render is not known: CPU time cannot be had inside a synctest bubble: its clock stands still while goroutines compute"},
		{Span("render").TotalCPU().Under(1), "synctest bubble"},
		{Span("render").StallShare().Under(0.5), "synctest bubble"},
		{Span("render").InState(stall.StateLock).Under(1), "synctest bubble"},

		{Root().Duration().Is(1).Not(), ""},
		{Root().Duration().Is(100 * ms).Not(), "duration of the root: got 100 ms; want it not exactly 100 ms"},
		{Span("SELECT items").Duration().Under(20 * ms).Not(), "got 15 ms, 15 ms; want it not under 20 ms"},
		{selects.Duration().Under(20 * ms).Not(), ""}, // one is not
		{selects.Count().AtMost(3).Not(), "number of SELECT…: got 3; want it not at most 3"},
		{Root().Duration().Is(100 * ms).Not().Not(), ""},
		{Root().Duration().Is(1).Not().Not(), "got 100 ms; want exactly 1 ns"},
		{Root().Duration().Is(100 * ms).And(Root().Self().Is(10 * ms)).Not(), "duration of the root: got 100 ms; want it not exactly 100 ms; nor: self time"},
		{Root().Duration().Is(100 * ms).And(Root().Self().Is(1)).Not(), ""},
		{Root().Duration().Is(1).Or(Root().Self().Is(10 * ms)).Not(), "self time of the root: got 10 ms; want it not exactly 10 ms"},
		{Root().Duration().Is(1).Or(Root().Self().Is(1)).Not(), ""},
		{Root().Duration().Is(1).And(Span("render").CPU().Under(1)).Not(), "synctest bubble"},
		{Span("render").OnCriticalPath().Not(), "got render on the critical path; want the contrary"},
		{Span("DELETE").Duration().Under(1).Not(), `no span is selected by "DELETE"`},
		{Span("render").CPU().Under(1).Not(), "synctest bubble"},
		{Root().Duration().Is(1).Or(Root().Duration().Is(100 * ms)), ""},
		{Root().Duration().Is(1).Or(Root().Duration().Is(2)), "want exactly 1 ns (100 ms too much); nor: "},
		{Root().Duration().Is(100 * ms).And(Root().Self().Is(10 * ms)), ""},
		{Root().Duration().Is(100 * ms).And(Root().Self().Is(11 * ms)), "self time of the root: got 10 ms; want exactly 11 ms (1 ms too little)"},
		{NewClaim("the test's own", func(*Trace) error { return nil }), ""},
		{NewClaim("the test's own", func(*Trace) error { return errors.New("no") }), "no"},
	} {
		t.Run(c.claim.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				switch err := record(t, checkout).Check(c.claim); {
				case c.want == "" && err != nil:
					t.Errorf("got %q; want the claim to hold", err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("got %v; want %q", err, c.want)
				}
			})
		})
	}
}

// TestFailureNamesSpanAndExcess is the whole of what a failed test prints.
func TestFailureNamesSpanAndExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := record(t, checkout)
		tb := &recordingTB{TB: t}
		Of(tb, slow.Trace).Expect(Prefix("SELECT").Duration().Under(10*ms), Root().Duration().Under(200*ms))
		if len(tb.text) != 1 {
			t.Fatalf("got %d failures %q; want one", len(tb.text), tb.text)
		}
		before, _, _ := strings.Cut(tb.text[0], "spanclock view ")
		want := `duration of SELECT…: got 20 ms; want under 10 ms (10 ms too much), and 2 more
      POST /checkout (server)   100 ms  self 10 ms
        redis.GET (client)      5 ms    self 5 ms
    >   SELECT orders (client)  20 ms   self 20 ms  <- 20 ms, 10 ms too much
    >   SELECT items (client)   15 ms   self 15 ms  <- 15 ms, 5 ms too much
    >   SELECT items (client)   15 ms   self 15 ms  <- 15 ms, 5 ms too much
        render                  35 ms   self 35 ms
        audit                   30 ms   self 30 ms
`
		if before != want {
			t.Errorf("got\n%s\nwant\n%s", before, want)
		}
		contains(t, tb.text[0], "spanclock view ", "trace-"+slow.Trace.ID.String()+".json", "kept with go test -artifacts")
	})
}

// TestFailureOfContrary: the contrary of a claim has the figure and the mark too.
func TestFailureOfContrary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for claim, want := range map[*Claim]string{
			new(Span("render").Duration().Under(50 * ms).Not()): "<- 35 ms, not wanted under 50 ms",
			new(Span("render").OnCriticalPath().Not()):          "<- want the contrary",
		} {
			tb := &recordingTB{TB: t}
			Of(tb, record(t, checkout).Trace).Expect(*claim)
			contains(t, tb.said(), ">   render", want)
		}
	})
}

// TestFailureMarksTogether: of what is claimed of several spans as one each is marked.
func TestFailureMarksTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		selects := Prefix("SELECT")
		for _, c := range []Claim{
			selects.Count().AtMost(2), selects.Share().Under(0.1), selects.Together().Under(ms), Ratio(selects.Duration(), Root().Duration()).Under(0.1),
		} {
			tb := &recordingTB{TB: t}
			Of(tb, record(t, checkout).Trace).Expect(c)
			contains(t, tb.said(), ">   SELECT orders", "<- 1 of 3", ">   SELECT items", "<- 2 of 3", ">   SELECT items", "<- 3 of 3")
		}
	})
}

func ExampleClaim() {
	quick := Root().Duration().Under(50 * ms)
	few := Prefix("SELECT").Count().AtMost(3)
	fmt.Println(quick.And(few))
	// Output: duration of the root under 50 ms, and number of SELECT… at most 3
}
