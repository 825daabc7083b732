package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// engines are the oldest browsers the bundle is made for: the first ones with
// the CSS function light-dark(), on which both colour schemes rest.
var engines = []api.Engine{
	{Name: api.EngineChrome, Version: "123"},
	{Name: api.EngineFirefox, Version: "120"},
	{Name: api.EngineSafari, Version: "17.5"},
}

// bundle makes the files of dist from the sources in web: name to content.
func bundle(web string) (map[string][]byte, error) {
	web, err := filepath.Abs(web)
	if err != nil {
		return nil, err
	}
	vendor := filepath.Join(web, "vendor")
	if err := verifyVendor(vendor); err != nil {
		return nil, err
	}

	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     web,
		EntryPoints:       []string{"src/app.tsx", "src/app.css"},
		Outdir:            "dist",
		NodePaths:         []string{vendor},
		Bundle:            true,
		Format:            api.FormatIIFE,
		Platform:          api.PlatformBrowser,
		Engines:           engines,
		JSX:               api.JSXAutomatic,
		JSXImportSource:   "preact",
		TsconfigRaw:       "{}",
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		LegalComments:     api.LegalCommentsEndOfFile,
		Banner:            map[string]string{"js": "/*! Third-party code and its licences: LICENSES.txt */"},
		Charset:           api.CharsetUTF8,
		LogLevel:          api.LogLevelSilent,
	})
	if err := failure(result); err != nil {
		return nil, err
	}

	files := map[string][]byte{}
	for _, f := range result.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	if files["index.html"], err = os.ReadFile(filepath.Join(web, "src", "index.html")); err != nil {
		return nil, err
	}
	if files["LICENSES.txt"], err = licences(vendor); err != nil {
		return nil, err
	}
	return files, nil
}

// failure joins esbuild's errors and warnings; the front end is built without
// either.
func failure(result api.BuildResult) error {
	var all []string
	for _, kind := range []struct {
		kind     api.MessageKind
		messages []api.Message
	}{{api.ErrorMessage, result.Errors}, {api.WarningMessage, result.Warnings}} {
		all = append(all, api.FormatMessages(kind.messages, api.FormatMessagesOptions{Kind: kind.kind})...)
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, "\n"))
}

// licences joins the licence texts of everything that the bundle contains.
func licences(vendor string) ([]byte, error) {
	packages, err := vendored(vendor)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("app.js contains the following third-party code.\n")
	for _, name := range packages {
		text, err := os.ReadFile(filepath.Join(vendor, name, "LICENSE"))
		if err != nil {
			return nil, fmt.Errorf("licence of %s: %w", name, err)
		}
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s", name, strings.Repeat("=", len(name)), text)
	}
	return []byte(b.String()), nil
}
