package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Kind tells what a block holds.
type Kind byte

const (
	KindSpans Kind = 1
	KindUsage Kind = 2
)

const (
	magic      = "SPCK"
	version    = 1
	headerLen  = 32
	tableEntry = 10
	crcOffset  = 12

	codecRaw  = 0
	codecZstd = 1

	// maxRaw bounds what a section may claim to unpack to, so that a damaged
	// length cannot ask for the whole memory. Blocks are closed far below it.
	maxRaw = 64 << 20

	// maxItems bounds the values of one column, for the same reason: a column of
	// equal values takes no room however long it claims to be.
	maxItems = 1 << 20
)

// ErrCorrupt is returned, wrapped, for bytes that are no intact block.
var ErrCorrupt = errors.New("corrupt block")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC-32C used throughout the store.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Codec compresses and unpacks sections. It is safe for concurrent use. A store
// owns its codec: one made inside a synctest bubble must not leave it, so there
// is none at package level.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder

	known known
}

// NewCodec returns a codec sized for blocks: about 1.5 MiB once used.
func NewCodec() (*Codec, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10),
		zstd.WithEncoderCRC(false), // the block has a checksum of its own
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0), // searches unpack on every processor; made when first used
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxRaw))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &Codec{enc: enc, dec: dec}, nil
}

// Close frees the codec's memory. No other method may run with or after it.
func (c *Codec) Close() {
	c.enc.Close()
	c.dec.Close()
}

// section is one part of a block before it is packed.
type section struct {
	id  byte
	raw bool // ids: do not try to compress
	buf []byte
}

// pack appends a whole block to dst. A nil codec leaves every section as it
// is, for blocks that stay in memory.
func pack(dst []byte, c *Codec, kind Kind, count int, minT, maxT int64, sections []section) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, version, byte(kind))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(sections)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(count))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(minT))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(maxT))
	table := len(dst)
	dst = append(dst, make([]byte, tableEntry*len(sections))...)
	for i, s := range sections {
		at, codec := len(dst), byte(codecRaw)
		if !s.raw && c != nil && len(s.buf) > 64 {
			if dst = c.enc.EncodeAll(s.buf, dst); len(dst)-at < len(s.buf) {
				codec = codecZstd
			} else {
				dst = dst[:at]
			}
		}
		if codec == codecRaw {
			dst = append(dst, s.buf...)
		}
		e := dst[table+i*tableEntry:]
		e[0], e[1] = s.id, codec
		binary.LittleEndian.PutUint32(e[2:], uint32(len(s.buf)))
		binary.LittleEndian.PutUint32(e[6:], uint32(len(dst)-at))
	}
	binary.LittleEndian.PutUint32(dst[start+crcOffset:], Checksum(dst[start:]))
	return dst
}

// frame is a block whose checksum held, its sections still packed.
type frame struct {
	kind     Kind
	count    int
	min, max int64
	codec    *Codec
	sections []packed
}

type packed struct {
	id     byte
	codec  byte
	rawLen int
	data   []byte
}

// unpack checks b whole and finds its sections. b is kept, not copied.
func unpack(c *Codec, b []byte, want Kind) (*frame, error) {
	f := new(frame)
	return f, f.open(c, b, want)
}

// Whole returns an error, which wraps ErrCorrupt when it is damaged, unless b is a
// block as it was written.
func Whole(b []byte) error {
	if len(b) < headerLen || string(b[:4]) != magic {
		return corrupt("no block header")
	}
	if b[4] != version {
		return fmt.Errorf("block version %d is not known to this build, which reads version %d", b[4], version)
	}
	crc := binary.LittleEndian.Uint32(b[crcOffset:])
	sum := crc32.Update(0, castagnoli, b[:crcOffset])
	sum = crc32.Update(sum, castagnoli, []byte{0, 0, 0, 0})
	if sum = crc32.Update(sum, castagnoli, b[crcOffset+4:]); sum != crc {
		return corrupt("checksum %08x, stored %08x", sum, crc)
	}
	return nil
}

// open makes f the frame of b, as unpack does, in the memory that f has.
func (f *frame) open(c *Codec, b []byte, want Kind) error {
	if err := Whole(b); err != nil {
		return err
	}
	*f = frame{
		kind:     Kind(b[5]),
		count:    int(binary.LittleEndian.Uint32(b[8:])),
		min:      int64(binary.LittleEndian.Uint64(b[16:])),
		max:      int64(binary.LittleEndian.Uint64(b[24:])),
		codec:    c,
		sections: f.sections[:0],
	}
	if f.kind != want {
		return corrupt("kind %d where %d was expected", f.kind, want)
	}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	data := headerLen + n*tableEntry
	if data > len(b) {
		return corrupt("section table is cut off")
	}
	for i := range n {
		e := b[headerLen+i*tableEntry:]
		p := packed{id: e[0], codec: e[1], rawLen: int(binary.LittleEndian.Uint32(e[2:]))}
		size := int(binary.LittleEndian.Uint32(e[6:]))
		if size > len(b)-data || p.rawLen > maxRaw {
			return corrupt("section %d is cut off", e[0])
		}
		p.data = b[data : data+size : data+size]
		f.sections = append(f.sections, p)
		data += size
	}
	return nil
}

// section returns a section as it is packed, nil when there is none.
func (f *frame) section(id byte) *packed {
	for i := range f.sections {
		if f.sections[i].id == id {
			return &f.sections[i]
		}
	}
	return nil
}

// columns unpacks one section and finds its columns. An absent section has none.
func (f *frame) columns(id byte) (columns, error) {
	return new(room).columns(f, id)
}

// room is memory for one unpacked section, to be used again.
type room struct {
	buf  []byte
	cols columnTable
}

func (r *room) columns(f *frame, id byte) (columns, error) {
	p := f.section(id)
	if p == nil {
		return noColumns, nil
	}
	buf := p.data
	switch p.codec {
	case codecRaw:
	case codecZstd:
		if f.codec == nil {
			return noColumns, corrupt("section %d is compressed where it must not be", id)
		}
		var err error
		buf, err = f.codec.dec.DecodeAll(p.data, slices.Grow(r.buf[:0], p.rawLen))
		if err != nil {
			return noColumns, corrupt("section %d: %v", id, err)
		}
		r.buf = buf
	default:
		return noColumns, corrupt("section %d has unknown codec %d", id, p.codec)
	}
	if len(buf) != p.rawLen {
		return noColumns, corrupt("section %d has %d bytes, not %d", id, len(buf), p.rawLen)
	}
	return &r.cols, r.cols.parse(buf)
}
