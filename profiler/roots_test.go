package profiler_test

import (
	"context"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// Local roots alone are labelled, and get what is burnt below them.
func TestLabelRoots(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 100 * time.Millisecond, Labels: profiler.LabelRoots})
	ctx, root := s.Start(context.Background(), "root")
	carries(t, "in the root", root)
	ctx, child := s.Start(ctx, "child")
	carries(t, "in a child", root)
	pprof.Do(ctx, pprof.Labels("task", "x"), func(ctx context.Context) {
		carries(t, "in pprof.Do with the child's context", root)
		_, grandchild := s.Start(ctx, "grandchild")
		hasLabel(t, "in the grandchild", "task", "x")
		grandchild.End()
		hasLabel(t, "after the grandchild", "task", "x")
		carries(t, "after the grandchild", root)
	})

	remote := trace.ContextWithRemoteSpanContext(context.Background(), child.SpanContext().WithRemote(true))
	_, served := s.Start(remote, "called from elsewhere")
	carries(t, "in a span with a remote parent", served)
	served.End()
	carries(t, "after it", root)

	burnCPU(200 * time.Millisecond)
	child.End()
	carries(t, "after the child", root)
	root.End()
	carries(t, "all ended", nil)
	s.refresh(t)
	if got, none := s.usage(t, root), s.usage(t, child); got.Samples == 0 || none.Samples != 0 {
		t.Errorf("got %d samples in the root and %d in its child; want all of them in the root", got.Samples, none.Samples)
	}
	for _, w := range s.trace(t, root).Windows {
		if !w.RootsOnly {
			t.Errorf("got window %+v; want it to say that only local roots were labelled", w)
		}
	}
	if n := s.prof.Stats().LiveSpans; n != 0 {
		t.Errorf("got %d live spans; want none", n)
	}
}

func TestLabelsOptionIsChecked(t *testing.T) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if prof, err := profiler.Start(store, &profiler.Options{Labels: 7}); prof != nil || err == nil || !strings.Contains(err.Error(), "Labels") {
		t.Errorf("got profiler %v, error %v; want nil and an error that names the option", prof, err)
	}
}
