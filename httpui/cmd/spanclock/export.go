package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/export"
	"github.com/spanclock/spanclock/spanstore"
)

// page is the format of a self-contained page, beside export.Formats.
const page = "html"

var exportCommand = command{
	name: "export", arguments: "DIR|FILE [ID...]", short: "write traces for other tools",
	help: `
Export writes traces, all of them or those that a query or ids name, oldest first:

  otlp      OTLP JSON with all that was measured, a trace on a line; spanclock reads it back
  jaeger    JSON for the upload of Jaeger's page
  perfetto  trace events for ui.perfetto.dev or chrome://tracing
  pprof     CPU time and waiting by span, for go tool pprof
  html      a page of one trace that opens without a network; -o names a directory for several

  spanclock export traces 4bf92f3577b34da6a3ce929d0e0e4736 -format html -o slow.html
  spanclock export traces -query 'service=orders duration>1s' -format perfetto -o slow.json
  spanclock export traces -format pprof -query 'name="POST /login"' -o login.pb.gz
  spanclock export traces | gzip > traces.otlp.json.gz`,
	flags: func(fs *flag.FlagSet) func(context.Context, *app, []string) error {
		var o exportOptions
		fs.StringVar(&o.format, "format", string(export.OTLP), "otlp, jaeger, perfetto, pprof or html")
		fs.StringVar(&o.out, "o", "", "write to this `file`, or for several pages into this directory (default: standard output)")
		fs.StringVar(&o.query, "query", "", "the traces that this `query` selects, as ls takes it")
		fs.IntVar(&o.most, "n", 0, "at most so many `traces`, the newest; 0 is all")
		return func(ctx context.Context, a *app, args []string) error {
			if len(args) == 0 || o.most < 0 {
				return wrongf("export: name a directory or file, and -n of 0 or more")
			}
			return a.export(ctx, args[0], args[1:], o)
		}
	},
}

type exportOptions struct {
	format, out, query string
	most               int
}

func (a *app) export(ctx context.Context, path string, named []string, o exportOptions) error {
	if o.format != page && !slices.Contains(export.Formats, export.Format(o.format)) {
		return wrongf("export: unknown format %q: there are otlp, jaeger, perfetto, pprof and html", o.format)
	}
	ids, err := parseIDs(named)
	if err != nil {
		return err
	}
	if len(ids) > 0 && o.query != "" {
		return wrongf("export: name traces by their ids or by -query, not both")
	}
	q, err := parseQuery(o.query)
	if err != nil {
		return err
	}
	if o.out == "" && o.format == string(export.Pprof) && isTerminal(a.out) {
		return wrongf("export: a profile is not text: name a file with -o, or a pipe")
	}
	src, err := a.open(ctx, path)
	if err != nil {
		return err
	}
	defer src.Close()
	if len(ids) == 0 {
		if ids, err = a.ids(ctx, src.Store, q, o.most); err != nil {
			return err
		}
		slices.Reverse(ids) // newest first, as a rule
	}
	if len(ids) == 0 {
		return exitError{exitNothing, fmt.Errorf("%s: no trace meets the query", path)}
	}
	if o.format == page {
		return a.exportPages(ctx, src, ids, o.out)
	}
	return a.writeFile(o.out, func(w io.Writer) error { return a.exportTo(ctx, w, src, ids, export.Format(o.format)) })
}

// exportTo writes traces one after the other.
func (a *app) exportTo(ctx context.Context, w io.Writer, src *source, ids []trace.TraceID, f export.Format) error {
	out, err := export.NewWriter(w, f)
	if err != nil {
		return err
	}
	if err := a.read(ctx, src, ids, out.Add); err != nil {
		return err
	}
	return out.Close()
}

// read calls f with each trace. One that was named and is not there is an error of its
// own: others may have been written by then.
func (a *app) read(ctx context.Context, src *source, ids []trace.TraceID, f func(*spanstore.Trace) error) error {
	p := a.progress("exported traces:")
	defer p.done()
	for i, id := range ids {
		t, err := src.Trace(ctx, id)
		if errors.Is(err, spanstore.ErrNotFound) {
			return exitError{exitNothing, fmt.Errorf("%s: trace %s is not in it", src.path, id)}
		}
		if err != nil {
			return err
		}
		a.trouble("trace "+id.String(), t.Problems...)
		if err := f(t); err != nil {
			return err
		}
		p.at(i+1, len(ids))
	}
	return nil
}

// exportPages writes a page to a file or the output, or several into a directory.
func (a *app) exportPages(ctx context.Context, src *source, ids []trace.TraceID, out string) error {
	fi, err := os.Stat(out)
	intoDir := out != "" && err == nil && fi.IsDir() || strings.HasSuffix(out, string(filepath.Separator))
	if len(ids) > 1 && !intoDir {
		return wrongf("export: %d traces are as many pages: name a directory with -o, or one trace", len(ids))
	}
	if intoDir {
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
	}
	return a.read(ctx, src, ids, func(t *spanstore.Trace) error {
		name := out
		if intoDir {
			name = filepath.Join(out, "trace-"+t.ID.String()+".html")
		}
		return a.writeFile(name, func(w io.Writer) error { return httpui.WritePage(w, t) })
	})
}

// writeFile writes a file, or the output when name is empty. A file that could not be
// written whole does not stay, nor does it take the place of another.
func (a *app) writeFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return write(a.out)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = write(f)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
