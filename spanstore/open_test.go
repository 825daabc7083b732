package spanstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// Every error from Open names the path and what to do, and leaves a nil store.
func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no store"), 0o600); err != nil {
		t.Fatal(err)
	}
	held := t.TempDir()
	open(t, held, nil)
	for _, tc := range []struct {
		name, dir string
		o         *spanstore.Options
		want      []string
	}{
		{"a file", file, nil, []string{file, "name a directory"}},
		{"no directory above", filepath.Join(held, "no", "such"), nil, []string{"no/such", "create the directory above it"}},
		{"below a file", filepath.Join(file, "x"), nil, []string{file, "not a directory"}},
		{"held by this process", held, nil, []string{held, "process " + strconv.Itoa(os.Getpid()), "a directory of its own"}},
		{"negative size", t.TempDir(), &spanstore.Options{MaxBytes: -1}, []string{"Options.MaxBytes is -1", "at least 4194304", "256 MiB"}},
		{"small size", "", &spanstore.Options{MaxBytes: 1000}, []string{"in memory", "Options.MaxBytes is 1000"}},
		{"negative age", "", &spanstore.Options{MaxAge: -time.Second}, []string{"Options.MaxAge is -1s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := spanstore.Open(tc.dir, tc.o)
			if err == nil || s != nil {
				t.Fatalf("got %v, %v; want no store and an error", s, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(filepath.ToSlash(err.Error()), filepath.ToSlash(want)) {
					t.Errorf("the error %q does not say %q", err, want)
				}
			}
		})
	}
}

// Root may write everywhere, so the check runs as a user that may not.
func TestOpenUnwritable(t *testing.T) {
	dir := t.TempDir()
	const env = "SPANCLOCK_TEST_UNWRITABLE"
	if dir := os.Getenv(env); dir != "" {
		s, err := spanstore.Open(dir, nil)
		if s != nil || err == nil {
			t.Fatalf("got %v, %v; want an error", s, err)
		}
		for _, want := range []string{dir, "permission denied", "make the directory and what is in it readable and writable"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error %q does not say %q", err, want)
			}
		}
		return
	}
	if runtime.GOOS == "windows" {
		t.Log("a directory's mode does not stop a write on Windows")
		return
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	// The directories above a test's own are closed to other users.
	for up := filepath.Dir(dir); os.Getuid() == 0 && up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe := filepath.Join(filepath.Dir(dir), "spanstore.test")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, data, 0o755); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe, "-test.run=^TestOpenUnwritable$")
	child.Dir = "/"
	child.Env = append(os.Environ(), env+"="+dir)
	asNobody(child)
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A service that ignores the error of Open runs on.
func TestNilStoreIsInert(t *testing.T) {
	var s *spanstore.Store
	p := s.Processor()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p), sdktrace.WithBatcher(s))
	_, span := tp.Tracer("t").Start(ctx, "x")
	span.End()
	if err := tp.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Trace(ctx, trace.TraceID{1}); !errors.Is(err, spanstore.ErrNotFound) {
		t.Errorf("Trace: got %v; want ErrNotFound", err)
	}
	if page, err := s.Traces(ctx, spanstore.Query{}); err != nil || len(page.Traces) != 0 {
		t.Errorf("Traces: got %v, %v; want an empty page", page, err)
	}
	if _, ok := s.Evicted(trace.TraceID{1}); ok {
		t.Error("a nil store says that it evicted something")
	}
	if runs, err := s.Runs(ctx); len(runs) != 0 || err != nil {
		t.Errorf("Runs: got %v, %v", runs, err)
	}
	if err := errors.Join(s.AddUsage(ctx, spanstore.UsageBatch{Windows: make([]spanstore.Window, 1)}), s.Flush(ctx), s.Shutdown(ctx), s.Close()); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st != (spanstore.Stats{}) || s.Dir() != "" {
		t.Errorf("got %+v", st)
	}
}

func TestDisabledByEnvironment(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "True")
	dir := filepath.Join(t.TempDir(), "x")
	if s, err := spanstore.Open(dir, nil); s != nil || err != nil {
		t.Errorf("got %v, %v; want nothing", s, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was made all the same")
	}
}

// Whatever lies in the directory, Open succeeds, keeps what is whole, sets the
// rest aside and says so.
func TestDamagedSegments(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":        func([]byte) []byte { return nil },
		"text":         func([]byte) []byte { return []byte("this is no store") },
		"long text":    func([]byte) []byte { return bytes.Repeat([]byte("this is no store "), 4096) },
		"cut off":      func(b []byte) []byte { return b[:len(b)/2&^4095] },
		"metas zeroed": func(b []byte) []byte { clear(b[:8192]); return b },
		"rest zeroed":  func(b []byte) []byte { clear(b[8192:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := &spanstore.Options{MaxBytes: spanstore.MinMaxBytes}
			s := open(t, dir, o)
			g := spangen.New(1)
			for s.Stats().Segments < 3 {
				for range 200 {
					export(t, s, g.Request(time.Now(), 5)...)
				}
				flush(t, s)
			}
			before := s.Stats().Spans
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			victim := segments(t, dir)[1]
			b, err := os.ReadFile(victim)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(victim, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			s = open(t, dir, o)
			st := s.Stats()
			if st.DamagedSegments != 1 || st.Spans == 0 || st.Spans > before {
				t.Errorf("of %d spans %d are left, %d segments damaged", before, st.Spans, st.DamagedSegments)
			}
			if !strings.Contains(log.String(), filepath.Base(victim)) {
				t.Errorf("the log does not name %s: %s", victim, log.String())
			}
			for _, id := range list(t, s, spanstore.Query{Limit: 1000}) {
				if _, err := s.Trace(context.Background(), id); err != nil {
					t.Fatal(err)
				}
			}
			export(t, s, g.Request(time.Now(), 5)...)
			flush(t, s)
		})
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(foreign, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, dir, nil)
	if b, err := os.ReadFile(foreign); err != nil || string(b) != "mine" {
		t.Errorf("got %q, %v", b, err)
	}
}
