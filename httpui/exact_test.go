package httpui_test

import (
	"encoding/json"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
)

// TestExactLevelOnThePage: while another flight recorder runs, JSON and text say why
// there are no exact states; afterwards, of how many slow requests there are.
func TestExactLevelOnThePage(t *testing.T) {
	f := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	if err := f.Start(); err != nil {
		t.Skip(err)
	}
	defer f.Stop()
	s := emptyStore(t)
	p, err := profiler.Start(s, &profiler.Options{Exact: profiler.ExactAuto})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Stop() }()
	h := httpui.Handler(s, &httpui.Options{Profiler: p})
	var list struct {
		Profiler struct {
			Exact struct {
				Armed bool
				Why   string
				Slow  int
				Share *float64 `json:"captured_share"`
			}
		}
	}
	for range 200 {
		if err := json.Unmarshal([]byte(ask(h, "/t/?format=json").body), &list); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(list.Profiler.Exact.Why, "somebody else") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if x := list.Profiler.Exact; x.Armed || !strings.Contains(x.Why, "somebody else") || x.Share != nil {
		t.Errorf("got %+v; want it off, and why", x)
	}
	if text := ask(h, "/t/?format=text").body; !strings.Contains(text, "exact states: off, the process has one flight recorder, and somebody else runs it") {
		t.Errorf("got\n%s\nwant the reason", text)
	}
}
