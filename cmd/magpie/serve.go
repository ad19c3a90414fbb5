package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"magpie/internal/build"
	"magpie/internal/config"
)

// application is what serve runs. Start returns when the server listens and
// is ready; Wait yields an error when it cannot go on; Stop drains, within
// its context, and may be called more than once.
type application interface {
	Start(context.Context) error
	Addr() string
	Wait() <-chan error
	Stop(context.Context) error
}

func (c *command) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: noArgs,
		Long: "Run the server. Settings come from flags, MAGPIE_ variables and a YAML file; the first that has one\nwins. \"magpie config doc\" prints the page about all of them.",
	}
	load := c.withSettings(cmd, "all")
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		defer signal.Stop(signals)
		log := newLogger(cfg.Log, c.err)
		app, err := newApplication(cfg, log)
		if err != nil {
			return explain(cfg, err)
		}
		s := serving{app: app, cfg: cfg, log: log, signals: signals, hints: c.hints}
		return s.run()
	}
	return cmd
}

// serving is one run of the server, from start to the end of its shutdown.
type serving struct {
	app     application
	cfg     *config.Config
	log     *slog.Logger
	signals <-chan os.Signal
	hints   func(cfg *config.Config, addr string)
}

// run starts the application, waits for a signal or a failure and stops it.
// A first signal asks; a second one is obeyed at once, even in the middle of
// a start or a shutdown that hangs.
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
	s.hints(s.cfg, s.app.Addr())
	select {
	case sig := <-s.signals:
		s.log.Info("stopping", "signal", sig.String(), "at_most", s.cfg.Times.DrainTimeout.String())
		err := s.stop()
		if err == nil {
			s.log.Info("stopped")
		}
		return err
	case err := <-s.app.Wait():
		return errors.Join(fmt.Errorf("the server had to end: %w", err), s.stop())
	}
}

// announce is the line that an operator looks for after the fact: where, with
// what behind it, and who gets in.
func (s *serving) announce() {
	behind := "embedded engine"
	if s.cfg.Redis != "" {
		behind = config.RedactURL(s.cfg.Redis)
	}
	s.log.Info("serving", "version", build.Version(), "addr", s.app.Addr(), "node", s.cfg.Node, "engine", behind,
		"open_to_guests", openTo(s.cfg.Rules.ForGuests()))
	for _, w := range s.cfg.Warnings() {
		s.log.Warn(w.Text, "setting", w.Source)
	}
	if s.cfg.Open {
		s.log.Warn("open mode: anyone who reaches this address may join and publish", "addr", s.app.Addr())
	}
}

// openTo says which channels somebody who shows nothing can reach.
func openTo(rules []string) string {
	if len(rules) == 0 {
		return "nothing"
	}
	return strings.Join(rules, " ")
}

func (s *serving) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Times.DrainTimeout)
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

// explain puts what often goes wrong at the start into one sentence that says
// what to do. Everything else keeps its own words.
func explain(cfg *config.Config, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens on %s already; stop it, or choose another address with --addr (MAGPIE_ADDR), such as --addr localhost:8081", cfg.Addr)
	case errors.Is(err, syscall.EACCES) && isListen(err):
		return fmt.Errorf("this user may not listen on %s; choose a port from 1024 on with --addr (MAGPIE_ADDR)", cfg.Addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && isListen(err):
		return fmt.Errorf("%s is no address of this machine; choose one with --addr (MAGPIE_ADDR), such as --addr localhost:8080", cfg.Addr)
	}
	return err
}
