package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const sumsFile = "SHA256SUMS"

// vendored names the packages in the directory vendor.
func vendored(vendor string) ([]string, error) {
	entries, err := os.ReadDir(vendor)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// verifyVendor checks that every vendored file is the one that its package's
// SHA256SUMS names, and that there is no other: a change to third-party code is
// then always a change of two files, which a reviewer sees.
func verifyVendor(vendor string) error {
	packages, err := vendored(vendor)
	if err != nil {
		return err
	}
	for _, name := range packages {
		if err := verifyPackage(filepath.Join(vendor, name)); err != nil {
			return fmt.Errorf("vendored %s: %w", name, err)
		}
	}
	return nil
}

func verifyPackage(dir string) error {
	want, err := readSums(filepath.Join(dir, sumsFile))
	if err != nil {
		return err
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == sumsFile {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != want[name] {
			return fmt.Errorf("%s has SHA-256 %s; want %q", name, got, want[name])
		}
		delete(want, name)
		return nil
	})
	if err != nil {
		return err
	}
	for name := range want {
		return fmt.Errorf("%s is missing", name)
	}
	return nil
}

// readSums reads the output of sha256sum: a sum, two spaces, a name.
func readSums(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(data)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			return nil, fmt.Errorf("%s: cannot read the line %q", path, line)
		}
		sums[name] = sum
	}
	return sums, nil
}
