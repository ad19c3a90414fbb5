// Package centrifuge is the door of the Centrifuge client protocol, version 2
// (definitions/client.proto in github.com/centrifugal/protocol): over
// WebSocket, HTTP streaming and Server-Sent Events, in JSON and in Protobuf.
// Its official clients work as with the server they were written for.
//
// It holds no channel's state: channels, logs, permissions and outboxes are
// the hub's and the session's. It has no application behind it, so rpc is
// refused and send goes nowhere; map and shared poll subscriptions are not
// part of it.
//
// Its goroutines: one that publishes joins and leaves while there are some, and
// one per emulated session while it has commands or per server's order to
// subscribe. Close waits for all of them. Pings, deadlines and expiry run on
// the node's wheel.
package centrifuge

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"magpie/internal/auth"
	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/metrics"
	"magpie/internal/node"
	"magpie/internal/transport/stream"
	"magpie/internal/transport/ws"
	"magpie/internal/wheel"
)

// Config is what New needs. It has more than 15 fields because a client is told
// and held to that many times and limits.
type Config struct {
	Node    *node.Node
	Gate    *node.Gate
	Access  door.Access
	Sockets *ws.Server
	Streams *stream.Server
	Wheel   *wheel.Wheel
	Peers   Peers // nil: there are no other nodes
	// Log receives faults of this door (discards by default).
	Log *slog.Logger
	// Personal subscribes users to their own channel unasked.
	Personal bool
	// Version is what clients are told about the server.
	Version string

	// Ping is how often clients are pinged (25 s) and Pong how long they have to
	// answer (8 s). Clients give a server up that is silent for 10 s longer.
	Ping, Pong time.Duration
	// Stale is how long a client has to connect (10 s); Grace how long a session
	// or subscription lives on behind its token, so that a refresh that is on its
	// way arrives (25 s).
	Stale, Grace time.Duration
	// Timeout bounds what one command waits for the engine (4 s): clients give a
	// command up after 5 s and are then told nothing.
	Timeout time.Duration
	// MaxBacklog is how much of what it missed may wait for one session, in
	// bytes (32 MB). Past it recovery is refused for a moment.
	MaxBacklog int
}

// Peers carries emulated commands to the node that has the session.
type Peers interface {
	ID() string
	Forward(ctx context.Context, node, kind string, data []byte) (reached int, err error)
	Handle(kind string, f func(data []byte))
}

// Metrics counts the door's work.
type Metrics struct {
	Commands metrics.Counter // commands of clients
	Refused  metrics.Counter // commands answered with an error
	Dropped  metrics.Counter // messages of clients that nobody takes (send)
	Emulated metrics.Counter // requests that brought commands of emulated sessions
	News     metrics.Counter // joins and leaves that could not be published
}

// Door accepts Centrifuge clients. All methods are safe for concurrent use.
type Door struct {
	Config
	Metrics Metrics
	news    announcer
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows; memory only
	closed   bool
	emulated map[string]*conn // by the secret that their clients show
}

// New returns a door. Close ends what it starts.
func New(c Config) *Door {
	defaultTo(&c.Ping, 25*time.Second)
	defaultTo(&c.Pong, min(8*time.Second, c.Ping*2/3))
	defaultTo(&c.Stale, 10*time.Second)
	defaultTo(&c.Grace, 25*time.Second)
	defaultTo(&c.Timeout, 4*time.Second)
	defaultTo(&c.MaxBacklog, 32<<20)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Door{Config: c, emulated: map[string]*conn{}}
	d.news.door = d
	if c.Peers != nil {
		c.Peers.Handle(emulationKind, d.forwarded)
	}
	return d
}

func defaultTo[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Close waits for the door's goroutines, or until ctx ends. Its sessions must
// have been closed before.
func (d *Door) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start runs f on a goroutine that Close waits for; false after Close.
func (d *Door) start(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.running.Go(f)
	return true
}

// subprotocols are spoken over WebSocket; without one it is JSON.
var subprotocols = []string{protobufName, "centrifuge-json"}

const protobufName = "centrifuge-protobuf"

// Routes are the paths of this door.
func (d *Door) Routes() []door.Route {
	return []door.Route{
		door.Any("/connection/websocket", d.serveSocket),
		door.Post("/connection/http_stream", d.serveHTTPStream, d.Access),
		door.Get("/connection/sse", d.serveEvents, d.Access),
		door.Post("/emulation", d.serveEmulation, d.Access),
	}
}

func socketForm(proto, deflate bool) *form {
	switch {
	case proto && deflate:
		return protoDeflated
	case proto:
		return protoSocket
	case deflate:
		return jsonDeflated
	}
	return jsonSocket
}

// serveSocket answers GET /connection/websocket. The choice of Protobuf has two
// names in URLs.
func (d *Door) serveSocket(w http.ResponseWriter, r *http.Request) error {
	from, err := d.Access.Addresses.Arrive(r)
	if err != nil {
		return err
	}
	if err := d.Sockets.Check(r); err != nil {
		return err
	}
	if err := d.Access.Origins.Check(r); err != nil {
		return err
	}
	q, err := door.ParseQuery(r)
	if err != nil {
		return err
	}
	token, err := door.Token(r)
	if err != nil {
		return err
	}
	c := d.newConn(jsonSocket)
	c.token = strings.Clone(token) // else it keeps the whole request
	if err := d.Node.Open(&c.Session, c, auth.Identity{Kind: auth.Guest}, from); err != nil {
		return err
	}
	socket, err := d.Sockets.Accept(w, r, subprotocols, c)
	if err != nil {
		c.Close(fault.ReasonClient)
		return door.Answerable(err)
	}
	proto := socket.Subprotocol() == protobufName || q.Get("cf_protocol") == "protobuf" || q.Get("format") == "protobuf"
	c.form = socketForm(proto, socket.Deflates())
	d.Wheel.Add(&c.timer, d.Stale)
	c.AttachSocket(socket, c.socketCloseMessage)
	return nil
}
