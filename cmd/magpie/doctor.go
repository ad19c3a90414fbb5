package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/config"
	"magpie/internal/engine/redis/diagnose"
)

func (c *command) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Args: noArgs,
		Short: "Look at settings, address and Redis, and say what to do about each problem",
	}
	return c.withSettings(cmd, "", func(cfg *config.Config, _ []string) error {
		ctx, stop := untilSignal()
		defer stop()
		e := examination{out: c.out}
		e.settings(cfg)
		e.address(ctx, cfg)
		e.redis(ctx, cfg)
		if e.bad > 0 {
			return exit{exitFailed, fmt.Sprintf("%d to mend", e.bad)}
		}
		return nil
	})
}

// examination is one run of the doctor. It changes nothing, neither here nor in
// Redis.
type examination struct {
	out io.Writer
	bad int
}

func (e *examination) ok(format string, args ...any)   { e.line("ok  ", format, args...) }
func (e *examination) note(format string, args ...any) { e.line("note", format, args...) }
func (e *examination) wrong(format string, args ...any) {
	e.bad++
	e.line("BAD ", format, args...)
}

func (e *examination) line(mark, format string, args ...any) {
	fmt.Fprintf(e.out, "%s  %s\n", mark, fmt.Sprintf(format, args...))
}

func (e *examination) settings(cfg *config.Config) {
	e.ok("settings: nothing wrong with them")
	for _, w := range cfg.Warnings() {
		e.note("settings: %s", w)
	}
	switch {
	case !cfg.OpenMode() && len(cfg.APIKeys) == 0:
		e.note("access: clients need a token; no server can publish over HTTP until you set --api-key (MAGPIE_API_KEY)")
	case !cfg.OpenMode():
		e.ok("access: clients need a token, servers an API key")
	case config.Loopback(cfg.Addr):
		e.note("access: open mode, anyone who reaches %s may join and publish; set --token-secret (MAGPIE_TOKEN_SECRET) before a proxy is put in front", cfg.Addr)
	default:
		e.note("access: --open lets anyone on the network join and publish; set --token-secret (MAGPIE_TOKEN_SECRET) instead when that is not meant")
	}
}

func (e *examination) address(ctx context.Context, cfg *config.Config) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Addr)
	if err == nil {
		ln.Close()
		e.ok("address: %s is free", cfg.Addr)
		return
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		e.wrong("address: %s", explain(cfg, err))
		return
	}
	url := localURL(cfg, cfg.Addr)
	switch status, err := readiness(ctx, url); {
	case err == nil && status == http.StatusOK:
		e.ok("address: a server is up at %s and ready", url)
	case err == nil && status == http.StatusServiceUnavailable:
		why := url
		if cfg.Internal != "" {
			why = "http://" + cfg.Internal
		}
		e.wrong("address: a server is up at %s and says that it is not ready; open %s/readyz to read why", url, why)
	default:
		e.wrong("address: another program than Magpie listens on %s; stop it, or choose another address with --addr (MAGPIE_ADDR)", cfg.Addr)
	}
}

func readiness(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	// The server's certificate need not be for the name localhost. Nothing
	// secret is sent, and only the status is used.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (e *examination) redis(ctx context.Context, cfg *config.Config) {
	if cfg.Redis == "" {
		e.note("redis: none; logs live in this process and end with it, and one node is all there is; set --redis (MAGPIE_REDIS) to share and keep them")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, f := range diagnose.Look(ctx, diagnose.Subject{URL: cfg.Redis, Prefix: cfg.Prefix, Streams: len(cfg.Ingest.Streams) > 0}) {
		switch f.Level {
		case diagnose.Fine:
			e.ok("redis: %s", f.Text)
		case diagnose.Notable:
			e.note("redis: %s", f.Text)
		default:
			e.wrong("redis: %s", f.Text)
		}
	}
}
