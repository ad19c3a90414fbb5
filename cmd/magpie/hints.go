package main

import (
	"net"
	"strings"

	"magpie/internal/config"
	"magpie/internal/engine/redis"
)

// hintText is commands to try next, ready to paste.
func hintText(cfg *config.Config, addr string) string {
	hint := struct {
		*config.Config
		Base, CLI, Function string
	}{Config: cfg, Base: localURL(cfg, addr), CLI: redis.CLI(cfg.Redis)}
	if cfg.Redis != "" && cfg.Prefix != config.DefaultPrefix {
		hint.Function = redis.FunctionName(cfg.Prefix)
	}
	var b strings.Builder
	if err := pages.ExecuteTemplate(&b, "hints.tmpl", hint); err != nil {
		return err.Error() // a test reads every line
	}
	return b.String()
}

// localURL is where a browser on this machine finds the server.
func localURL(cfg *config.Config, addr string) string {
	scheme := "http://"
	if cfg.TLS() {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return scheme + addr
	}
	asked, _, _ := net.SplitHostPort(cfg.Addr)
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || strings.EqualFold(asked, "localhost")) {
		host = "localhost"
	}
	return scheme + net.JoinHostPort(host, port)
}
