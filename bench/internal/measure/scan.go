package measure

import (
	"context"
	"strconv"

	"github.com/spanclock/spanclock/spanstore"
)

// Scan asks for the traces with a span that has the text.
func (s Spanclock) Scan(key, text string) (int, error) {
	return s.find(spanstore.Condition{Field: "span." + key, Op: spanstore.OpEqual, Value: text})
}

// ScanAbove asks for the traces with a span that has a greater number.
func (s Spanclock) ScanAbove(key string, number int) (int, error) {
	return s.find(spanstore.Condition{Field: "span." + key, Op: spanstore.OpMore, Value: strconv.Itoa(number)})
}

func (s Spanclock) find(c spanstore.Condition) (int, error) {
	p, err := s.Traces(context.Background(), spanstore.Query{Where: []spanstore.Condition{c}, Limit: ScanLimit})
	if err != nil {
		return 0, err
	}
	return len(p.Traces), nil
}
