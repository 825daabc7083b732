package export_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/spanclock/spanclock/httpui/export"
)

// Several traces go into one file, which ui.perfetto.dev opens.
func ExampleNewWriter() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "traces"+export.Perfetto.Extension()))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	w, err := export.NewWriter(f, export.Perfetto)
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Add(login()); err != nil { // a *spanstore.Trace
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(f.Name()))
	// Output: traces.perfetto.json
}
