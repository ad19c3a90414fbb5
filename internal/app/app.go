// Package app puts a server together from its settings: New builds, Start
// runs, Stop takes down in reverse order.
//
// It owns the HTTP servers' goroutines and the wheel's; everything else it
// builds owns its own, and Stop waits for all of them.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"magpie/internal/api"
	"magpie/internal/config"
	"magpie/internal/descriptors"
	"magpie/internal/engine"
	"magpie/internal/metrics"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/transport/arrival"
)

// App is one running server.
type App struct {
	cfg     *config.Config
	log     *slog.Logger
	metrics *measures

	// Built by New.
	core       core
	transports transports
	trim       *trimmer
	centrifuge *centrifuge.Door
	health     api.Health
	server     *http.Server
	cert       *certificate // nil without TLS

	listener  *descriptors.Listener // from Start on
	internal  net.Listener          // from Start on; nil without internal_addr
	failed    chan error
	lifecycle lifecycle
}

// New builds a server and starts nothing. Errors say what to change. droppedLines
// counts what the log lost.
func New(cfg *config.Config, log *slog.Logger, droppedLines *metrics.Counter) (*App, error) {
	a := &App{cfg: cfg, log: log, failed: make(chan error, 1), metrics: newMeasures()}
	var err error
	if a.core, err = newCore(cfg, log, a.metrics); err != nil {
		return nil, err
	}
	if a.transports, err = newTransports(cfg, log, a.metrics); err != nil {
		return nil, err
	}
	a.trim = newTrimmer(a.core.node)
	a.health.Engine = a.core.engine
	a.metrics.watch(&a.core, &a.health)
	a.metrics.counter("magpie_log_lines_dropped_total", "Log lines that nobody read in time, or that nobody reads any more.", droppedLines)
	a.server = a.newServer()
	return a, nil
}

// Start returns when the server listens and its engine delivers, or with an
// error that says what to do; then Stop cleans up.
func (a *App) Start(ctx context.Context) error {
	listener, err := listen(ctx, a.cfg.Addr)
	if err != nil {
		return err
	}
	if a.cfg.TLS() {
		if a.cert, err = loadCertificate(a.cfg.TLSCert, a.cfg.TLSKey); err != nil {
			listener.Close()
			return err
		}
		a.server.TLSConfig = a.cert.config()
	}
	a.listener = descriptors.Listen(listener, a.log)
	a.metrics.counter("magpie_connections_refused_total", "Connections that were refused because file descriptors were used up.", &a.listener.Refused)
	l := &a.lifecycle
	l.started("listener", a.closeListener)
	if err := a.startInternal(ctx); err != nil {
		return err
	}
	a.startWheel()
	l.started("engine", a.core.engine.Close)
	if err := a.core.start(ctx); err != nil {
		return err
	}
	if err := a.shareGuestKey(ctx); err != nil {
		return err
	}
	a.core.auth.Prepare()
	l.started("token keys", a.core.auth.Close)
	l.started("hub", func(context.Context) error { a.core.hub.Close(); return nil })
	l.started("nodes", func(context.Context) error { a.core.peers.Close(); return nil })
	l.started("clients", a.centrifuge.Close)
	l.started("sockets", a.transports.sockets.Close)
	l.started("clients' sockets", a.transports.commands.Close)
	l.started("streams", a.transports.streams.Close)
	if err := a.startServer(); err != nil {
		return err
	}
	l.started("sessions", a.core.node.Drain)
	l.started("new connections", a.closeListener)
	l.started("balancers", a.waitForBalancers)
	l.started("readiness", func(context.Context) error { a.health.Drain(); return nil })
	return nil
}

func (c *core) start(ctx context.Context) error {
	return c.engine.Start(ctx, engine.Node{Sink: c.hub, Admit: c.gate.Admit, Signal: c.peers.Signal, Note: c.node.Note, Notes: c.node.Notes})
}

// startWheel runs the clock that pings and deadlines hang on, and the trimmer.
func (a *App) startWheel() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	a.lifecycle.started("memory", a.trim.stop)
	wheel := a.transports.wheel
	wheel.Add(&a.trim.timer, trimEvery)
	go func() {
		defer close(done)
		wheel.Run(ctx)
	}()
	a.lifecycle.started("wheel", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// startServer serves requests. Its undoing waits for requests under way;
// sessions have ended by then.
func (a *App) startServer() error {
	connections, err := a.arrivals()
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	overflow := a.newOverflow()
	serving.Go(func() { a.serve(a.server, connections) })
	serving.Go(func() { a.serve(overflow, a.listener.Overflow()) })
	a.lifecycle.started("requests", func(ctx context.Context) error {
		var errs []error
		for _, s := range []*http.Server{overflow, a.server} {
			// The listener may have been closed by a step before this one.
			err := ignoreClosed(s.Shutdown(ctx))
			if err != nil {
				s.Close()
			}
			errs = append(errs, err)
		}
		serving.Wait()
		return errors.Join(errs...)
	})
	return nil
}

// arrivals are the connections to serve: over plain HTTP those that have asked
// something.
func (a *App) arrivals() (net.Listener, error) {
	var proxies func(net.Addr) bool
	if a.cfg.ProxyProtocol {
		proxies = a.core.addresses.Proxies().CoverAddr
	}
	switch {
	case a.cfg.TLS() && proxies != nil:
		return arrival.Announced(a.listener, proxies, a.server.ReadHeaderTimeout), nil
	case a.cfg.TLS():
		return a.listener, nil
	}
	l, err := arrival.Listen(a.listener, arrival.Config{
		Wheel: a.transports.wheel, Within: a.server.ReadHeaderTimeout, MaxHead: maxHeader + 4<<10, Proxies: proxies, Log: a.log, // as much as the library reads
	})
	if err == nil {
		a.metrics.gauge("magpie_connections_waiting", "Connections that have not sent the whole head of a request yet.", func() float64 { return float64(l.Len()) })
	}
	return l, err
}

// waitForBalancers leaves the port open for drain_delay, so that whoever sends
// clients here sees that the node is not ready. It ends with ctx.
func (a *App) waitForBalancers(ctx context.Context) error {
	timer := time.NewTimer(a.cfg.Times.DrainDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reload reads again what can be while the server runs, and returns the names
// of the settings; none when there is nothing. With an error all stays as it
// was. It may be called from Start's return on.
func (a *App) Reload() (read []string, err error) {
	keys, err := config.ReadKeyFiles(a.cfg.TokenKeyFiles)
	if err != nil {
		return nil, err
	}
	if a.cert != nil {
		pair, err := a.cert.read()
		if err != nil {
			return nil, err
		}
		a.cert.now.Store(pair)
		read = append(read, "tls_cert", "tls_key")
	}
	if len(a.cfg.TokenKeyFiles) > 0 {
		a.core.auth.SetPublic(keys)
		read = append(read, "token_public_keys")
	}
	return read, nil
}

// Stop takes down what Start started, last first: not ready, after
// drain_delay no new connections, sessions closed in batches with a close message that asks to
// come back, requests under way ended, then hub, engine and the rest. Every
// step is taken even when one before it failed or ctx has ended. A second call
// does nothing.
func (a *App) Stop(ctx context.Context) error { return a.lifecycle.stop(ctx) }

// Wait yields an error when the server cannot go on.
func (a *App) Wait() <-chan error { return a.failed }

// Addr is the address that the server listens on, from Start on.
func (a *App) Addr() string {
	if a.listener == nil {
		return a.cfg.Addr
	}
	return a.listener.Addr().String()
}

func (a *App) closeListener(context.Context) error { return ignoreClosed(a.listener.Close()) }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
