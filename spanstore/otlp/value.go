package otlp

import (
	"go.opentelemetry.io/otel/attribute"
)

// maxDepth bounds how deep lists and maps may nest, as the store does; what is
// deeper is empty.
const maxDepth = 32

func packAttributes(kvs []attribute.KeyValue, depth int) []keyValue {
	out := make([]keyValue, len(kvs))
	for i, kv := range kvs {
		out[i] = keyValue{string(kv.Key), packValue(kv.Value, depth)}
	}
	return out
}

func packValue(v attribute.Value, depth int) (out anyValue) {
	if depth > maxDepth {
		return out
	}
	switch v.Type() {
	case attribute.BOOL:
		return packBool(v.AsBool())
	case attribute.INT64:
		return packInt(v.AsInt64())
	case attribute.FLOAT64:
		return packFloat(v.AsFloat64())
	case attribute.STRING:
		return packString(v.AsString())
	case attribute.BYTESLICE:
		b := v.AsByteSlice()
		out.Bytes = &b
	case attribute.BOOLSLICE:
		out.Array = packList(v.AsBoolSlice(), packBool)
	case attribute.INT64SLICE:
		out.Array = packList(v.AsInt64Slice(), packInt)
	case attribute.FLOAT64SLICE:
		out.Array = packList(v.AsFloat64Slice(), packFloat)
	case attribute.STRINGSLICE:
		out.Array = packList(v.AsStringSlice(), packString)
	case attribute.SLICE:
		out.Array = packList(v.AsSlice(), func(v attribute.Value) anyValue { return packValue(v, depth+1) })
	case attribute.MAP:
		out.Map = &mapValue{packAttributes(v.AsMap(), depth+1)}
	}
	return out
}

func packBool(b bool) anyValue     { return anyValue{Bool: &b} }
func packString(s string) anyValue { return anyValue{String: &s} }
func packInt(n int64) anyValue     { i := int64Text(n); return anyValue{Int: &i} }
func packFloat(f float64) anyValue { d := double(f); return anyValue{Double: &d} }

func packList[T any](list []T, pack func(T) anyValue) *arrayValue {
	out := make([]anyValue, len(list))
	for i, x := range list {
		out[i] = pack(x)
	}
	return &arrayValue{out}
}

func unpackAttributes(kvs []keyValue, depth int) []attribute.KeyValue {
	if len(kvs) == 0 {
		return nil
	}
	out := make([]attribute.KeyValue, len(kvs))
	for i := range kvs {
		out[i] = attribute.KeyValue{Key: attribute.Key(kvs[i].Key), Value: unpackValue(&kvs[i].Value, depth)}
	}
	return out
}

func unpackValue(v *anyValue, depth int) attribute.Value {
	switch {
	case depth > maxDepth:
	case v.String != nil:
		return attribute.StringValue(*v.String)
	case v.Bool != nil:
		return attribute.BoolValue(*v.Bool)
	case v.Int != nil:
		return attribute.Int64Value(int64(*v.Int))
	case v.Double != nil:
		return attribute.Float64Value(float64(*v.Double))
	case v.Bytes != nil:
		return attribute.ByteSliceValue(*v.Bytes)
	case v.Array != nil:
		return unpackList(v.Array.Values, depth)
	case v.Map != nil:
		return attribute.MapValue(unpackAttributes(v.Map.Values, depth+1)...)
	}
	return attribute.Value{}
}

// unpackList makes a list of one type where all values have it, as the SDK's
// attributes mostly do. An empty one is of strings.
func unpackList(list []anyValue, depth int) attribute.Value {
	all := func(has func(*anyValue) bool) bool {
		for i := range list {
			if !has(&list[i]) {
				return false
			}
		}
		return true
	}
	switch {
	case all(func(v *anyValue) bool { return v.String != nil }):
		return attribute.StringSliceValue(each(list, func(v *anyValue) string { return *v.String }))
	case all(func(v *anyValue) bool { return v.Bool != nil }):
		return attribute.BoolSliceValue(each(list, func(v *anyValue) bool { return *v.Bool }))
	case all(func(v *anyValue) bool { return v.Int != nil }):
		return attribute.Int64SliceValue(each(list, func(v *anyValue) int64 { return int64(*v.Int) }))
	case all(func(v *anyValue) bool { return v.Double != nil }):
		return attribute.Float64SliceValue(each(list, func(v *anyValue) float64 { return float64(*v.Double) }))
	}
	return attribute.SliceValue(each(list, func(v *anyValue) attribute.Value { return unpackValue(v, depth+1) })...)
}

func each[S, T any](list []S, f func(*S) T) []T {
	out := make([]T, len(list))
	for i := range list {
		out[i] = f(&list[i])
	}
	return out
}
