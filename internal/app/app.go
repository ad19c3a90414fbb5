// Package app puts a server together from its settings: New builds, Start
// runs, Stop takes down in reverse order.
//
// It owns the HTTP server's goroutine and the wheel's; everything else it
// builds owns its own, and Stop waits for all of them.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"magpie/internal/api"
	"magpie/internal/auth"
	"magpie/internal/config"
	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/nodes"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/protocol/raw"
	"magpie/internal/protocol/sse"
	"magpie/internal/session"
	"magpie/internal/transport/stream"
	"magpie/internal/transport/ws"
	"magpie/internal/wheel"
)

// App is one running server.
type App struct {
	cfg *config.Config
	log *slog.Logger

	// Built by New, in this order.
	engine  engine.Engine
	hub     *hub.Hub
	auth    *auth.Authorizer
	node    *session.Node
	nodes   *nodes.Nodes
	wheel   *wheel.Wheel
	trim    *trimmer
	sockets *ws.Server
	streams *stream.Server
	clients *centrifuge.Door
	cfs     *ws.Server // its sockets
	health  api.Health
	server  *http.Server
	metrics *measures

	listener net.Listener // from Start on
	failed   chan error

	mu       sync.Mutex // guards what follows
	teardown []step     // in the order in which things were begun
}

// step undoes one thing that was begun. It ends by its context.
type step struct {
	name string
	undo func(context.Context) error
}

// New builds a server and begins nothing. Errors say what to change.
func New(cfg *config.Config, log *slog.Logger) (*App, error) {
	a := &App{cfg: cfg, log: log, failed: make(chan error, 1), metrics: newMeasures()}
	var err error
	if a.engine, err = newEngine(cfg, log, a.metrics); err != nil {
		return nil, err
	}
	a.wheel = wheel.New(wheelTick)
	a.hub = hub.New(hub.Config{Engine: a.engine, Rules: cfg.Rules, Log: log, Coalesce: cfg.Times.Coalesce})
	who, err := newAuthorizer(cfg, log)
	if err != nil {
		return nil, err
	}
	a.auth = who
	a.node = session.NewNode(session.Config{
		Hub: a.hub, Engine: a.engine, Auth: who,
		MaxPayload: cfg.Limits.MaxPayload, Outbox: cfg.Limits.Outbox, Subscriptions: cfg.Limits.Subscriptions,
	})
	a.trim = newTrimmer(a.node)
	a.nodes = nodes.New(nodes.Config{Bus: a.engine, Node: a.node, Hub: a.hub, Log: log, Name: cfg.Node})
	if a.sockets, err = ws.New(ws.Config{
		MaxMessage: cfg.Limits.MaxPayload, WriteTimeout: cfg.Times.WriteTimeout,
		PingEvery: cfg.Times.PingInterval, PongWait: cfg.Times.PongTimeout,
		Wheel: a.wheel, Log: log, Received: a.metrics.messageIn(),
	}); err != nil {
		return nil, err
	}
	if a.streams, err = stream.New(stream.Config{WriteTimeout: cfg.Times.WriteTimeout, Log: log}); err != nil {
		return nil, err
	}
	if err := a.newCentrifuge(who); err != nil {
		return nil, err
	}
	a.health.Engine = a.engine
	a.metrics.watch(a.hub, a.node, &a.health)
	a.server = a.newServer(who)
	return a, nil
}

// wheelTick is the grain of pings and deadlines.
const wheelTick = 100 * time.Millisecond

// origins says whose pages may come. Open only because the address is this
// machine's: then it must stay so.
func (a *App) origins() auth.Origins {
	return auth.Origins{Allowed: a.cfg.AllowedOrigins, LocalOnly: a.cfg.OpenMode() && !a.cfg.Open}
}

func (a *App) newServer(who *auth.Authorizer) *http.Server {
	origins := a.origins()
	server := a.newServerAPI(who)
	a.metrics.calls(server, a.nodes)
	doors := doors{
		server:  server,
		log:     a.log,
		api:     api.New(api.Config{Node: a.node, Auth: who, Origins: origins}),
		health:  &a.health,
		raw:     raw.New(raw.Config{Node: a.node, Auth: who, Origins: origins, Server: a.sockets, Token: api.Token}),
		sse:     sse.New(sse.Config{Node: a.node, Auth: who, Origins: origins, Streams: a.streams, Wheel: a.wheel, Heartbeat: a.cfg.Times.PingInterval, Token: api.Token}),
		cf:      a.clients,
		pages:   newPages(a.cfg),
		metrics: a.metrics.handler(),
	}
	return &http.Server{
		Handler:           doors.routes(),
		ReadHeaderTimeout: 5 * time.Second,  // slow headers (slowloris)
		IdleTimeout:       60 * time.Second, // kept-alive connections that ask nothing
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// newServerAPI builds the API for servers. Without a key it is open where the
// whole server is open because only this machine reaches it; --open, which
// opens the doors to others, does not open it.
func (a *App) newServerAPI(who *auth.Authorizer) *api.Server {
	open := a.cfg.OpenMode() && !a.cfg.Open && len(a.cfg.APIKeys) == 0
	return api.NewServer(api.ServerConfig{
		Node: a.node, Nodes: a.nodes, Auth: who, Rules: a.cfg.Rules, Log: a.log, Open: open,
		Origins: auth.Origins{Allowed: a.cfg.AllowedOrigins, LocalOnly: open},
	})
}

// Start returns when the server listens and its engine delivers, or with an
// error that says what to do; then Stop cleans up.
func (a *App) Start(ctx context.Context) error {
	listener, err := listen(ctx, a.cfg.Addr)
	if err != nil {
		return err
	}
	if a.cfg.TLS() {
		if a.server.TLSConfig, err = tlsConfig(a.cfg); err != nil {
			listener.Close()
			return err
		}
	}
	a.listener = listener
	a.begun("listener", func(context.Context) error { return ignoreClosed(listener.Close()) })
	a.startWheel()
	a.begun("engine", a.engine.Close)
	if err := a.engine.Start(ctx, engine.Node{Sink: a.hub, Signal: a.nodes.Signal}); err != nil {
		return err
	}
	if err := a.shareGuestKey(ctx); err != nil {
		return err
	}
	a.auth.Prepare()
	a.begun("token keys", a.auth.Close)
	a.begun("hub", func(context.Context) error { a.hub.Close(); return nil })
	a.begun("nodes", func(context.Context) error { a.nodes.Close(); return nil })
	a.begun("clients", a.clients.Close)
	a.begun("sockets", a.sockets.Close)
	a.begun("clients' sockets", a.cfs.Close)
	a.begun("streams", a.streams.Close)
	a.startServer()
	a.begun("sessions", a.node.Drain)
	a.begun("new connections", func(context.Context) error { return ignoreClosed(listener.Close()) })
	a.begun("readiness", func(context.Context) error { a.health.Drain(); return nil })
	return nil
}

func (a *App) startWheel() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	a.begun("memory", a.trim.stop)
	a.wheel.Add(&a.trim.timer, trimEvery)
	go func() {
		defer close(done)
		a.wheel.Run(ctx)
	}()
	a.begun("wheel", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// startServer serves requests. Its undoing waits for requests under way;
// sessions have ended by then.
func (a *App) startServer() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if a.cfg.TLS() {
			err = a.server.ServeTLS(a.listener, "", "")
		} else {
			err = a.server.Serve(a.listener)
		}
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			a.failed <- err
		}
	}()
	a.begun("requests", func(ctx context.Context) error {
		// The listener may have been closed by a step before this one.
		err := ignoreClosed(a.server.Shutdown(ctx))
		if err != nil {
			a.server.Close()
		}
		<-done
		return err
	})
}

func (a *App) begun(name string, undo func(context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.teardown = append(a.teardown, step{name, undo})
}

// Stop takes down what Start began, last first: not ready, no new
// connections, sessions closed in batches with a word to come back, requests
// under way ended, then hub, engine and the rest. Every step is taken even
// when one before it failed or ctx has ended. A second call does nothing.
func (a *App) Stop(ctx context.Context) error {
	a.mu.Lock()
	steps := a.teardown
	a.teardown = nil
	a.mu.Unlock()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := steps[i].undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", steps[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// Wait yields an error when the server cannot go on.
func (a *App) Wait() <-chan error { return a.failed }

// Addr is the address that the server listens on, from Start on.
func (a *App) Addr() string {
	if a.listener == nil {
		return a.cfg.Addr
	}
	return a.listener.Addr().String()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
