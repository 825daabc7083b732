// Planted shows that benchstat finds a slowdown in the span that has it, and in no
// other: it runs two benchmarks of three spans twice, by turns, once with 20 % more in
// one of them, and lets benchstat compare. The spans of one wait, those of the other
// compute.
//
//	go run ./bench/planted -out bench/results/benchstat.txt
//
// It fails when a span without the slowdown has a significant difference, or the
// one with it has none: of wall time where it waits, of CPU time where it computes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// benchstat is fetched by the go command.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

func main() {
	log.SetFlags(0)
	log.SetPrefix("planted: ")
	pairs := flag.Int("pairs", 12, "runs of each")
	out := flag.String("out", "", "write the table to this file too")
	flag.Parse()
	report, err := compare(*pairs)
	os.Stdout.WriteString(report)
	if err == nil {
		err = judge(report)
	}
	if err == nil && *out != "" {
		err = os.WriteFile(*out, []byte(report), 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// compare runs the benchmark by turns and returns what benchstat says.
func compare(pairs int) (string, error) {
	dir, err := os.MkdirTemp("", "spanclock-planted-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "planted.test")
	if _, err := run(nil, "go", "test", "-c", "-o", binary, "github.com/spanclock/spanclock/bench/planted"); err != nil {
		return "", err
	}
	files := map[string]*bytes.Buffer{"before": {}, "planted": {}}
	for range pairs {
		for name, to := range files {
			var env []string
			if name == "planted" {
				env = []string{"SPANCLOCK_PLANTED=1"}
			}
			got, err := run(env, binary, "-test.run=^$", "-test.bench=Stages|Computing", "-test.benchtime=40x")
			if err != nil {
				return "", err
			}
			to.WriteString(got)
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data.Bytes(), 0o600); err != nil {
			return "", err
		}
	}
	table, err := run(nil, "go", "run", benchstat, "-alpha", fmt.Sprint(alpha), "before="+filepath.Join(dir, "before"), "planted="+filepath.Join(dir, "planted"))
	header := fmt.Sprintf("benchstat over %d runs of each benchmark and as many with 20 %% more in the span \"query\", by turns.\nThe spans of Stages wait, those of Computing compute.\ndate     %s\ncommand  go run ./bench/planted\nmachine  %d CPUs, %s/%s, %s; others use it\n\n",
		pairs, time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return header + table, err
}

// alpha is below benchstat's 0.05, as there are a dozen metrics: by chance alone one
// in twenty of them would be significant.
const alpha = 0.002

func run(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", filepath.Base(name), err, got, stderr.String())
	}
	return string(got), nil
}

// metric is the head of a table, with the metric's unit, and line that of a
// benchmark in it: significant where there is a change in percent.
var (
	metric      = regexp.MustCompile(`│\s+((?:wall|self|cpu|stall|spans)-?[a-z]*(?:/op)?:(\w+))\s`)
	line        = regexp.MustCompile(`^(Stages|Computing)`)
	significant = regexp.MustCompile(`[+-][0-9.]+% \(p=`)
)

// judge fails unless the planted span differs significantly, in wall time where it
// waits and in CPU time where it computes, and no other span does in anything.
func judge(report string) error {
	missing := map[string]string{"Stages": "wall-", "Computing": "cpu-"}
	unit, span := "", ""
	for text := range strings.Lines(report) {
		if m := metric.FindStringSubmatch(text); m != nil {
			unit, span = m[1], m[2]
		} else if strings.Contains(text, "│ sec/op") || strings.Contains(text, " sec/op ") {
			unit, span = "", ""
		}
		of := line.FindString(text)
		if unit == "" || of == "" || !significant.MatchString(text) {
			continue
		}
		if span != "query" {
			return fmt.Errorf("%s: %s differs significantly; want query alone to", of, unit)
		}
		if want := missing[of]; want != "" && strings.HasPrefix(unit, want) {
			delete(missing, of)
		}
	}
	for of, want := range missing {
		return fmt.Errorf("%s: the %s time of query does not differ significantly", of, strings.TrimSuffix(want, "-"))
	}
	return nil
}
