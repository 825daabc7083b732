package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fetch makes a request that is not part of any trace.
func fetch(t *testing.T, method, url, body string, header map[string]string) (code int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestRun runs the command whole: it prints its URL, makes its own traffic,
// shows it, and leaves nothing behind.
func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-addr", "127.0.0.1:0"}, w, w)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	lines.Scan()
	page := strings.TrimPrefix(lines.Text(), "traces   ")
	u, err := url.Parse(page)
	if err != nil || u.Path != "/debug/traces/" || u.Port() == "0" {
		t.Fatalf("got first line %q; want the URL", lines.Text())
	}
	go io.Copy(io.Discard, r)

	roots, services := seen(t, page)
	for _, want := range []string{"GET /api/product", "GET /api/order/{id}", "POST /api/auth/login"} {
		if !roots[want] {
			t.Errorf("got roots %v; want %s among them", roots, want)
		}
	}
	if len(roots) != 3 {
		t.Errorf("got roots %v; want the three routes only", roots)
	}
	for _, want := range []string{"gateway", "users", "orders", "payment"} {
		if !services[want] {
			t.Errorf("got services %v; want %s among them", services, want)
		}
	}
	profile := strings.Replace(page, "traces/", "pprof/profile?seconds=1", 1)
	if code, body := fetch(t, "GET", profile, "", nil); code != http.StatusOK || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("%s: got %d %.60q; want a gzipped profile", profile, code, body)
	}

	cancel()
	if err := <-done; err != nil {
		t.Error("run:", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	l, err := net.Listen("tcp", u.Host)
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	l.Close()
}

// seen polls the list until it has had traces of three routes over four
// services, or patience is over. It returns the names of all roots, and all
// services.
func seen(t *testing.T, page string) (roots, services map[string]bool) {
	t.Helper()
	asJSON := map[string]string{"Accept": "application/json"}
	roots, services = map[string]bool{}, map[string]bool{}
	known := map[string]bool{} // traces whose root has ended
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var list struct {
			Traces []struct {
				TraceID string `json:"trace_id"`
			}
		}
		getJSON(t, page, asJSON, &list)
		for _, l := range list.Traces {
			if known[l.TraceID] {
				continue
			}
			var tr struct {
				Spans []struct {
					ParentID string `json:"parent_id"`
					Name     string
					Service  string
				}
			}
			getJSON(t, page+"trace/"+l.TraceID, asJSON, &tr)
			for _, s := range tr.Spans {
				services[s.Service] = true
				if s.ParentID == "" {
					roots[s.Name] = true
					known[l.TraceID] = true
				}
			}
		}
		if len(roots) >= 3 && len(services) >= 4 {
			break
		}
	}
	return roots, services
}

func getJSON(t *testing.T, url string, header map[string]string, v any) {
	t.Helper()
	code, body := fetch(t, "GET", url, "", header)
	if code != http.StatusOK {
		t.Fatalf("%s: got %d %.200q", url, code, body)
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		t.Fatalf("%s: %v in %.200q", url, err, body)
	}
}

// TestRunFor ends by itself, and keeps the store that was asked for.
func TestRunFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	var out strings.Builder
	err := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-for", "1500ms", "-rps", "10", "-dir", dir}, &out, &out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), " requests, 0 failed") {
		t.Errorf("got output\n%s\nwant its requests counted, and none to have failed", &out)
	}
	if left, _ := os.ReadDir(dir); len(left) == 0 {
		t.Errorf("nothing left in %s; want the store", dir)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-postgres a -mysql b", "choose one database"},
		{"-rps -1", "-rps -1"},
		{"-rps NaN", "-rps NaN"},
		{"-for -1s", "-for -1s is negative"},
		{"extra", `unexpected argument "extra"`},
		{"-nonsense", "-nonsense"},
	} {
		var out strings.Builder
		if err := run(t.Context(), strings.Fields(c.args), io.Discard, &out); !errors.Is(err, errUsage) {
			t.Errorf("%s: got error %v; want %v", c.args, err, errUsage)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: got %q; want %q in it", c.args, &out, c.want)
		}
	}

	var out strings.Builder
	if err := run(t.Context(), []string{"-h"}, io.Discard, &out); err != nil || !strings.Contains(out.String(), "-postgres DSN") {
		t.Errorf("-h: got %v, %q; want the flags and no error", err, &out)
	}
}

// TestCannotOpen asks for what cannot be had. The error names the flag, and
// nothing is left behind.
func TestCannotOpen(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no store"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := closedAddr(t)

	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"address taken", []string{"-addr", taken.Addr().String()}, "choose another address with -addr"},
		{"no address", []string{"-addr", "nonsense"}, "-addr"},
		{"no directory", []string{"-dir", file}, file},
		{"no Redis", []string{"-redis", closed}, "(-redis)"},
		{"no PostgreSQL", []string{"-postgres", "postgres://u:secret@" + closed + "/d"}, "(-postgres)"},
		{"no MySQL", []string{"-mysql", "u:secret@tcp(" + closed + ")/d"}, "(-mysql)"},
		{"MySQL's DSN", []string{"-mysql", "nonsense"}, "-mysql"},
	} {
		args := append([]string{"-for", "1ms", "-rps", "0"}, c.args...)
		if !slices.Contains(args, "-addr") {
			args = append(args, "-addr", "127.0.0.1:0")
		}
		err := run(t.Context(), args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v; want %q in it", c.name, err, c.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %v; want no password in it", c.name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// closedAddr returns a loopback address where nobody listens.
func closedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestReachable(t *testing.T) {
	for _, c := range []struct{ addr, ip, want string }{
		{"localhost:0", "127.0.0.1", "localhost:81"},
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1:81"},
		{"[::1]:0", "::1", "[::1]:81"},
		{":0", "::", "localhost:81"},
		{"0.0.0.0:0", "0.0.0.0", "localhost:81"},
	} {
		if got := reachable(&net.TCPAddr{IP: net.ParseIP(c.ip), Port: 81}, c.addr); got != c.want {
			t.Errorf("%s: got %s; want %s", c.addr, got, c.want)
		}
	}
}

// TestWaves counts what traffic of a fractional rate sends.
func TestWaves(t *testing.T) {
	due := 0.0
	sent := 0
	for range 100 {
		var n int
		n, due = wholeRequests(due, 2.3)
		sent += n
	}
	if math.Abs(float64(sent)-230) > 1 {
		t.Errorf("got %d requests in 100 waves of 2.3; want 230", sent)
	}
}
