package spanstore

import (
	"container/list"
	"sync"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// cacheBytes bounds the decoded blocks that are kept for the next query: about
// twenty, a few seconds of a busy service.
const cacheBytes = 8 << 20

// blockCache keeps the blocks used last, decoded. A block that is committed
// again has a new blockInfo, so what is cached is never out of date.
type blockCache struct {
	mu    sync.Mutex // guards the rest
	max   int
	bytes int
	byKey map[*blockInfo]*list.Element
	order list.List // the one used last in front
}

type cached struct {
	key   *blockInfo
	value any // *block.Spans or *block.Usage
	bytes int
}

func newBlockCache(max int) *blockCache {
	return &blockCache{max: max, byKey: map[*blockInfo]*list.Element{}}
}

func (c *blockCache) get(key *blockInfo) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).value
}

func (c *blockCache) put(key *blockInfo, value any, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok || bytes > c.max {
		return
	}
	c.byKey[key] = c.order.PushFront(&cached{key, value, bytes})
	c.bytes += bytes
	for c.bytes > c.max {
		c.removeLocked(c.order.Back())
	}
}

func (c *blockCache) drop(key *blockInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.removeLocked(e)
	}
}

func (c *blockCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byKey)
	c.order.Init()
	c.bytes = 0
}

func (c *blockCache) removeLocked(e *list.Element) {
	v := c.order.Remove(e).(*cached)
	delete(c.byKey, v.key)
	c.bytes -= v.bytes
}

// finderPool keeps what lookups unpack blocks with: without it each would leave
// 200 kB to the garbage collector.
type finderPool struct{ pool sync.Pool }

// maxFinderBytes bounds the memory that waits for the next lookup; few blocks
// take a quarter of it.
const maxFinderBytes = 512 << 10

func (p *finderPool) get() *block.Finder {
	if f, ok := p.pool.Get().(*block.Finder); ok {
		return f
	}
	return new(block.Finder)
}

func (p *finderPool) put(f *block.Finder) {
	if f.MemoryBytes() <= maxFinderBytes {
		p.pool.Put(f)
	}
}
