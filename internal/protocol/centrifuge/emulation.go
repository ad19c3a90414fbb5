package centrifuge

import (
	"context"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/node"
	"magpie/internal/problem"
)

// emulated is what a session over HTTP has more than one over WebSocket: its
// answers are a stream that was begun by one request, its commands come in
// other requests, to any node.
type emulated struct {
	// secret is what commands must show. It is not the client's id, which others
	// see in presence.
	secret string

	mu      sync.Mutex // guards what follows; memory only
	queue   [][]byte   // frames of commands that wait for their turn
	queued  int        // bytes
	working bool
}

// secretBytes is the length of a secret: as hard to guess as a key.
const secretBytes = 16

// queueFrames bounds the frames that wait for one session, next to the bytes
// of two of the largest.
const queueFrames = 64

// overhead is what a command may have beside its payload.
const overhead = 16 << 10

// Limit is the longest frame of commands that a client may send, in bytes: the
// door's WebSocket server is to be set to it. A frame holds one message, or all
// that a client comes back with: SDKs put connect and every subscribe of a
// reconnect into one frame, each with a token of its own.
func Limit(l node.Limits) int {
	return max(l.Payload, min(l.Subscriptions*maxSubscribe, maxReturn)) + overhead
}

const (
	// maxSubscribe is the longest subscribe command: a token, and a channel's
	// name in which JSON escapes every byte.
	maxSubscribe = auth.MaxToken + 2*channel.MaxName + 512
	// maxReturn bounds what a client comes back with, whatever the settings say.
	maxReturn = 16 << 20
)

func (d *Door) limit() int { return Limit(d.Gate.Limits()) }

// maxCommands bounds the commands of one frame.
func (d *Door) maxCommands() int { return max(1000, d.Gate.Limits().Subscriptions+100) }

// register makes the session reachable for emulated commands. One that has ended
// already is not kept.
func (d *Door) register(c *conn) {
	d.mu.Lock()
	d.emulated[c.emulated.secret] = c
	d.mu.Unlock()
	if c.Reason() != "" {
		d.unregister(c.emulated.secret)
	}
}

func (d *Door) unregister(secret string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.emulated, secret)
}

// enqueue takes a frame of commands, to be handled behind those before it. It
// does not block. A client that sends faster than they are handled is ended.
func (c *conn) enqueue(frame []byte) {
	e := c.emulated
	e.mu.Lock()
	full := len(e.queue) >= queueFrames || len(e.queue) > 0 && e.queued+len(frame) > 2*c.door.limit()
	start := false
	if !full {
		e.queue = append(e.queue, frame)
		e.queued += len(frame)
		start = !e.working
		e.working = true
	}
	e.mu.Unlock()
	if full {
		c.closeWith(closeTooMany)
		return
	}
	if start && !c.door.start(c.work) {
		c.closeWith(closeShutdown)
	}
}

// work handles frames until none waits. A fault of ours costs this session
// alone, as it does over WebSocket.
func (c *conn) work() {
	defer func() {
		if r := recover(); r != nil {
			c.door.Log.Error("handling commands panicked", "panic", r, "stack", string(debug.Stack()))
			c.closeWith(closeError)
		}
	}()
	for {
		frame, ok := c.emulated.take()
		if !ok {
			return
		}
		if !c.ended() {
			c.frame(frame)
		}
	}
}

func (e *emulated) take() ([]byte, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		e.working = false
		return nil, false
	}
	frame := e.queue[0]
	e.queue[0] = nil
	e.queue = e.queue[1:]
	e.queued -= len(frame)
	return frame, true
}

// maxNode is the longest name of a node that is looked for.
const maxNode = 256

// emulationKind names the signal that carries commands between nodes: the
// session's secret, then a frame.
const emulationKind = "centrifuge"

func (d *Door) nodeID() string {
	if d.Peers == nil {
		return ""
	}
	return d.Peers.ID()
}

func (d *Door) route(ctx context.Context, req *protocol.EmulationRequest) error {
	if req.Node == d.nodeID() {
		d.enqueue(req.Session, req.Data)
		return nil
	}
	gone := problem.New(http.StatusNotFound, "no_such_node", "The node that had this session is gone; connect again.")
	if d.Peers == nil || req.Node == "" {
		return gone
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	reached, err := d.Peers.Forward(ctx, req.Node, emulationKind, slices.Concat([]byte(req.Session), req.Data))
	if err != nil {
		return err
	}
	if reached == 0 {
		return gone
	}
	return nil
}

// forwarded takes commands that came to another node.
func (d *Door) forwarded(data []byte) {
	if len(data) > 2*secretBytes {
		d.enqueue(string(data[:2*secretBytes]), slices.Clone(data[2*secretBytes:]))
	}
}

func (d *Door) enqueue(secret string, frame []byte) {
	d.mu.Lock()
	c := d.emulated[secret]
	d.mu.Unlock()
	if c != nil {
		c.enqueue(frame)
	}
}
