package httpui

import (
	"strings"

	"github.com/spanclock/spanclock/httpui/internal/text"
)

func escape(s string) string      { return text.Escape(s) }
func clip(s string, n int) string { return text.Clip(s, n) }

func writeTable(b *strings.Builder, rows [][]string, align string) { text.Table(b, rows, align) }

// writeTableWithin writes a table whose columns give, the first named first, where
// it would not fit.
func writeTableWithin(b *strings.Builder, width int, rows [][]string, align string, give ...text.Give) {
	rows, align = text.Fit(rows, align, width, give...)
	text.Table(b, rows, align)
}
