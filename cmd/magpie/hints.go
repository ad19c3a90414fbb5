package main

import (
	"net"
	"net/url"
	"strings"

	"magpie/internal/config"
	"magpie/internal/engine/redis"
)

// hintText is commands to try next, ready to paste.
func hintText(cfg *config.Config, addr string) string {
	hint := struct {
		*config.Config
		Base, CLI, Function string
	}{Config: cfg, Base: localURL(cfg, addr), CLI: redisCLI(cfg.Redis)}
	if cfg.Redis != "" && cfg.Prefix != config.DefaultPrefix {
		hint.Function = redis.FunctionName(cfg.Prefix)
	}
	var b strings.Builder
	if err := pages.ExecuteTemplate(&b, "hints.tmpl", hint); err != nil {
		return err.Error() // a test reads every line
	}
	return b.String()
}

// redisCLI is the command that reaches the Redis of this URL. It asks for the
// password, which is never shown.
func redisCLI(address string) string {
	words := []string{"redis-cli"}
	u, err := url.Parse(address)
	if err != nil {
		return words[0]
	}
	if u.Scheme == "unix" {
		words = append(words, "-s", u.Path)
	}
	if host := u.Hostname(); host != "" && host != "localhost" && host != "127.0.0.1" {
		words = append(words, "-h", host)
	}
	if port := u.Port(); port != "" && port != "6379" {
		words = append(words, "-p", port)
	}
	if u.Scheme == "rediss" {
		words = append(words, "--tls")
	}
	if user := u.User.Username(); user != "" {
		words = append(words, "--user", user)
	}
	if _, secret := u.User.Password(); secret {
		words = append(words, "--askpass")
	}
	return strings.Join(words, " ")
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
