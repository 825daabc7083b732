package block

import (
	"bytes"
	"encoding/binary"
)

// Reseal gives data the checksum that its content calls for.
func Reseal(data []byte) []byte {
	data = bytes.Clone(data)
	if len(data) >= headerLen {
		binary.LittleEndian.PutUint32(data[crcOffset:], 0)
		binary.LittleEndian.PutUint32(data[crcOffset:], Checksum(data))
	}
	return data
}
