package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/app"
	"magpie/internal/build"
	"magpie/internal/config"
)

// application is what serve runs. Start returns when the server listens and
// is ready; Wait yields an error when it cannot go on; Reload reads again what
// can be and returns the names of the settings; Stop drains, within its context,
// and may be called more than once.
type application interface {
	Start(context.Context) error
	Addr() string
	Wait() <-chan error
	Reload() ([]string, error)
	Stop(context.Context) error
}

func (c *command) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: noArgs,
		Long: "Run the server. Settings come from flags, MAGPIE_ variables and a YAML file; the first that has one\nwins. \"magpie config doc\" prints the page about all of them.",
	}
	c.withSettings(cmd, allSettings, func(cfg *config.Config, _ []string) error {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		defer signal.Stop(signals)
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP) // to the end: it must not end the process
		text := cfg.Log.Format == "text" || cfg.Log.Format == "auto" && isTerminal(c.err)
		log, dropped := c.detach(cfg.Log.Level, text)
		a, err := app.New(cfg, log, dropped)
		if err != nil {
			return explain(cfg, err)
		}
		s := serving{app: a, cfg: cfg, log: log, signals: signals, hangups: hangups}
		if text { // a person reads it; where a machine does, standard output stays empty
			s.hints = func(cfg *config.Config, addr string) { io.WriteString(c.out, hintText(cfg, addr)) }
		}
		return s.run()
	})
	return cmd
}

// serving is one run of the server, from start to the end of its shutdown.
type serving struct {
	app     application
	cfg     *config.Config
	log     *slog.Logger
	signals <-chan os.Signal
	hangups <-chan os.Signal
	hints   func(cfg *config.Config, addr string) // nil: none
}

// run starts the application, waits for a signal or a failure and stops it.
// The first signal starts the shutdown. A second one ends the process at once,
// also during a start or a shutdown that hangs.
func (s *serving) run() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- s.app.Start(ctx) }()
	select {
	case err := <-started:
		if err != nil {
			return errors.Join(explain(s.cfg, err), s.stop())
		}
	case sig := <-s.signals:
		s.log.Info("stopping before the start was done", "signal", sig.String())
		cancel()
		select {
		case <-started: // Stop must not run beside Start
			return s.stop()
		case sig = <-s.signals:
			return cut(sig)
		}
	}
	s.announce()
	if s.hints != nil {
		s.hints(s.cfg, s.app.Addr())
	}
	for {
		select {
		case <-s.hangups:
			s.reload()
		case sig := <-s.signals:
			s.log.Info("stopping", "signal", sig.String(), "drain_delay", s.cfg.Times.DrainDelay.String(), "at_most", s.patience().String())
			err := s.stop()
			if err == nil {
				s.log.Info("stopped")
			}
			return err
		case err := <-s.app.Wait():
			return errors.Join(fmt.Errorf("the server had to end: %w", err), s.stop())
		}
	}
}

// patience is how long a shutdown may take.
func (s *serving) patience() time.Duration {
	return s.cfg.Times.DrainDelay + s.cfg.Times.DrainTimeout
}

// reload answers SIGHUP, which is also what a terminal sends that goes away.
func (s *serving) reload() {
	switch read, err := s.app.Reload(); {
	case err != nil:
		s.log.Error("SIGHUP: nothing was reloaded; what was read before stays", "error", err)
	case len(read) == 0:
		s.log.Info("SIGHUP: ignored, as there is nothing to reload; settings are read at the start only")
	default:
		s.log.Info("SIGHUP: reloaded", "read", strings.Join(read, ", "))
	}
}

// announce logs where the server listens, with which engine, and who gets in.
func (s *serving) announce() {
	engine := cmp.Or(config.RedactURL(s.cfg.Redis), "embedded engine")
	guests := cmp.Or(strings.Join(s.cfg.Rules.ForGuests(), " "), "nothing")
	s.log.Info("serving", "version", build.Version(), "addr", s.app.Addr(), "node", s.cfg.Node, "engine", engine,
		"open_to_guests", guests)
	if s.cfg.Internal != "" {
		s.log.Info("metrics, reasons and profiles", "internal_addr", s.cfg.Internal)
	}
	for _, w := range s.cfg.Warnings() {
		s.log.Warn(w.Text, "setting", w.Source)
	}
	if s.cfg.Open {
		s.log.Warn("open mode: anyone who reaches this address may join and publish", "addr", s.app.Addr())
	}
}

func (s *serving) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.app.Stop(ctx) }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("the shutdown was not clean: %w", err)
		}
		return nil
	case sig := <-s.signals:
		return cut(sig)
	}
}

func cut(sig os.Signal) error {
	code := exitSignals
	if number, ok := sig.(syscall.Signal); ok {
		code += int(number)
	}
	return exit{code, fmt.Sprintf("a second signal (%s) cut the shutdown short", sig)}
}

// explain says what to do about the errors that are frequent at a start. Other
// errors stay as they are.
func explain(cfg *config.Config, err error) error {
	op, _ := errors.AsType[*net.OpError](err)
	listening := op != nil && op.Op == "listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens on %s already; stop it, or choose another address with --addr (MAGPIE_ADDR), such as --addr localhost:8081", cfg.Addr)
	case errors.Is(err, syscall.EACCES) && listening:
		return fmt.Errorf("this user may not listen on %s; choose a port from 1024 on with --addr (MAGPIE_ADDR)", cfg.Addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && listening:
		return fmt.Errorf("%s is no address of this machine; choose one with --addr (MAGPIE_ADDR), such as --addr localhost:8080", cfg.Addr)
	}
	return err
}
