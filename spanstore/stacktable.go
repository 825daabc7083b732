package spanstore

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// stackTable holds the stacks of many blocks of usage once each. Stack 0 stands
// for all those that are too many.
type stackTable struct {
	frames map[Frame]uint32
	list   []Frame
	ids    map[string]uint32 // by the numbers of the frames
	stacks [][]Frame
}

// maxStacks bounds the table: stacks of some 30 frames, 50 MB at the very worst.
const maxStacks = 1 << 14

// add takes in the stacks of a block and returns their numbers here.
func (t *stackTable) add(u *block.Usage) (ids []uint32) {
	if t.frames == nil {
		t.frames, t.ids, t.stacks = map[Frame]uint32{}, map[string]uint32{}, make([][]Frame, 1)
	}
	ids = make([]uint32, len(u.Stacks))
	var key []byte
	for i, stack := range u.Stacks {
		key = key[:0]
		for _, f := range stack {
			key = binary.LittleEndian.AppendUint32(key, t.frame(u.Frames[f]))
		}
		id, known := t.ids[string(key)]
		if !known && len(t.stacks) <= maxStacks {
			id = uint32(len(t.stacks))
			t.ids[string(key)] = id
			t.stacks = append(t.stacks, t.unpack(key))
		}
		ids[i] = id
	}
	return ids
}

func (t *stackTable) frame(b block.Frame) uint32 {
	f := Frame{Func: b.Func, File: b.File, Line: int(b.Line)}
	id, known := t.frames[f]
	if !known {
		id = uint32(len(t.list))
		t.frames[f] = id
		t.list = append(t.list, f)
	}
	return id
}

func (t *stackTable) unpack(key []byte) []Frame {
	frames := make([]Frame, 0, len(key)/4)
	for ; len(key) > 0; key = key[4:] {
		frames = append(frames, t.list[binary.LittleEndian.Uint32(key)])
	}
	return frames
}

// most returns the n most frequent of the stacks that samples counts.
func (t *stackTable) most(samples map[uint32]int64, n int) (stacks []Stack) {
	for id, count := range samples {
		if id > 0 {
			stacks = append(stacks, Stack{Frames: t.stacks[id], Samples: int(count)})
		}
	}
	slices.SortFunc(stacks, func(a, b Stack) int {
		return cmp.Or(cmp.Compare(b.Samples, a.Samples), slices.CompareFunc(a.Frames, b.Frames, compareFrames))
	})
	return slices.Clip(stacks[:min(n, len(stacks))])
}

func compareFrames(a, b Frame) int {
	return cmp.Or(cmp.Compare(a.Func, b.Func), cmp.Compare(a.Line, b.Line), cmp.Compare(a.File, b.File))
}
