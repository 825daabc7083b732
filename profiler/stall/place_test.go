package stall_test

import (
	"testing"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// TestPlace: a stack stands in the program's own innermost function, whatever its
// module is called.
func TestPlace(t *testing.T) {
	for _, tt := range []struct {
		funcs []string
		want  string
	}{
		{[]string{"internal/sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "example.com/app/pay.(*Bank).charge", "main.main"}, "pay.(*Bank).charge (x.go:3)"},
		{[]string{"internal/sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "shop/pay.(*Bank).charge", "main.main"}, "pay.(*Bank).charge (x.go:3)"},
		{[]string{"sync.(*Mutex).Lock", "shop.charge", "net/http.HandlerFunc.ServeHTTP"}, "shop.charge (x.go:2)"},
		{[]string{"runtime.gopark", "database/sql.(*DB).conn", "go.opentelemetry.io/otel/sdk/trace.x", "main.main"}, "main.main (x.go:4)"},
		{[]string{"runtime.gopark", "vendor/golang.org/x/net/http2.read", "net/http.serve"}, "http2.read (x.go:2)"},
		{[]string{"runtime.gopark", "runtime.main"}, "runtime.gopark (x.go:1)"},
		{nil, ""},
	} {
		var frames []spanstore.Frame
		for i, f := range tt.funcs {
			frames = append(frames, spanstore.Frame{Func: f, File: "/src/x.go", Line: i + 1})
		}
		if got := stall.Place(frames); got != tt.want {
			t.Errorf("%v: got %q; want %q", tt.funcs, got, tt.want)
		}
	}
}
