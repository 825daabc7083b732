package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

func TestLs(t *testing.T) {
	dir := leftBehind(t, 60, false)
	lines := strings.Split(strings.TrimSpace(must(t, "ls", dir)), "\n")
	if len(lines) != 51 || !strings.HasPrefix(lines[0], "START (UTC)") || !strings.Contains(lines[1], traceID(60).String()) || !strings.Contains(lines[1], "orders") {
		t.Errorf("got %d lines, %q; want the newest 50", len(lines), lines[:2])
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"status=error"}, 6}, {[]string{"-n", "0"}, 60}, {[]string{"-n=3"}, 3},
		{[]string{"status=error", "-n", "2"}, 2}, {[]string{"service=orders", "status=error"}, 6},
	} {
		out := must(t, append([]string{"ls", "-json", dir}, tt.args...)...)
		d := json.NewDecoder(strings.NewReader(out))
		n := 0
		for ; d.More(); n++ {
			var l lineJSON
			if err := d.Decode(&l); err != nil || l.RootName != "GET /order" || l.Spans != 2 || l.WallNS < 20e6 {
				t.Fatalf("got %+v, %v", l, err)
			}
		}
		if n != tt.want {
			t.Errorf("%q: got %d lines; want %d", tt.args, n, tt.want)
		}
	}
	if code, out, err := spanclock("ls", dir, "service=nobody"); code != 0 || out != "" || !strings.Contains(err, "no trace in") {
		t.Errorf("got %d %q %q; want a word that there is none", code, out, err)
	}
}

// TestTerminalIsSafe: what spans carry does not reach the terminal.
func TestTerminalIsSafe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.json")
	const evil = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"\u001b[2Jowned"}}]},"scopeSpans":[{"spans":[
		{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"a\u001b]0;x\u0007\nb\u202e"}]}]}],
		"spanclock":{"version":1,"traces":[{"traceId":"00000000000000000000000000000001","problems":["\u001b[31m"]}]}}`
	if err := os.WriteFile(file, []byte(evil), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ls", file}, {"diff", file, file}, {"check", file}} {
		code, out, err := spanclock(args...)
		if code != exitDamaged || strings.ContainsAny(out+err, "\x1b\x07\u202e") {
			t.Errorf("%q: got %d %q %q", args, code, out, err)
		}
	}
}

func TestExport(t *testing.T) {
	dir := leftBehind(t, 25, false)
	before := hash(t, dir)
	traces, err := otlp.Read(strings.NewReader(must(t, "export", dir)), nil)
	if err != nil || len(traces) != 25 || traces[0].ID != traceID(1) || len(traces[0].Usage) != 1 {
		t.Fatalf("got %d traces, %v; want 25, oldest first", len(traces), err)
	}
	out := t.TempDir()
	in := func(name string) string { return filepath.Join(out, name) }
	must(t, "export", dir, "-format", "pprof", "-o", in("p.pb.gz"), "-query", "status=error")
	b, _ := os.ReadFile(in("p.pb.gz"))
	if p, err := profile.ParseData(b); err != nil || p.Sample[0].Label["route"][0] != "GET /order" {
		t.Errorf("got %v, %v", p, err)
	}
	must(t, "export", "-format=perfetto", dir, "-n", "3", "-o", in("p.json"))
	if b, _ := os.ReadFile(in("p.json")); !json.Valid(b) || bytes.Count(b, []byte(`"name":"SELECT"`)) != 3 {
		t.Errorf("got %s", b)
	}
	must(t, "export", dir, traceID(7).String(), strings.ToUpper(traceID(8).String()), "-format", "html", "-o", out)
	for _, n := range []int{7, 8} {
		if b, err := os.ReadFile(in("trace-" + traceID(n).String() + ".html")); err != nil || !bytes.Contains(b, []byte("<!doctype html>")) {
			t.Errorf("got %.100s, %v", b, err)
		}
	}
	if page := must(t, "export", dir, traceID(7).String(), "-format", "html"); !strings.Contains(page, "data-trace=\""+traceID(7).String()) {
		t.Errorf("got %.100s", page)
	}
	must(t, "export", dir, "-format", "jaeger", "-o", in("j.json"))
	if got := must(t, "ls", in("j.json"), "-n", "0"); strings.Count(got, "\n") != 26 {
		t.Errorf("got %s; want what was exported for Jaeger", got)
	}
	if after := hash(t, dir); after != before {
		t.Error("the store was changed")
	}
	if files, _ := filepath.Glob(filepath.Join(out, ".*")); len(files) > 0 {
		t.Errorf("%q were left", files)
	}
}

// TestFileIsAsItsStore: what is exported and read again lists the same.
func TestFileIsAsItsStore(t *testing.T) {
	dir := leftBehind(t, 60, false)
	all := must(t, "export", dir)
	want := must(t, "ls", dir, "-n", "0", "-json")
	code, got, err := spanclockWith(all, "ls", "-", "-n", "0", "-json")
	if code != 0 || err != "" || got != want {
		t.Errorf("got %d, %s\n%s\nwant\n%s", code, err, got, want)
	}
}

// TestBadInput: one line, the right exit code, and nothing changes on disk.
func TestBadInput(t *testing.T) {
	top, stores := t.TempDir(), t.TempDir()
	dir := leftBehind(t, 2000, false)
	write := func(name, text string) string {
		path := filepath.Join(top, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mkdir := func(name string) string {
		path := filepath.Join(stores, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer, damaged, ruined, empty := mkdir("newer"), mkdir("damaged"), mkdir("ruined"), mkdir("empty")
	for i, name := range segments(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		to := func(dir string, b []byte) {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		to(newer, bytes.Replace(b, []byte("format\x01\xfe"), []byte("format\x02\xfd"), -1)) // pages that are free have it too
		to(ruined, b[:len(b)/3])
		if i == 0 {
			b = b[:len(b)/3]
		}
		to(damaged, b)
	}
	before := hash(t, stores) + hash(t, dir)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "no command: there are view, ls"},
		{[]string{"lst"}, exitUsage, `no command "lst"`},
		{[]string{"ls"}, exitUsage, "name a directory"},
		{[]string{"ls", dir, "-x"}, exitUsage, "-x"},
		{[]string{"ls", dir, "-n", "-1"}, exitUsage, "-n of 0 or more"},
		{[]string{"ls", dir, "duration>"}, exitUsage, "query, column 10"},
		{[]string{"ls", dir, "service=a bogus>"}, exitUsage, "query, column"},
		{[]string{"ls", filepath.Join(top, "none")}, exitNothing, "there is no such directory or file"},
		{[]string{"ls", empty}, exitNothing, "this is no store"},
		{[]string{"ls", newer}, exitNothing, "this build reads format 1"},
		{[]string{"check", newer}, exitNothing, "this build reads format 1"},
		{[]string{"view", newer}, exitNothing, "this build reads format 1"},
		{[]string{"export", newer}, exitNothing, "this build reads format 1"},
		{[]string{"diff", dir, newer}, exitNothing, "this build reads format 1"},
		{[]string{"ls", damaged, "-n", "1"}, exitDamaged, "cannot be read and is left out"},
		{[]string{"check", damaged}, exitDamaged, "cannot be read and is left out"},
		{[]string{"export", damaged, "-n", "1"}, exitDamaged, "cannot be read and is left out"},
		{[]string{"ls", ruined}, exitDamaged, "nothing in it can be read: segment "},
		{[]string{"check", ruined}, exitDamaged, "cannot be read and is left out"},
		{[]string{"diff", dir, ruined}, exitDamaged, "nothing in it can be read"},
		{[]string{"help", "bogus"}, exitUsage, `no command "bogus": there are view, ls`},
		{[]string{"check", "a", "b"}, exitUsage, "name one directory"},
		{[]string{"view"}, exitUsage, "name one directory"},
		{[]string{"view", dir, "-addr", "nonsense"}, exitUsage, "view: listen"},
		{[]string{"export", dir, "xyz"}, exitUsage, `"xyz" is no trace id`},
		{[]string{"export", dir, strings.Repeat("0", 32)}, exitUsage, "is no trace id"},
		{[]string{"export", dir, strings.Repeat("f", 32)}, exitNothing, "is not in it"},
		{[]string{"export", dir, strings.Repeat("f", 32), "-o", filepath.Join(top, "out")}, exitNothing, "is not in it"},
		{[]string{"export", dir, "-query", "service=nobody"}, exitNothing, "no trace meets the query"},
		{[]string{"export", dir, "-query", "x=y", strings.Repeat("f", 32)}, exitUsage, "not both"},
		{[]string{"export", dir, "-query", `"`}, exitUsage, "query, column 1"},
		{[]string{"export", dir, "-format", "xml"}, exitUsage, "there are otlp, jaeger"},
		{[]string{"export", dir, "-format", "html"}, exitUsage, "name a directory with -o"},
		{[]string{"export", dir, "-o", filepath.Join(top, "no", "such")}, exitDamaged, "no such file"},
		{[]string{"diff", dir}, exitUsage, "name two"},
		{[]string{"diff", dir, dir, "-alpha", "2"}, exitUsage, "-alpha between"},
		{[]string{"diff", dir, dir + "@9"}, exitUsage, `has no run or build "9": it has @1`},
		{[]string{"diff", dir, dir, "-query", "service=nobody"}, exitNothing, "no trace meets the query"},
		{[]string{"ls", write("text", "hello")}, exitNothing, "neither OTLP JSON"},
		{[]string{"ls", write("empty.json", "")}, exitNothing, "neither OTLP JSON"},
		{[]string{"ls", write("other.json", `{"a":{"b":1}}`)}, exitNothing, "neither OTLP JSON"},
		{[]string{"view", write("short.json", `{"resourceSpans":[`)}, exitNothing, "ends too soon"},
		{[]string{"view", write("none.json", `{"resourceSpans":[]}`)}, exitNothing, "there is no span in it"},
		{[]string{"check", write("jaeger.json", `{"data":[{"traceID":"z"}]}`)}, exitNothing, "is not up to 32 hex digits"},
	} {
		code, _, err := spanclock(tt.args...)
		if code != tt.code || !strings.Contains(err, tt.want) || strings.Count(err, "\n") != 1 {
			t.Errorf("%q: got exit code %d, %q; want %d, one line with %q", tt.args, code, err, tt.code, tt.want)
		}
	}
	if after := hash(t, stores) + hash(t, dir); after != before {
		t.Error("something on disk was changed")
	}
	if left, _ := filepath.Glob(filepath.Join(top, "*out*")); len(left) > 0 {
		t.Errorf("%q were left", left)
	}
}

// TestInterruptedRead: nobody writes what is read, and an interrupt ends that.
func TestInterruptedRead(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var told bytes.Buffer
	a := &app{in: r, out: io.Discard, err: &told}
	code := make(chan int)
	go func() { code <- a.run(ctx, []string{"ls", "-"}) }()
	cancel()
	select {
	case got := <-code:
		if got != exitDamaged || told.String() != "spanclock: interrupted\n" {
			t.Errorf("got %d, %q; want that it was interrupted", got, told.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("the command does not end")
	}
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) < 2 {
		t.Fatalf("got segments %q, %v; want two or more", names, err)
	}
	return names
}

// TestCheckFindsDamage: bytes that were changed within blocks are found, and told by the
// number of the invariant or of what could not be read.
func TestCheckFindsDamage(t *testing.T) {
	dir := leftBehind(t, 2000, false)
	name := segments(t, dir)[0]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(b) / 4; at < len(b)/2; at += 4096 {
		b[at] ^= 0xff
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	before := hash(t, dir)
	code, out, told := spanclock("check", dir)
	if code != exitDamaged || told == "" || strings.Contains(out, "all is well") {
		t.Errorf("got %d %s %s; want what is damaged", code, out, told)
	}
	if hash(t, dir) != before {
		t.Error("the store was changed")
	}
}

func TestHelp(t *testing.T) {
	if out := must(t, "-h"); !strings.Contains(out, "spanclock view DIR|FILE") || !strings.Contains(out, "Exit codes: 0 done") {
		t.Errorf("got %s", out)
	}
	for _, c := range commands {
		for _, args := range [][]string{{c.name, "-h"}, {"help", c.name}} {
			if out := must(t, args...); !strings.Contains(out, "\n  spanclock "+c.name+" ") {
				t.Errorf("%q: got %s; want examples", args, out)
			}
		}
	}
}

// TestView serves a store and a file, and ends when it is told to.
func TestView(t *testing.T) {
	dir := leftBehind(t, 5, false)
	file := filepath.Join(t.TempDir(), "one.json")
	must(t, "export", dir, traceID(3).String(), "-o", file)
	for path, want := range map[string]string{dir: mount, file: mount + "trace/" + traceID(3).String()} {
		ctx, stop := context.WithCancel(context.Background())
		r, w := io.Pipe()
		code := make(chan int, 1)
		go func() { code <- (&app{out: w, err: io.Discard}).run(ctx, []string{"view", path}) }()
		b := make([]byte, 200)
		n, err := r.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		url := strings.TrimSpace(string(b[:n]))
		if !strings.HasPrefix(url, "http://localhost:") || !strings.HasSuffix(url, want) {
			t.Errorf("got %q; want %s at its end", url, want)
		}
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(string(body), "GET /order") {
			t.Errorf("got %s: %s", res.Status, body)
		}
		http.DefaultClient.CloseIdleConnections()
		stop()
		if got := <-code; got != exitDone {
			t.Errorf("got exit code %d", got)
		}
	}
}

// TestLiveAndKilled reads beside a process that writes, and after it was killed.
func TestLiveAndKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "traces")
	c := startWriter(t, dir, "begun")
	if code, _, err := spanclock("ls", dir); code != exitDone && !(code == exitNothing && strings.Contains(err, "has sealed nothing yet")) {
		t.Errorf("got %d, %q; want a word that nothing is sealed, or what is", code, err)
	}
	_ = c.Process.Kill()
	_ = c.Wait()

	dir = filepath.Join(t.TempDir(), "traces")
	c = startWriter(t, dir, "sealed")
	live := strings.Count(must(t, "ls", dir, "-n", "0"), "\n")
	must(t, "check", dir)
	_ = c.Process.Kill()
	_ = c.Wait()
	before := hash(t, dir)
	killed := strings.Count(must(t, "ls", dir, "-n", "0"), "\n")
	if live < 2 || killed <= live {
		t.Errorf("got %d lines of the live store, %d when it was killed; want more then", live, killed)
	}
	if out := must(t, "check", dir); !strings.Contains(out, "all is well") || !strings.Contains(out, "run ") {
		t.Errorf("got %s", out)
	}
	if hash(t, dir) != before {
		t.Error("the store was changed")
	}
	s, err := spanstore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestProgress: on a terminal long work shows how far it has come, and takes that away.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := (&app{err: &b, terminal: true}).progress("reading:")
	p.at(1, 9)
	if b.Len() > 0 {
		t.Errorf("got %q at once", b.String())
	}
	p.shown = time.Now().Add(-time.Second)
	p.at(2, 9)
	p.done()
	if got := b.String(); got != "\rreading: 2 of 9\x1b[K\r\x1b[K" {
		t.Errorf("got %q", got)
	}
	b.Reset()
	p = (&app{err: &b}).progress("reading:")
	p.shown = time.Time{}
	p.at(2, 9)
	p.done()
	if b.Len() > 0 {
		t.Errorf("got %q in a pipe", b.String())
	}
}
