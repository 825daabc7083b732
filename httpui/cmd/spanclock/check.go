package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/spanclock/spanclock/httpui/internal/text"
)

var checkCommand = command{
	name: "check", arguments: "DIR|FILE", short: "read everything and say what is wrong",
	help: `
Check reads all of a store and tries every numbered invariant of package spanstore; what speaks
against one is told with its number, and the exit code is 1. The segment that a live process
is writing is left out.

  spanclock check traces && echo good`,
	flags: func(*flag.FlagSet) func(context.Context, *app, []string) error {
		return func(ctx context.Context, a *app, args []string) error {
			if len(args) != 1 {
				return wrongf("check: name one directory or file")
			}
			return a.check(ctx, args[0])
		}
	},
}

func (a *app) check(ctx context.Context, path string) error {
	src, err := a.open(ctx, path)
	if err != nil {
		return err
	}
	defer src.Close()
	st := src.Stats()
	if src.isDir {
		fmt.Fprintf(a.out, "%s: %d segments of %.1f MiB, %d spans in %d blocks\n", path, st.Segments, float64(st.Bytes)/(1<<20), st.Spans, st.Blocks)
		runs, err := src.Runs(ctx)
		if err != nil {
			a.trouble("", err.Error())
		}
		for _, r := range runs {
			fmt.Fprintf(a.out, "run %s: pid %d, %s, %s\n", r.Start.UTC().Format(time.RFC3339), r.PID, text.Escape(strings.TrimSpace(r.Path+" "+r.Version+" "+r.Revision)), text.Escape(r.GoVersion))
		}
	} else {
		fmt.Fprintf(a.out, "%s: %d traces, %d spans\n", path, len(src.traces), st.Spans)
	}
	p := a.progress(fmt.Sprintf("checking %d blocks", st.Blocks))
	p.say()
	err = src.Check(ctx)
	p.done()
	if errors.Is(err, context.Canceled) {
		return err
	}
	if err != nil {
		a.trouble("", strings.Split(err.Error(), "\n")...)
	}
	if !a.damaged {
		_, err = fmt.Fprintln(a.out, "all is well")
		return err // to nobody: a full disk, say
	}
	return nil
}
