package otlp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// request is an ExportTraceServiceRequest, with what was measured beside it.
type request struct {
	ResourceSpans []*resourceSpans `json:"resourceSpans"`
	Spanclock     *measured        `json:"spanclock,omitempty"`
}

type resourceSpans struct {
	Resource   *resourceJSON `json:"resource,omitempty"`
	ScopeSpans []*scopeSpans `json:"scopeSpans"`
	SchemaURL  string        `json:"schemaUrl,omitempty"`
}

type resourceJSON struct {
	Attributes []keyValue `json:"attributes,omitempty"`
}

type scopeSpans struct {
	Scope     scopeJSON `json:"scope"`
	Spans     []span    `json:"spans"`
	SchemaURL string    `json:"schemaUrl,omitempty"`
}

type scopeJSON struct {
	Name       string     `json:"name,omitempty"`
	Version    string     `json:"version,omitempty"`
	Attributes []keyValue `json:"attributes,omitempty"`
}

type span struct {
	TraceID           string     `json:"traceId"`
	SpanID            string     `json:"spanId"`
	TraceState        string     `json:"traceState,omitempty"`
	ParentSpanID      string     `json:"parentSpanId,omitempty"`
	Flags             count      `json:"flags,omitempty"`
	Name              string     `json:"name"`
	Kind              kind       `json:"kind"`
	Start             nanos      `json:"startTimeUnixNano"`
	End               nanos      `json:"endTimeUnixNano"`
	Attributes        []keyValue `json:"attributes,omitempty"`
	DroppedAttributes count      `json:"droppedAttributesCount,omitempty"`
	Events            []event    `json:"events,omitempty"`
	DroppedEvents     count      `json:"droppedEventsCount,omitempty"`
	Links             []link     `json:"links,omitempty"`
	DroppedLinks      count      `json:"droppedLinksCount,omitempty"`
	Status            status     `json:"status"`
}

type event struct {
	Time              nanos      `json:"timeUnixNano"`
	Name              string     `json:"name"`
	Attributes        []keyValue `json:"attributes,omitempty"`
	DroppedAttributes count      `json:"droppedAttributesCount,omitempty"`
}

type link struct {
	TraceID           string     `json:"traceId"`
	SpanID            string     `json:"spanId"`
	TraceState        string     `json:"traceState,omitempty"`
	Attributes        []keyValue `json:"attributes,omitempty"`
	DroppedAttributes count      `json:"droppedAttributesCount,omitempty"`
	Flags             count      `json:"flags,omitempty"`
}

type status struct {
	Message string     `json:"message,omitempty"`
	Code    statusCode `json:"code,omitempty"`
}

// The bits of flags beyond the eight of W3C's trace flags: whether it is known
// that the context is remote, and that it is.
const (
	flagRemoteKnown = 0x100
	flagRemote      = 0x200
)

// nanos is a time in nanoseconds since 1970, 0 for none.
type nanos uint64

func nanosOf(t time.Time) nanos {
	if t.IsZero() || t.Year() < 1970 {
		return 0
	}
	if t.Year() > 2261 {
		return 1<<63 - 1
	}
	return nanos(t.UnixNano())
}

func (n nanos) time() time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(int64(n/1e9), int64(n%1e9)).UTC()
}

func (n nanos) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%d"`, uint64(n)), nil }

func (n *nanos) UnmarshalJSON(b []byte) error {
	u, err := strconv.ParseUint(unquoted(b), 10, 64)
	*n = nanos(u)
	return wrong(err, b, "a time in nanoseconds since 1970")
}

// int64Text is a 64-bit integer, which OTLP writes as a string.
type int64Text int64

func (n int64Text) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%d"`, int64(n)), nil }

func (n *int64Text) UnmarshalJSON(b []byte) error {
	i, err := strconv.ParseInt(unquoted(b), 10, 64)
	*n = int64Text(i)
	return wrong(err, b, "an integer")
}

// count is a 32-bit number without a sign, or flags.
type count uint32

func countOf(n int) count { return count(min(max(n, 0), 1<<31-1)) }

func (c *count) UnmarshalJSON(b []byte) error {
	u, err := strconv.ParseUint(unquoted(b), 10, 32)
	*c = count(u)
	return wrong(err, b, "a number from 0 to 4294967295")
}

// kind and statusCode are enums: numbers, or their names as protobuf's JSON has
// them.
type (
	kind       int
	statusCode int
)

const (
	codeOK    statusCode = 1
	codeError statusCode = 2
)

var (
	kindNames = []string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"}
	codeNames = []string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}
)

func (k *kind) UnmarshalJSON(b []byte) error {
	n, err := enum(b, kindNames)
	*k = kind(n)
	return wrong(err, b, "a span kind")
}

func (c *statusCode) UnmarshalJSON(b []byte) error {
	n, err := enum(b, codeNames)
	*c = statusCode(n)
	return wrong(err, b, "a status code")
}

// enum reads a number, or one of names. A number beyond them is one of a later
// version: 0 then.
func enum(b []byte, names []string) (int, error) {
	text := unquoted(b)
	for i, name := range names {
		if text == name {
			return i, nil
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || int(n) >= len(names) {
		return 0, err
	}
	return int(n), nil
}

// unquoted is the text of a JSON number or of a plain JSON string; null reads as 0.
func unquoted(b []byte) string {
	if bytes.Equal(b, []byte("null")) {
		return "0"
	}
	return strings.Trim(string(b), `"`)
}

// wrong says what stands where something else should. The value may be long.
func wrong(err error, got []byte, want string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%.40q is not %s", got, want)
}

// keyValue is an attribute.
type keyValue struct {
	Key   string   `json:"key"`
	Value anyValue `json:"value"`
}

// anyValue has one of its fields set, or none.
type anyValue struct {
	String *string     `json:"stringValue,omitempty"`
	Bool   *bool       `json:"boolValue,omitempty"`
	Int    *int64Text  `json:"intValue,omitempty"`
	Double *double     `json:"doubleValue,omitempty"`
	Array  *arrayValue `json:"arrayValue,omitempty"`
	Map    *mapValue   `json:"kvlistValue,omitempty"`
	Bytes  *[]byte     `json:"bytesValue,omitempty"`
}

type arrayValue struct {
	Values []anyValue `json:"values"`
}

type mapValue struct {
	Values []keyValue `json:"values"`
}

// double is a number, or one of the strings that stand for what JSON cannot say.
type double float64

func (d double) MarshalJSON() ([]byte, error) {
	switch text := strconv.FormatFloat(float64(d), 'g', -1, 64); text {
	case "NaN":
		return []byte(`"NaN"`), nil
	case "+Inf":
		return []byte(`"Infinity"`), nil
	case "-Inf":
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(float64(d))
}

func (d *double) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(unquoted(b), 64)
	*d = double(f)
	return wrong(err, b, "a number")
}
