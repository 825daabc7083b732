package block

import (
	"encoding/binary"
	"math"

	"go.opentelemetry.io/otel/attribute"
)

// The types of attribute values as stored. They are this format's own numbers,
// so that a change of the SDK's cannot change what is on disk.
const (
	typeEmpty byte = iota
	typeBool
	typeInt64
	typeFloat64
	typeString
	typeBoolSlice
	typeInt64Slice
	typeFloat64Slice
	typeStringSlice
	typeByteSlice
	typeSlice
	typeMap
)

// maxDepth bounds how deep slices and maps may nest; deeper values read as empty.
const maxDepth = 32

// typeOf returns the stored type of v; a type that this version does not know
// is stored as empty.
func typeOf(v attribute.Value) byte {
	if t := v.Type(); uint(t) < uint(len(types)) {
		return types[t]
	}
	return typeEmpty
}

var types = [...]byte{
	attribute.EMPTY: typeEmpty, attribute.BOOL: typeBool, attribute.INT64: typeInt64, attribute.FLOAT64: typeFloat64,
	attribute.STRING: typeString, attribute.BOOLSLICE: typeBoolSlice, attribute.INT64SLICE: typeInt64Slice,
	attribute.FLOAT64SLICE: typeFloat64Slice, attribute.STRINGSLICE: typeStringSlice, attribute.BYTESLICE: typeByteSlice,
	attribute.SLICE: typeSlice, attribute.MAP: typeMap,
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendValue appends v whole: its type, then its data.
func appendValue(dst []byte, v attribute.Value, depth int) []byte {
	t := typeOf(v)
	if depth > maxDepth {
		t = typeEmpty
	}
	dst = append(dst, t)
	switch t {
	case typeBool:
		return append(dst, boolByte(v.AsBool()))
	case typeInt64:
		return binary.AppendVarint(dst, v.AsInt64())
	case typeFloat64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.AsFloat64()))
	case typeString:
		return appendString(dst, v.AsString())
	case typeBoolSlice:
		s := v.AsBoolSlice()
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		for _, b := range s {
			dst = append(dst, boolByte(b))
		}
	case typeInt64Slice:
		s := v.AsInt64Slice()
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		for _, n := range s {
			dst = binary.AppendVarint(dst, n)
		}
	case typeFloat64Slice:
		s := v.AsFloat64Slice()
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		for _, f := range s {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
		}
	case typeStringSlice:
		s := v.AsStringSlice()
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		for _, e := range s {
			dst = appendString(dst, e)
		}
	case typeByteSlice:
		return appendString(dst, string(v.AsByteSlice()))
	case typeSlice:
		s := v.AsSlice()
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		for _, e := range s {
			dst = appendValue(dst, e, depth+1)
		}
	case typeMap:
		dst = appendKeyValues(dst, v.AsMap(), depth+1)
	}
	return dst
}

func appendKeyValues(dst []byte, kvs []attribute.KeyValue, depth int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(kvs)))
	for _, kv := range kvs {
		dst = appendString(dst, string(kv.Key))
		dst = appendValue(dst, kv.Value, depth)
	}
	return dst
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// valueReader reads what appendValue wrote. After a fault it reads zeros and
// bad stays true; it never reads past its end.
type valueReader struct {
	s   string
	bad bool
}

func (r *valueReader) fail() {
	r.s, r.bad = "", true
}

func (r *valueReader) byte() byte {
	if len(r.s) == 0 {
		r.fail()
		return 0
	}
	b := r.s[0]
	r.s = r.s[1:]
	return b
}

func (r *valueReader) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.fail()
	return 0
}

func (r *valueReader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *valueReader) float() float64 {
	if len(r.s) < 8 {
		r.fail()
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64([]byte(r.s[:8])))
	r.s = r.s[8:]
	return f
}

func (r *valueReader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.fail()
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

// count reads the length of a list whose elements take at least one byte each,
// so that a damaged length cannot ask for more memory than the data has bytes.
func (r *valueReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.fail()
		return 0
	}
	return int(n)
}

func readList[T any](r *valueReader, read func() T) []T {
	n := r.count()
	list := make([]T, 0, min(n, 64))
	for range n {
		if r.bad {
			break
		}
		list = append(list, read())
	}
	return list
}

func (r *valueReader) value(depth int) attribute.Value {
	if depth > maxDepth+1 {
		r.fail()
	}
	switch r.byte() {
	case typeEmpty:
		return attribute.Value{}
	case typeBool:
		return attribute.BoolValue(r.byte() != 0)
	case typeInt64:
		return attribute.Int64Value(r.varint())
	case typeFloat64:
		return attribute.Float64Value(r.float())
	case typeString:
		return attribute.StringValue(r.string())
	case typeBoolSlice:
		return attribute.BoolSliceValue(readList(r, func() bool { return r.byte() != 0 }))
	case typeInt64Slice:
		return attribute.Int64SliceValue(readList(r, r.varint))
	case typeFloat64Slice:
		return attribute.Float64SliceValue(readList(r, r.float))
	case typeStringSlice:
		return attribute.StringSliceValue(readList(r, r.string))
	case typeByteSlice:
		return attribute.ByteSliceValue([]byte(r.string()))
	case typeSlice:
		return attribute.SliceValue(readList(r, func() attribute.Value { return r.value(depth + 1) })...)
	case typeMap:
		return attribute.MapValue(r.keyValues(depth + 1)...)
	}
	r.fail()
	return attribute.Value{}
}

func (r *valueReader) keyValues(depth int) []attribute.KeyValue {
	return readList(r, func() attribute.KeyValue {
		return attribute.KeyValue{Key: attribute.Key(r.string()), Value: r.value(depth)}
	})
}
