package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/metrics"
)

// PeersConfig is what NewPeers needs.
type PeersConfig struct {
	Bus   engine.Bus
	Notes engine.Notes
	Node  *Node
	Hub   *hub.Hub
	Log   *slog.Logger
	// Name is what people call this node; empty: its id.
	Name string
	// Timeout is how long a question waits for the answers of all nodes. 0
	// means 2 s.
	Timeout time.Duration
}

// PeersMetrics counts what nodes tell each other.
type PeersMetrics struct {
	Orders  metrics.Counter // orders applied on this node
	Dropped metrics.Counter // signals that could not be read, or found the queue full
	Partial metrics.Counter // questions of this node that not all nodes answered in time
}

// Peers is what the nodes tell each other over engine.Bus: orders that must
// reach a session wherever it is, surveys that every node answers, and signals
// of doors (Forward and Handle). It keeps no state of the others: who is there
// is whoever answers. All methods are safe for concurrent use.
type Peers struct {
	// Set at construction.
	PeersConfig
	Metrics PeersMetrics
	began   time.Time
	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows; memory only
	handlers map[string]func(data []byte)
	surveys  map[uint64]*survey
	lastID   uint64
	queue    []task
	queued   int // bytes in queue
	working  bool
}

// task is one question of some node, or an order, that waits for the worker.
type task struct {
	header
	body []byte
}

// What may wait for the worker. An order that finds the queue full is
// dropped, and its sender learns that this node did not confirm it.
const (
	queueTasks = 8192
	queueBytes = 16 << 20
)

// NewPeers returns what talks for this node.
func NewPeers(c PeersConfig) *Peers {
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Name == "" {
		c.Name = c.Bus.NodeID()
	}
	n := &Peers{PeersConfig: c, began: time.Now(), handlers: map[string]func([]byte){}, surveys: map[uint64]*survey{}, lastID: rand.Uint64() >> 16}
	n.life, n.end = context.WithCancel(context.Background())
	return n
}

// Close ends all questions under way and waits for the worker. Signals that
// come later are dropped. Call it before the engine closes.
func (n *Peers) Close() {
	n.mu.Lock()
	n.end()
	n.queue, n.queued = nil, 0
	n.mu.Unlock()
	n.running.Wait()
}

// ID names this node among all nodes.
func (n *Peers) ID() string { return n.Bus.NodeID() }

// Handle says who takes the signals of a kind, which Forward sent here. f
// runs on the goroutine that reads from the engine, in order of arrival, and
// must not block; data is only lent. A second call for a kind replaces f.
func (n *Peers) Handle(kind string, f func(data []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers[outside+kind] = f
}

// Forward hands data to the handler of this kind on one node, or on all nodes
// when node is "". It blocks as long as the engine takes. reached is how many
// nodes took it: 0 for a node says that it is gone. Delivery is at most once,
// in order from one caller to one node as long as each call returned before
// the next.
func (n *Peers) Forward(ctx context.Context, node, kind string, data []byte) (reached int, err error) {
	return n.send(ctx, node, header{Kind: outside + kind}, data)
}

func (n *Peers) send(ctx context.Context, node string, h header, body []byte) (int, error) {
	h.From = n.ID()
	reached, err := n.Bus.Send(ctx, node, encode(h, body))
	if err != nil {
		return reached, fmt.Errorf("%s to node %q: %w", h.Kind, node, err)
	}
	return reached, nil
}

// Signal takes what the engine received, for engine.Node. It does not block.
func (n *Peers) Signal(data []byte) {
	h, body, ok := decode(data)
	if !ok {
		n.Metrics.Dropped.Add(1)
		return
	}
	switch h.Kind {
	case kindAnswer:
		n.answered(h, body)
	case kindOrder, kindChannels, kindInfo, kindTokens:
		n.enqueue(task{h, bytes.Clone(body)})
	default:
		n.mu.Lock()
		f := n.handlers[h.Kind]
		n.mu.Unlock()
		if f == nil {
			n.Metrics.Dropped.Add(1)
			return
		}
		f(body)
	}
}

func (n *Peers) enqueue(t task) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life.Err() != nil {
		return
	}
	if len(n.queue) >= queueTasks || n.queued+len(t.body) > queueBytes {
		n.Metrics.Dropped.Add(1)
		return
	}
	n.queue = append(n.queue, t)
	n.queued += len(t.body)
	if !n.working {
		n.working = true
		n.running.Go(n.run)
	}
}

// run works until nothing is queued.
func (n *Peers) run() {
	for {
		n.mu.Lock()
		tasks := n.queue
		n.queue, n.queued = nil, 0
		if len(tasks) == 0 {
			n.working = false
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		n.work(tasks)
	}
}

// work does the tasks in order. Orders that follow each other are applied in
// one walk over the sessions.
func (n *Peers) work(tasks []task) {
	for len(tasks) > 0 && n.life.Err() == nil {
		k := 0
		for k < len(tasks) && tasks[k].Kind == kindOrder {
			k++
		}
		switch {
		case k > 0:
			n.applyOrders(tasks[:k])
		case tasks[0].Kind == kindChannels:
			n.answerChannels(tasks[0])
			k = 1
		case tasks[0].Kind == kindTokens:
			n.answerTokens(tasks[0])
			k = 1
		default:
			n.answerInfo(tasks[0])
			k = 1
		}
		tasks = tasks[k:]
	}
}

// header is the first line of every signal, as JSON; the body follows the
// line end as it is. Nodes of different versions meet while a cluster is
// updated: fields may be added, and a signal of another major version is
// dropped and counted.
type header struct {
	Version int    `json:"v"`
	Kind    string `json:"k"`
	From    string `json:"from"`
	// IDs are the questions that are asked or answered.
	IDs []uint64 `json:"ids,omitempty"`
	// More says that another part of the same answer follows.
	More bool `json:"more,omitempty"`
}

const version = 1

// The kinds that this package uses itself. Those of Handle have outside in
// front, so that they never meet.
const (
	kindOrder    = "order"
	kindChannels = "channels"
	kindInfo     = "info"
	kindTokens   = "tokens"
	kindAnswer   = "answer"
	outside      = "x:"
)

func encode(h header, body []byte) []byte {
	h.Version = version
	line, _ := json.Marshal(h) // strings, numbers and a bool: cannot fail
	return append(append(line, '\n'), body...)
}

// decode splits a signal. The body is a part of data.
func decode(data []byte) (h header, body []byte, ok bool) {
	line, body, ok := bytes.Cut(data, []byte{'\n'})
	ok = ok && json.Unmarshal(line, &h) == nil && h.Version == version
	return h, body, ok
}
