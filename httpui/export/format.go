package export

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

// Format is a form in which traces are written.
type Format string

// The formats, by the names under which a command or a URL asks for them.
const (
	OTLP     Format = "otlp"
	Jaeger   Format = "jaeger"
	Perfetto Format = "perfetto"
	Pprof    Format = "pprof"
)

// Formats are all formats, in the order in which they are offered.
var Formats = []Format{OTLP, Jaeger, Perfetto, Pprof}

// Extension is how the name of a file in this format ends.
func (f Format) Extension() string {
	switch f {
	case OTLP:
		return ".otlp.json"
	case Jaeger:
		return ".jaeger.json"
	case Perfetto:
		return ".perfetto.json"
	case Pprof:
		return ".pb.gz"
	}
	return ""
}

// MIME is the media type of the format.
func (f Format) MIME() string {
	if f == Pprof {
		return "application/octet-stream"
	}
	return "application/json"
}

// ErrUnknownFormat is returned by NewWriter for what is none of Formats.
var ErrUnknownFormat = errors.New("unknown format")

// A Writer writes traces one after the other.
type Writer interface {
	// Add writes a trace, or adds it to what Close writes.
	Add(*spanstore.Trace) error

	// Close writes the end. It does not close the file.
	Close() error
}

// NewWriter returns a writer of traces to w.
func NewWriter(w io.Writer, f Format) (Writer, error) {
	switch f {
	case OTLP:
		return otlpWriter{w}, nil
	case Jaeger:
		return newJaegerWriter(w), nil
	case Perfetto:
		return newPerfettoWriter(w), nil
	case Pprof:
		return newPprofWriter(w), nil
	}
	return nil, fmt.Errorf("%w %q: there are %s", ErrUnknownFormat, f, names())
}

func names() string {
	var all []string
	for _, f := range Formats {
		all = append(all, string(f))
	}
	return strings.Join(all, ", ")
}

// Write writes one trace.
func Write(w io.Writer, f Format, t *spanstore.Trace) error {
	out, err := NewWriter(w, f)
	if err != nil {
		return err
	}
	return errors.Join(out.Add(t), out.Close())
}

type otlpWriter struct{ w io.Writer }

func (o otlpWriter) Add(t *spanstore.Trace) error { return otlp.Write(o.w, t) }
func (o otlpWriter) Close() error                 { return nil }
