package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/bench/internal/workload"
	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/spanstore"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("page: ")
	spans := flag.Int("spans", 1_000_000, "spans in the store")
	rounds := flag.Int("rounds", 200, "questions of a row")
	serve := flag.String("serve", "", "serve the page at this address instead")
	out := flag.String("out", "", "write the table to this file too")
	flag.Parse()
	var report bytes.Buffer
	if err := run(io.MultiWriter(os.Stdout, &report), *spans, *rounds, *serve); err != nil {
		log.Fatal(err)
	}
	if *out != "" {
		if err := os.WriteFile(*out, report.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

func run(w io.Writer, spans, rounds int, serve string) error {
	dir, err := os.MkdirTemp("", "spanclock-page-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := spanstore.Open(dir, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	from, err := fill(store, spans)
	if err != nil {
		return err
	}
	handler := httpui.Handler(store, nil)
	if serve != "" {
		log.Printf("http://%s/debug/traces/", serve)
		return http.ListenAndServe(serve, http.StripPrefix("/debug/traces", handler))
	}
	fmt.Fprintf(w, "What the page's views cost the server, %d spans in the store.\ndate     %s\n", store.Stats().Spans, time.Now().UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(w, "command  go run ./bench/page -spans %d -rounds %d\nmachine  %d CPUs, %s/%s, %s\n\n", spans, rounds, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	fmt.Fprintf(w, "%-34s  %9s  %9s  %9s  %9s  %9s\n", "view", "p50", "p99", "cpu p50", "cpu p99", "bytes")
	for _, q := range questions(from) {
		n := rounds
		if q.heavy {
			n = max(1, rounds/10)
		}
		if err := q.measure(w, handler, n); err != nil {
			return err
		}
	}
	return nil
}

// fill stores an hour of spans that ends now, and returns its beginning.
func fill(store *spanstore.Store, n int) (time.Time, error) {
	const chunk = 500
	step := time.Hour / time.Duration(max(1, n/chunk))
	from := time.Now().Add(-time.Hour)
	for i := range n / chunk {
		spans := workload.New(uint64(i+1), from.Add(time.Duration(i)*step)).Spans(chunk)
		if err := store.ExportSpans(context.Background(), spans); err != nil {
			return from, err
		}
	}
	return from, store.Flush(context.Background())
}

// question is a view with its parameters; Each gives those that differ from one
// time to the next.
type question struct {
	name, view string
	params     url.Values
	each       func(i int) url.Values
	heavy      bool // it reads the whole store
}

func questions(from time.Time) []question {
	until := func(i int) url.Values {
		return url.Values{"to": {from.Add(time.Hour - time.Duration(i)*time.Second).Format(time.RFC3339Nano)}}
	}
	whole := func(i int) url.Values {
		v := until(i)
		v.Set("from", from.Format(time.RFC3339Nano))
		return v
	}
	list := func(name string, params url.Values, heavy bool) question {
		return question{name: "list, " + name, params: params, each: until, heavy: heavy}
	}
	return []question{
		list("newest 100", nil, false),
		list("newest 1000, for the scatter", url.Values{"limit": {"1000"}}, false),
		list("with an error", url.Values{"errors": {"1"}}, false),
		list("one service and operation", url.Values{"service": {"shop"}, "name": {"GET /api/cart"}}, false),
		list("status code >= 500", url.Values{"q": {"http.response.status_code>=500"}}, false),
		list("duration > 20 ms", url.Values{"q": {"duration>20ms"}}, false),
		list("a regular expression", url.Values{"q": {`name~"^GET .*cart$"`}}, false),
		list("nothing matches", url.Values{"q": {"no.such.key=1"}}, true),
		list("longest of 5 minutes", url.Values{"order": {"longest"}, "from": {from.Add(55 * time.Minute).Format(time.RFC3339Nano)}}, false),
		list("longest of all", url.Values{"order": {"longest"}}, true),
		{name: "bars of 100 traces", view: "shares"},
		{name: "overview", view: "overview", each: whole, heavy: true},
		{name: "overview, again", view: "overview", params: url.Values{"last": {"all"}}},
		{name: "overview of 5 minutes", view: "overview", each: func(i int) url.Values {
			v := until(i)
			v.Set("from", from.Add(55*time.Minute).Format(time.RFC3339Nano))
			return v
		}},
		{name: "graph", view: "graph", each: whole, heavy: true},
		{name: "completions", view: "suggest"},
		{name: "health", view: "health"},
	}
}

func (q question) measure(w io.Writer, h http.Handler, rounds int) error {
	if q.view == "shares" {
		ids, err := newest(h)
		if err != nil {
			return err
		}
		q.params = url.Values{"trace": {strings.Join(ids, ",")}}
	}
	var took, cpu []time.Duration
	bytes := 0
	for i := range rounds {
		params := url.Values{"format": {"json"}}
		for _, more := range []url.Values{q.params, q.at(i)} {
			for name, v := range more {
				params[name] = v
			}
		}
		before, begun := measure.Spent(), time.Now()
		answer := ask(h, q.view+"?"+params.Encode())
		took = append(took, time.Since(begun))
		cpu = append(cpu, measure.Spent().Since(before).CPU)
		if answer.Code != http.StatusOK {
			return fmt.Errorf("%s: %d %s", q.name, answer.Code, answer.Body)
		}
		bytes = answer.Body.Len()
	}
	fmt.Fprintf(w, "%-34s  %9s  %9s  %9s  %9s  %9d\n", q.name, millis(measure.Quantile(took, 0.5)), millis(measure.Quantile(took, 0.99)),
		millis(measure.Quantile(cpu, 0.5)), millis(measure.Quantile(cpu, 0.99)), bytes)
	return nil
}

func (q question) at(i int) url.Values {
	if q.each == nil {
		return nil
	}
	return q.each(i)
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1e3) }

func ask(h http.Handler, ref string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost/debug/traces/"+ref, nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// newest returns the ids of the newest hundred traces.
func newest(h http.Handler) (ids []string, err error) {
	r := httptest.NewRequest(http.MethodGet, "http://localhost/debug/traces/?format=text", nil)
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for line := range strings.Lines(w.Body.String()) {
		if f := strings.Fields(line); len(f) > 0 && len(f[len(f)-1]) == 32 {
			ids = append(ids, f[len(f)-1])
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("no traces in %s", w.Body)
	}
	return ids, nil
}
