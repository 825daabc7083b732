package exectrace

import (
	"encoding/binary"
	"strings"

	"golang.org/x/exp/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// maxDepth bounds the frames that are kept of a stack, the innermost ones.
const maxDepth = 64

// stacks keeps each stack once. The trace's own handles hold a whole generation
// in memory, so they are let go with it.
type stacks struct {
	byHandle map[trace.Stack]int32
	byPCs    map[string]int32
	frames   [][]spanstore.Frame
	mutex    []bool // of each of frames: it waits for a mutex
	key      []byte
}

// id returns the position of a stack in frames, 0 for none.
func (s *stacks) id(h trace.Stack) int32 {
	if h == trace.NoStack {
		return 0
	}
	if id, ok := s.byHandle[h]; ok {
		return id
	}
	if s.byHandle == nil {
		s.byHandle = map[trace.Stack]int32{}
	}
	id := s.intern(h)
	s.byHandle[h] = id
	return id
}

func (s *stacks) intern(h trace.Stack) int32 {
	if s.byPCs == nil {
		s.byPCs, s.frames, s.mutex = map[string]int32{}, [][]spanstore.Frame{nil}, []bool{false}
	}
	s.key = s.key[:0]
	var frames []spanstore.Frame
	for f := range h.Frames() {
		if len(frames) == maxDepth {
			break
		}
		s.key = binary.LittleEndian.AppendUint64(s.key, f.PC)
		s.key = binary.AppendUvarint(s.key, f.Line) // inlined frames share their PC
		frames = append(frames, spanstore.Frame{Func: f.Func, File: f.File, Line: int(f.Line)})
	}
	if id, ok := s.byPCs[string(s.key)]; ok {
		return id
	}
	for i := range frames { // the trace's strings would hold on to its tables
		frames[i].Func, frames[i].File = strings.Clone(frames[i].Func), strings.Clone(frames[i].File)
	}
	id := int32(len(s.frames))
	s.frames = append(s.frames, frames)
	s.mutex = append(s.mutex, inMutex(frames))
	s.byPCs[string(s.key)] = id
	return id
}

// nextGeneration lets go of the handles.
func (s *stacks) nextGeneration() { clear(s.byHandle) }

// forMutex reports whether a stack waits for a mutex.
func (s *stacks) forMutex(id int32) bool { return int(id) < len(s.mutex) && s.mutex[id] }

// of returns the frames of a stack, innermost first.
func (s *stacks) of(id int32) []spanstore.Frame {
	if int(id) >= len(s.frames) {
		return nil
	}
	return s.frames[id]
}
