package export

import (
	"encoding/json"
	"fmt"
	"io"
)

// listWriter writes a JSON list between two texts, an element at a time.
type listWriter struct {
	w             io.Writer
	before, after string
	wrote         bool
	err           error
}

func (l *listWriter) add(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	l.write(l.separator())
	l.write(string(b))
	return l.err
}

func (l *listWriter) separator() string {
	if l.wrote {
		return ",\n"
	}
	l.wrote = true
	return l.before
}

func (l *listWriter) close() error {
	if !l.wrote {
		l.write(l.before)
	}
	l.write(l.after)
	return l.err
}

func (l *listWriter) write(s string) {
	if l.err == nil {
		if _, err := io.WriteString(l.w, s); err != nil {
			l.err = fmt.Errorf("write JSON: %w", err)
		}
	}
}
