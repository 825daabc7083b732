package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// traceID is the id of the n-th trace of a store.
func traceID(n int) trace.TraceID { return trace.TraceID{1, 14: byte(n >> 8), 15: byte(n)} }

// request is the n-th request: a root of 20 to 30 ms with a query, whose CPU time is
// sampled. With slow the query takes twice as long.
func request(n int, slow bool) (tracetest.SpanStubs, spanstore.Usage) {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	ctx := func(span byte) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID(n), SpanID: trace.SpanID{7: span}, TraceFlags: 1})
	}
	start := epoch.Add(time.Duration(n) * time.Second)
	query := 10*time.Millisecond + time.Duration(r.IntN(4_000_000))
	if slow {
		query *= 2
	}
	res := resource.NewSchemaless(attribute.String("service.name", "orders"))
	root := tracetest.SpanStub{
		Name: "GET /order", SpanKind: trace.SpanKindServer, SpanContext: ctx(1), Resource: res,
		StartTime: start, EndTime: start.Add(20*time.Millisecond + time.Duration(r.IntN(10_000_000))),
	}
	if n%10 == 0 {
		root.Status = sdktrace.Status{Code: codes.Error, Description: "boom"}
	}
	child := tracetest.SpanStub{
		Name: "SELECT", SpanKind: trace.SpanKindClient, SpanContext: ctx(2), Parent: ctx(1), Resource: res,
		StartTime: start.Add(time.Millisecond), EndTime: start.Add(time.Millisecond + query),
		Attributes: []attribute.KeyValue{attribute.String("noise", noise(r, 200))},
	}
	return tracetest.SpanStubs{child, root}, spanstore.Usage{TraceID: traceID(n), SpanID: trace.SpanID{7: 1}, Samples: n % 3, CPU: time.Duration(n%3) * 10 * time.Millisecond}
}

func noise(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + r.IntN(90))
	}
	return string(b)
}

// fill writes so many requests.
func fill(tb testing.TB, s *spanstore.Store, requests int, slow bool) {
	tb.Helper()
	batch := spanstore.UsageBatch{Windows: []spanstore.Window{{Start: epoch.Add(-time.Minute), End: epoch.Add(24 * time.Hour), Period: 10 * time.Millisecond}}}
	for n := range requests {
		spans, u := request(n+1, slow)
		if err := s.ExportSpans(context.Background(), spans.Snapshots()); err != nil {
			tb.Fatal(err)
		}
		batch.Spans = append(batch.Spans, u)
	}
	if err := s.AddUsage(context.Background(), batch); err != nil {
		tb.Fatal(err)
	}
	if err := s.Flush(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

// leftBehind is the directory of a store whose process is gone.
func leftBehind(tb testing.TB, requests int, slow bool) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "traces")
	s, err := spanstore.Open(dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	if err != nil {
		tb.Fatal(err)
	}
	fill(tb, s, requests, slow)
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// spanclock runs a command line as a shell would, with pipes.
func spanclock(args ...string) (code int, out, err string) {
	return spanclockWith("", args...)
}

func spanclockWith(in string, args ...string) (code int, out, err string) {
	var o, e bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // for view, where it should refuse
	defer cancel()
	code = (&app{in: strings.NewReader(in), out: &o, err: &e}).run(ctx, args)
	return code, o.String(), e.String()
}

// must is the output of a command line that succeeds and complains of nothing.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := spanclock(args...)
	if code != exitDone || err != "" {
		t.Fatalf("spanclock %q: got exit code %d, %s", args, code, err)
	}
	return out
}

// hash is of all that is below a directory: names, contents, modes and times.
func hash(tb testing.TB, dir string) string {
	tb.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(h, path, fi.Mode(), fi.ModTime().UnixNano())
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			h.Write(b)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// writerEnv makes the test binary a service that writes to a store until it is killed.
const writerEnv = "SPANCLOCK_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writer(dir)
		return
	}
	os.Exit(m.Run())
}

func writer(dir string) {
	s, err := spanstore.Open(dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := 1; ; n++ {
		spans, _ := request(n, false)
		_ = s.ExportSpans(context.Background(), spans.Snapshots())
		if n%200 == 0 {
			_ = s.Flush(context.Background())
		}
		if n == 200 {
			fmt.Println("begun")
		}
		if s.Stats().Segments >= 3 {
			fmt.Println("sealed")
			_ = s.Flush(context.Background())
			select {}
		}
	}
}

// startWriter starts a service that writes, and returns when it has said a word.
func startWriter(t *testing.T, dir, until string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), writerEnv+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	var said []byte
	for b := make([]byte, 64); !strings.Contains(string(said), until); {
		n, err := out.Read(b)
		if said = append(said, b[:n]...); err != nil {
			t.Fatalf("the writer said %q: %v", said, err)
		}
	}
	return c
}
