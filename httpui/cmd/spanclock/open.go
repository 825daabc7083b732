package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui/export"
	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

// readMemory is what a store may hold in memory while it is read: a command has no
// host to spare.
const readMemory = 256 << 20

// source is what a command reads.
type source struct {
	*spanstore.Store
	path  string
	isDir bool

	// traces are those of a file, in the order of the file.
	traces []trace.TraceID
}

// open opens a directory or a file of traces.
func (a *app) open(ctx context.Context, path string) (*source, error) {
	if path == "-" {
		return a.openFile(ctx, path, func() (io.ReadCloser, error) { return io.NopCloser(a.in), nil })
	}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exitError{exitNothing, fmt.Errorf("%s: there is no such directory or file", path)}
	}
	if err != nil {
		return nil, exitError{exitNothing, err}
	}
	if fi.IsDir() {
		return a.openDir(path)
	}
	return a.openFile(ctx, path, func() (io.ReadCloser, error) { return os.Open(path) })
}

// openDir opens the directory of a store for reading.
func (a *app) openDir(path string) (*source, error) {
	t := &teller{a: a, hold: true}
	s, err := spanstore.Open(path, &spanstore.Options{ReadOnly: true, MaxMemory: readMemory, Logger: slog.New(t)})
	if err != nil {
		return nil, exitError{exitNothing, err}
	}
	if st := s.Stats(); st.Segments == 0 {
		s.Close()
		return nil, empty(path, t.held)
	}
	t.hold = false
	a.trouble("", t.held...)
	return &source{Store: s, path: path, isDir: true}, nil
}

// empty says why there is nothing to read in a directory.
func empty(path string, damaged []string) error {
	segments, _ := filepath.Glob(filepath.Join(path, "*.seg"))
	switch {
	case len(damaged) > 0:
		why := strings.TrimPrefix(damaged[0], "span store "+path+": ")
		if more := len(damaged) - 1; more > 0 {
			why += fmt.Sprintf(" (and %d more)", more)
		}
		return exitError{exitDamaged, fmt.Errorf("%s: nothing in it can be read: %s", path, why)}
	case len(segments) > 0:
		return exitError{exitNothing, fmt.Errorf("%s: the process that writes it has sealed nothing yet; its own page shows what it has", path)}
	}
	return exitError{exitNothing, fmt.Errorf("%s: this is no store, it has no segments (files named NNNNNNNN.seg)", path)}
}

// openFile reads a file of traces into a store in memory.
func (a *app) openFile(ctx context.Context, path string, open func() (io.ReadCloser, error)) (*source, error) {
	b, err := readAll(ctx, open)
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err != nil {
		return nil, exitError{exitNothing, fmt.Errorf("read %s: %w", path, err)}
	}
	p := a.progress(fmt.Sprintf("reading %s, %.1f MiB", path, float64(len(b))/(1<<20)))
	p.say()
	defer p.done()
	traces, err := readTraces(b)
	if err != nil {
		return nil, exitError{exitNothing, fmt.Errorf("%s: %w", path, err)}
	}
	s, err := spanstore.Open("", &spanstore.Options{
		MaxBytes: max(64<<20, 4*int64(len(b))), MaxMemory: readMemory, Logger: slog.New(&teller{a: a}),
	})
	if err != nil {
		return nil, err
	}
	src := &source{Store: s, path: path}
	for _, t := range traces {
		src.traces = append(src.traces, t.ID)
		a.trouble("trace "+t.ID.String(), t.Problems...)
	}
	if err := otlp.Add(ctx, s, traces...); err != nil {
		s.Close()
		return nil, err
	}
	if st := s.Stats(); st.Dropped()+st.UsageDropped+st.EvictedSpans > 0 {
		a.trouble(path, fmt.Sprintf("%d spans and %d parts of what was measured found no room", st.Dropped()+st.EvictedSpans, st.UsageDropped))
	}
	return src, nil
}

// readAll reads a file until ctx is over: a terminal or a named pipe may have nothing to
// read, or nobody who writes it, for ever. The read itself is left to the end of the process then.
func readAll(ctx context.Context, open func() (io.ReadCloser, error)) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		f, err := open()
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, otlp.DefaultMaxBytes+1))
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		return r.b, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readTraces reads the JSON of a file of either kind.
func readTraces(b []byte) (traces []*spanstore.Trace, err error) {
	switch kindOf(b) {
	case "resourceSpans", "spanclock":
		traces, err = otlp.Read(bytes.NewReader(b), nil)
	case "data":
		traces, err = export.ReadJaeger(bytes.NewReader(b), 0)
	default:
		return nil, errors.New("this is neither OTLP JSON (an object with resourceSpans) nor Jaeger's (an object with data)")
	}
	if err == nil && len(traces) == 0 {
		err = errors.New("there is no span in it")
	}
	return traces, err
}

// kindOf returns the first key of the object that tells what a file is.
func kindOf(b []byte) string {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		switch key {
		case "resourceSpans", "spanclock", "data":
			return key.(string)
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return ""
		}
	}
	return ""
}

// teller writes what the store reports to the standard error, a line each.
type teller struct {
	a *app

	// While the store is opened its reports are held: of one of which nothing can be
	// read one line tells all.
	hold bool
	held []string
}

func (t *teller) Enabled(context.Context, slog.Level) bool { return true }
func (t *teller) WithAttrs([]slog.Attr) slog.Handler       { return t }
func (t *teller) WithGroup(string) slog.Handler            { return t }

func (t *teller) Handle(_ context.Context, r slog.Record) error {
	if t.hold {
		t.held = append(t.held, r.Message)
		return nil
	}
	t.a.trouble("", r.Message)
	return nil
}
