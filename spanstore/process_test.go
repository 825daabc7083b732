package spanstore

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// processEnv makes the test binary a process of its own: "what directory".
const processEnv = "SPANCLOCK_TEST_PROCESS"

func processChild(spec string) {
	what, dir, _ := strings.Cut(spec, " ")
	switch what {
	case "open":
		s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
		fmt.Println("opened", s != nil, err)
		_ = s.Close()
	case "read":
		s, err := Open(dir, &Options{ReadOnly: true})
		if err != nil {
			fmt.Println("error", err)
			return
		}
		page, err := s.Traces(context.Background(), Query{Limit: 1000})
		fmt.Println("read", len(page.Traces), len(page.Problems), err, s.Close())
	case "write":
		writeForever(dir)
	case "small":
		inLittleRoom(dir)
	}
}

func child(what, dir string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), processEnv+"="+what+" "+dir)
	return c
}

// One process writes, others are told who does, and can read.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
	if err != nil {
		t.Fatal(err)
	}
	g := spangen.New(1)
	for s.Stats().Segments < 3 {
		for range 100 {
			_ = s.ExportSpans(context.Background(), tracetest.SpanStubs(g.Request(time.Now(), 5)).Snapshots())
		}
		if err := s.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	out, err := child("open", dir).CombinedOutput()
	if want := fmt.Sprintf("process %d holds the directory", os.Getpid()); err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "opened false") {
		t.Errorf("a second writer: got %s, %v; want an error that says %q", out, err, want)
	}
	if out, err = child("read", dir).CombinedOutput(); err != nil || string(out) != "read 1000 0 <nil> <nil>\n" {
		t.Errorf("a reader: got %s, %v; want 1000 traces, no problem", out, err)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err = child("open", dir).CombinedOutput(); err != nil || !strings.Contains(string(out), "opened true") {
		t.Errorf("after Close: got %s, %v; want another process to open it", out, err)
	}
}

// writeForever writes small traces, and says which are durable.
func writeForever(dir string) {
	s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("open")
	g := spangen.New(uint64(time.Now().UnixNano()))
	for {
		var ids []trace.TraceID
		for range 1 + g.IntN(200) {
			stubs := g.Request(time.Now(), 5)
			if err := s.ExportSpans(context.Background(), tracetest.SpanStubs(stubs).Snapshots()); err != nil {
				fmt.Println("error", err)
				return
			}
			ids = append(ids, stubs[0].SpanContext.TraceID())
		}
		if err := s.Flush(context.Background()); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("durable", ids[0], ids[len(ids)-1])
	}
}

// A process is killed at random moments, rotations, evictions, Open and salvage
// among them: nothing that was durable is lost but by eviction, which is known,
// nothing half-written is seen, and every invariant holds.
func TestKills(t *testing.T) {
	seed, rounds := uint64(time.Now().UnixNano()), 8
	if soak {
		rounds = 1000
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	dir := filepath.Join(quickDir(t), "store")
	promised, evicted, salvages, began := 0, 0, 0, time.Now()
	var recent []promise
	for round := range rounds {
		fresh := killOne(t, r, dir)
		promised += len(fresh)
		recent = append(recent, fresh...)
		if len(recent) > 400 {
			recent = recent[len(recent)-400:]
		}
		var log bytes.Buffer
		s, err := Open(dir, &Options{MaxBytes: MinMaxBytes, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		evicted += checkPromised(t, s, recent)
		if err := s.Check(context.Background()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if st := s.Stats(); st.DamagedSegments > 0 {
			t.Fatalf("round %d: a kill damaged a segment: %s", round, log.String())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if r.IntN(5) == 0 { // the next child begins with a salvage
			salvages++
			breakMeta(t, dir)
			// Opened here when the child was killed before it could.
			_ = killOne(t, r, dir)
			s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
			if err != nil {
				t.Fatal(err)
			}
			evicted += checkPromised(t, s, recent)
			if err := s.Check(context.Background()); err != nil {
				t.Fatalf("round %d, after a salvage: %v", round, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d kills in %v: %d durable traces promised, all there but %d evicted; %d kills around a salvage",
		rounds+salvages, time.Since(began).Round(time.Millisecond), promised, evicted, salvages)
}

// killOne starts a writer and kills it some time later. It returns the traces
// that the writer said are durable.
func killOne(t *testing.T, r *rand.Rand, dir string) (durable []promise) {
	c := child("write", dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	delay := time.Duration(r.IntN(60)) * time.Millisecond
	if r.IntN(4) == 0 {
		delay = time.Duration(r.IntN(400)) * time.Millisecond
	}
	timer := time.AfterFunc(delay+10*time.Millisecond, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch f := strings.Fields(lines.Text()); {
		case len(f) == 3 && f[0] == "durable" && len(f[2]) == 32:
			for _, hex := range f[1:] {
				id, err := trace.TraceIDFromHex(hex)
				if err != nil {
					t.Fatalf("the child said %q", lines.Text())
				}
				durable = append(durable, promise{id, time.Now()})
			}
		case len(f) > 0 && f[0] == "error":
			t.Errorf("the child: %s", lines.Text())
		}
	}
	_ = c.Wait() // killed, as it should be
	return durable
}

// promise is a trace that a child said is durable, and when.
type promise struct {
	id trace.TraceID
	at time.Time
}

// checkPromised looks for what was durable, and returns how much of it is
// evicted: by the log of evictions, or longer ago than that reaches.
func checkPromised(t *testing.T, s *Store, promised []promise) (evicted int) {
	t.Helper()
	for _, p := range promised {
		tr, err := s.Trace(context.Background(), p.id)
		switch e, gone := s.Evicted(p.id); {
		case err == nil && len(tr.Spans) == 5:
		case gone || p.at.Before(e.Since): // whole, or its older part
			evicted++
		default:
			t.Fatalf("trace %s was durable at %v: %v, %+v, evicted %+v", p.id, p.at, err, tr, e)
		}
	}
	return evicted
}

// breakMeta damages a meta page of some segment, of which all can be saved.
func breakMeta(t *testing.T, dir string) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(paths) == 0 {
		return
	}
	b, err := os.ReadFile(paths[len(paths)/2])
	if err != nil || len(b) < 2*pageSize {
		return
	}
	clear(b[:2*pageSize])
	if err := os.WriteFile(paths[len(paths)/2], b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// inLittleRoom is told how much room it has on standard input, and tells what
// becomes of spans.
func inLittleRoom(dir string) {
	s, err := Open(dir, &Options{MaxBytes: 16 << 20})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	g := spangen.New(1)
	in := bufio.NewScanner(os.Stdin)
	for fmt.Println("ready"); in.Scan(); {
		switch f := strings.Fields(in.Text()); f[0] {
		case "limit":
			if err := limitFiles(f[1]); err != nil {
				fmt.Println("error", err)
				return
			}
		case "write":
			fmt.Println(writeSome(s, g))
			continue
		case "close":
			fmt.Println(s.Close())
			return
		}
		fmt.Println("ok")
	}
}

// writeSome writes about a MiB, and reports what became of it.
func writeSome(s *Store, g *spangen.Gen) string {
	ctx := context.Background()
	var last []tracetest.SpanStub
	for range 8 {
		for range 600 {
			last = g.Request(time.Now(), 5)
			_ = s.ExportSpans(ctx, tracetest.SpanStubs(last).Snapshots())
		}
		_ = s.Flush(ctx)
	}
	err := s.Flush(ctx)
	st := s.Stats()
	readable := false
	if tr, err := s.Trace(ctx, last[0].SpanContext.TraceID()); err == nil && len(tr.Spans) == 5 {
		readable = true
	}
	return fmt.Sprintf("%v %v %v %v", err == nil, st.DroppedDisk > 0, readable, strings.ReplaceAll(fmt.Sprint(err), "\n", " "))
}

// littleRoom drives a child in little room: it starts writing, runs out of room,
// and gets some back.
func littleRoom(t *testing.T, dir string, shrink, grow func(say func(string) string)) {
	c := child("small", dir)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill() }()
	lines := bufio.NewScanner(out)
	answer := func() string {
		if !lines.Scan() {
			t.Fatalf("the child ended: %s", stderr.String())
		}
		return lines.Text()
	}
	say := func(what string) string {
		fmt.Fprintln(in, what)
		return answer()
	}
	if got := answer(); got != "ready" {
		t.Fatal(got)
	}
	if got := say("write"); !strings.HasPrefix(got, "true false true") {
		t.Fatalf("with room: got %q; want all durable, none dropped, readable", got)
	}
	shrink(say)
	full := ""
	for range 20 { // until it is full
		if full = say("write"); strings.HasPrefix(full, "false true") {
			break
		}
	}
	if !strings.HasPrefix(full, "false true") {
		t.Fatalf("without room: got %q; want spans dropped and Flush to fail", full)
	}
	t.Logf("full: %s", full)
	grow(say)
	for range 10 {
		if got := say("write"); strings.HasPrefix(got, "true true true") {
			if got := say("close"); got != "<nil>" {
				t.Errorf("close: %s", got)
			}
			s, err := Open(dir, &Options{MaxBytes: 16 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Check(context.Background()); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("writing does not resume when there is room again")
}
