package e2e

import (
	"encoding/json"
	"os"
	"testing"
)

func readFixture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// idOf gives the id of the nth span of a trace in testdata.
func idOf(t *testing.T, name string, n int) string {
	t.Helper()
	var trace struct {
		Spans []struct {
			SpanID string `json:"span_id"`
		} `json:"spans"`
	}
	if err := json.Unmarshal(readFixture(t, name), &trace); err != nil {
		t.Fatal(err)
	}
	return trace.Spans[n].SpanID
}
