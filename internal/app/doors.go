package app

import (
	"log/slog"
	"net/http"
	"time"

	"magpie/internal/api"
	"magpie/internal/build"
	"magpie/internal/config"
	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/problem"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/protocol/raw"
	"magpie/internal/protocol/sse"
	"magpie/internal/transport/arrival"
	"magpie/internal/transport/stream"
	"magpie/internal/transport/ws"
	"magpie/internal/wheel"
)

// transports are how bytes travel, and the clock that they share.
type transports struct {
	wheel   *wheel.Wheel
	sockets *ws.Server // the raw door's
	// commands are the sockets of the Centrifuge door: a command is longer than
	// its payload, and the protocol has pings of its own, behind which those of
	// WebSocket stay silent.
	commands *ws.Server
	streams  *stream.Server
	pong     time.Duration // how long a Centrifuge client has to answer a ping
}

// wheelTick is the grain of pings and deadlines.
const wheelTick = 100 * time.Millisecond

func newTransports(cfg *config.Config, log *slog.Logger, m *measures) (transports, error) {
	t := cfg.Times
	all := transports{wheel: wheel.New(wheelTick), pong: min(8*time.Second, t.PongTimeout, t.PingInterval*2/3)}
	c := ws.Config{
		MaxMessage: cfg.Limits.MaxPayload, WriteTimeout: t.WriteTimeout, PingEvery: t.PingInterval, PongWait: t.PongTimeout,
		Wheel: all.wheel, Log: log, Received: m.messageIn(), Deflate: cfg.Compression,
	}
	var err error
	if all.sockets, err = ws.New(c); err != nil {
		return all, err
	}
	c.MaxMessage, c.PingEvery = centrifuge.Limit(limitsOf(cfg)), t.PingInterval+all.pong+2*time.Second
	if all.commands, err = ws.New(c); err != nil {
		return all, err
	}
	all.streams, err = stream.New(stream.Config{WriteTimeout: t.WriteTimeout, Log: log})
	return all, err
}

// idleTimeout is how long a connection may be kept alive that asks nothing. It
// must be longer than that of the proxies in front, or one sends a request, such
// as a POST that it may not repeat, into a connection that is being closed here:
// clients see 502. AWS's load balancers keep connections for 60 s, nginx for 60 s
// to 75 s.
const idleTimeout = 2 * time.Minute

const maxHeader = 16 << 10

// newServer builds the doors and the server that they answer on.
func (a *App) newServer() *http.Server {
	c, t := &a.core, &a.transports
	access := door.Access{Auth: c.auth, Origins: door.Origins{Allowed: a.cfg.AllowedOrigins}, Addresses: c.addresses}
	a.centrifuge = centrifuge.New(centrifuge.Config{
		Node: c.node, Gate: c.gate, Access: access, Sockets: t.commands, Streams: t.streams, Wheel: t.wheel, Peers: c.peers,
		Log: a.log, Version: "Magpie " + build.Version(),
		Ping: a.cfg.Times.PingInterval, Pong: t.pong, Personal: a.cfg.PersonalSubscribe,
	})
	a.metrics.clients(a.centrifuge)
	server := a.newServerAPI(access)
	a.metrics.calls(server, c.peers)
	return &http.Server{
		Handler: bound(oneLength(a.log, a.ownNamesOnly(router(a.log, newPages(a.cfg), append(a.publicRoutes(),
			raw.New(raw.Config{Node: c.node, Gate: c.gate, Access: access, Sockets: t.sockets}),
			sse.New(sse.Config{Node: c.node, Gate: c.gate, Access: access, Streams: t.streams, Wheel: t.wheel, Heartbeat: a.cfg.Times.PingInterval}),
			a.centrifuge,
			api.New(api.Config{Gate: c.gate, Access: access}),
			server,
		)...))), a.health.Draining),
		ConnContext:       arrival.WithConn,
		ReadHeaderTimeout: 5 * time.Second, // slow headers (slowloris)
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// ownNamesOnly keeps a server to this machine that is open only because its
// address is this machine's.
func (a *App) ownNamesOnly(h http.Handler) http.Handler {
	if !a.cfg.OpenMode() || a.cfg.Open {
		return h
	}
	return door.ThisMachine(a.log, h, &fault.Fault{Kind: fault.Forbidden, Setting: "open",
		Message: "not allowed: this server is open to everyone and so answers only as localhost; to use it under another name set token_secret, or start it with --open"})
}

// newServerAPI builds the API for servers. Without a key it is open where the
// whole server is open because only this machine reaches it; --open, which
// opens the doors to others, does not open it.
func (a *App) newServerAPI(access door.Access) *api.Server {
	open := a.cfg.OpenMode() && !a.cfg.Open && len(a.cfg.APIKeys) == 0
	return api.NewServer(api.ServerConfig{
		Gate: a.core.gate, Peers: a.core.peers, Log: a.log, Open: open, Access: access,
	})
}

// page is a handler of the library as one of ours.
func page(h http.Handler) problem.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}
