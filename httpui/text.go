package httpui

import (
	"strings"

	"github.com/spanclock/spanclock/httpui/internal/text"
)

func escape(s string) string      { return text.Escape(s) }
func clip(s string, n int) string { return text.Clip(s, n) }

func writeTable(b *strings.Builder, rows [][]string, align string) { text.Table(b, rows, align) }
