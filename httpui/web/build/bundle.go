package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

	files := map[string][]byte{}
	if err := compile(web, vendor, files); err != nil {
		return nil, err
	}
	if files["index.html"], err = os.ReadFile(filepath.Join(web, "src", "index.html")); err != nil {
		return nil, err
	}
	if files["LICENSES.txt"], err = licences(vendor); err != nil {
		return nil, err
	}
	return files, nil
}

// options are those of all scripts and style sheets.
func options(web, vendor string, format api.Format, entries ...string) api.BuildOptions {
	return api.BuildOptions{
		AbsWorkingDir:     web,
		EntryPoints:       entries,
		Outdir:            "dist",
		NodePaths:         []string{vendor},
		Bundle:            true,
		Format:            format,
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
	}
}

// compile adds the scripts and the style sheet to files:
//
//	app.js     the page, a module; it exports what the other views share with it
//	early.js   what must run before anything is painted, a script
//	<view>.js  a view that app.js imports when it is opened, a module
func compile(web, vendor string, files map[string][]byte) error {
	shared, err := sharedModules(filepath.Join(web, "src", "shared.ts"))
	if err != nil {
		return err
	}
	later := later{}
	page := options(web, vendor, api.FormatESModule, "src/app.tsx", "src/app.css")
	page.Plugins = []api.Plugin{later.plugin()}
	if err := build(page, files); err != nil {
		return err
	}
	if err := build(options(web, vendor, api.FormatIIFE, "src/early.ts"), files); err != nil {
		return err
	}
	for _, view := range slices.Sorted(maps.Keys(later)) {
		o := options(web, vendor, api.FormatESModule, "src/"+view+".tsx")
		o.Plugins = []api.Plugin{fromPage(shared)}
		if err := build(o, files); err != nil {
			return err
		}
	}
	return nil
}

func build(o api.BuildOptions, files map[string][]byte) error {
	result := api.Build(o)
	for _, f := range result.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	return failure(result)
}

// later are the views that the page imports when they are opened.
type later map[string]bool

// plugin leaves what is imported by import() out of the page, to be a file beside it.
func (l later) plugin() api.Plugin {
	return api.Plugin{Name: "later", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: `^\./`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			if a.Kind != api.ResolveJSDynamicImport {
				return api.OnResolveResult{}, nil
			}
			l[strings.TrimPrefix(a.Path, "./")] = true
			return api.OnResolveResult{Path: a.Path + ".js", External: true}, nil
		})
	}}
}

// fromPage has a view import shared modules from the page, which has them already.
func fromPage(shared []string) api.Plugin {
	return api.Plugin{Name: "from page", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			if a.Kind == api.ResolveEntryPoint || !slices.Contains(shared, a.Path) {
				return api.OnResolveResult{}, nil
			}
			return api.OnResolveResult{Path: "./app.js", External: true}, nil
		})
	}}
}

var exported = regexp.MustCompile(`(?m)^export \* from "([^"]+)";$`)

// sharedModules reads which modules a file exports whole.
func sharedModules(path string) (modules []string, err error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for _, m := range exported.FindAllSubmatch(source, -1) {
		modules = append(modules, string(m[1]))
	}
	return modules, nil
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
	b.WriteString("The scripts contain the following third-party code.\n")
	for _, name := range packages {
		text, err := os.ReadFile(filepath.Join(vendor, name, "LICENSE"))
		if err != nil {
			return nil, fmt.Errorf("licence of %s: %w", name, err)
		}
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s", name, strings.Repeat("=", len(name)), text)
	}
	return []byte(b.String()), nil
}
