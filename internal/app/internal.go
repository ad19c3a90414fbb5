package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"magpie/internal/config"
	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/problem"
)

// startInternal listens on internal_addr for those who run the node: health with
// its reasons, metrics, profiles. It answers before the engine starts and until
// everything else has ended.
func (a *App) startInternal(ctx context.Context) error {
	if a.cfg.Internal == "" {
		return nil
	}
	l, err := listen(ctx, a.cfg.Internal)
	if err != nil {
		return fmt.Errorf("internal_addr: %w", err)
	}
	a.internal = l
	s := &http.Server{
		Handler:           a.internalHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	a.lifecycle.started("internal listener", func(context.Context) error {
		return errors.Join(s.Close(), ignoreServerClosed(<-served))
	})
	return nil
}

func ignoreServerClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (a *App) internalHandler() http.Handler {
	missing := problem.Handle(a.log, func(http.ResponseWriter, *http.Request) error {
		return problem.New(http.StatusNotFound, "not_found", "Here are /livez, /readyz, /metrics and /debug/pprof/.")
	})
	r := router(a.log, missing, &a.health, a.metrics, profiles{})
	if !config.Loopback(a.cfg.Internal) {
		return r
	}
	// Who gave it a name of this machine means this machine.
	return door.ThisMachine(a.log, r, fault.New(fault.Forbidden, "not allowed: internal_addr is for this machine; ask for localhost or 127.0.0.1"))
}

// profiles are those of the Go runtime (https://pkg.go.dev/net/http/pprof), but
// for cmdline: a command line may hold secrets.
type profiles struct{}

// Routes are the paths of the profiles.
func (profiles) Routes() []door.Route {
	route := func(path string, h http.HandlerFunc) door.Route {
		return door.Local("GET", "/debug/pprof/"+path, page(h))
	}
	return []door.Route{route("{name...}", pprof.Index), route("profile", pprof.Profile), route("symbol", pprof.Symbol), route("trace", pprof.Trace)}
}

// publicRoutes are what strangers may know of the node's state.
func (a *App) publicRoutes() []routed {
	if a.cfg.Internal == "" {
		return []routed{&a.health, a.metrics}
	}
	list := []routed{a.health.Public()}
	if a.cfg.PublicMetrics {
		list = append(list, a.metrics)
	}
	return list
}
