package measure

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Report writes what a command finds out to standard output as it comes, and when
// it is whole to the file, unless its name is empty.
func Report(file string, write func(io.Writer) error) error {
	var report bytes.Buffer
	if err := write(io.MultiWriter(os.Stdout, &report)); err != nil {
		return err
	}
	if file == "" {
		return nil
	}
	return os.WriteFile(file, report.Bytes(), 0o644)
}

// Header begins a report: what it tells, when, by which command and on which
// machine.
func Header(w io.Writer, what, command string) {
	fmt.Fprintf(w, "%s\ndate     %s\n", what, time.Now().UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(w, "command  go run ./%s%s\n", command, flagsGiven())
	fmt.Fprintf(w, "machine  %d CPUs, %s/%s, %s%s, load %s\n\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, kernel(), runtime.Version(), load())
}

// flagsGiven returns the flags that decide what is measured.
func flagsGiven() (flags string) {
	flag.Visit(func(f *flag.Flag) {
		if f.Name != "out" {
			flags += fmt.Sprintf(" -%s %v", f.Name, f.Value)
		}
	})
	return flags
}

// load is what else the machine does: the load average of the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}
