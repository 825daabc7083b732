// Command build makes the front end of /debug/traces: it bundles
// httpui/web/src with the code in httpui/web/vendor into httpui/web/dist,
// which is committed and embedded by package httpui. It needs neither Node nor
// a network.
//
//	go run ./httpui/web/build          write dist
//	go run ./httpui/web/build -check   exit 1 and name the files in which dist differs
//
// The same sources give the same bytes on every machine.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	check := flag.Bool("check", false, "write nothing; exit 1 when dist is not what the sources make")
	web := flag.String("web", "", "the directory that holds src, vendor and dist (default: found from the working directory)")
	flag.Parse()

	if err := run(*web, *check); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(web string, check bool) error {
	if web == "" {
		found, err := findWeb()
		if err != nil {
			return err
		}
		web = found
	}
	files, err := bundle(web)
	if err != nil {
		return err
	}
	dist := filepath.Join(web, "dist")
	if check {
		return compare(dist, files)
	}
	return write(dist, files)
}

// findWeb looks for httpui/web in the working directory and above it, so that
// the command works from the repository's root as well as from its own module.
func findWeb() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		web := filepath.Join(dir, "httpui", "web")
		if _, err := os.Stat(filepath.Join(web, "src")); err == nil {
			return web, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no httpui/web here or above: run it inside the repository or set -web")
		}
		dir = up
	}
}

func write(dist string, files map[string][]byte) error {
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	for _, name := range strangers(dist, files) {
		if err := os.Remove(filepath.Join(dist, name)); err != nil {
			return err
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dist, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare reports every file of dist that differs from files, is missing, or
// does not belong there.
func compare(dist string, files map[string][]byte) error {
	var differs []string
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !bytes.Equal(got, want) {
			differs = append(differs, name)
		}
	}
	differs = append(differs, strangers(dist, files)...)
	if len(differs) == 0 {
		return nil
	}
	slices.Sort(differs)
	for i, name := range differs {
		differs[i] = filepath.Join(dist, name)
	}
	return fmt.Errorf("these files are not what the sources make: %q; run go run ./httpui/web/build and commit them", differs)
}

// strangers names the entries of dist that are none of files.
func strangers(dist string, files map[string][]byte) []string {
	entries, _ := os.ReadDir(dist) // a missing dist has no strangers
	var names []string
	for _, e := range entries {
		if _, ok := files[e.Name()]; !ok {
			names = append(names, e.Name())
		}
	}
	return names
}
