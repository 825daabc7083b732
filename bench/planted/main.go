// Planted shows that benchstat finds a slowdown in the span that has it, and in no
// other: it runs a benchmark of three spans twice, by turns, once with 20 % more in
// one of them, and lets benchstat compare.
//
//	go run ./bench/planted -out bench/results/benchstat.txt
//
// It fails when a span without the slowdown has a significant difference, or the
// one with it has none.
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
			got, err := run(env, binary, "-test.run=^$", "-test.bench=Stages", "-test.benchtime=40x")
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
	header := fmt.Sprintf("benchstat over %d runs of BenchmarkStages and as many with 20 %% more in the span \"query\", by turns.\ndate     %s\ncommand  go run ./bench/planted\nmachine  %d CPUs, %s/%s, %s; others use it\n\n",
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

// metric is the head of a table, with the metric's unit, and line that of the
// benchmark in it: significant where there is a change in percent.
var (
	metric      = regexp.MustCompile(`│\s+((?:wall|self|cpu|stall|spans)-?[a-z]*(?:/op)?:(\w+))\s`)
	line        = regexp.MustCompile(`^Stages`)
	significant = regexp.MustCompile(`[+-][0-9.]+% \(p=`)
)

// judge fails unless the wall time of the planted span, and metrics of no other
// span, differ significantly.
func judge(report string) error {
	unit, span, found := "", "", false
	for text := range strings.Lines(report) {
		if m := metric.FindStringSubmatch(text); m != nil {
			unit, span = m[1], m[2]
		} else if strings.Contains(text, "│ sec/op") || strings.Contains(text, " sec/op ") {
			unit, span = "", ""
		}
		if unit == "" || !line.MatchString(text) || !significant.MatchString(text) {
			continue
		}
		if span != "query" {
			return fmt.Errorf("%s differs significantly; want query alone to", unit)
		}
		found = found || strings.HasPrefix(unit, "wall-")
	}
	if !found {
		return fmt.Errorf("the wall time of query does not differ significantly")
	}
	return nil
}
