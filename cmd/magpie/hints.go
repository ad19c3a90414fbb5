package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"magpie/internal/config"
	"magpie/internal/engine/redis"
)

// hints prints commands to try next, ready to paste. They are for a person:
// where the log is JSON for a machine, standard output stays empty.
func (c *command) hints(cfg *config.Config, addr string) {
	if cfg.Log.Format == "json" || cfg.Log.Format == "auto" && !isTerminal(c.err) {
		return
	}
	io.WriteString(c.out, hintText(cfg, addr))
}

func hintText(cfg *config.Config, addr string) string {
	base, query := localURL(cfg, addr), "?channel=chat"
	var b strings.Builder
	line := func(what, how string) { fmt.Fprintf(&b, "  %-14s %s\n", what, how) }
	b.WriteString("\nMagpie is up. Try next:\n\n")
	line("open", base)
	if !cfg.OpenMode() {
		query += "&token=TOKEN"
		line("make a TOKEN", tokenHint(cfg))
	}
	line("listen", "curl -N '"+base+"/sse"+query+"'")
	line("publish", publishHint(cfg, base))
	if cfg.Redis != "" {
		line("from Redis", redisCLI(cfg.Redis)+` PUBLISH chat '{"content":"hi"}'`)
	}
	if cfg.Redis != "" && cfg.Prefix != config.DefaultPrefix {
		line("", redisCLI(cfg.Redis)+" FCALL "+redis.FunctionName(cfg.Prefix)+` 1 chat '{"content":"hi"}'`)
	}
	line("in a page", `new WebSocket("ws`+strings.TrimPrefix(base, "http")+"/websocket"+query+`")`)
	b.WriteString("\n")
	return b.String()
}

func tokenHint(cfg *config.Config) string {
	if len(cfg.TokenSecrets) == 0 {
		return "whoever has the private key of the keys that tokens are checked with signs it"
	}
	return "MAGPIE_TOKEN_SECRET=YOUR-SECRET magpie token new --user 42"
}

func publishHint(cfg *config.Config, base string) string {
	who := ""
	switch {
	case cfg.OpenMode():
	case len(cfg.APIKeys) > 0:
		who = " -H 'X-API-Key: YOUR-KEY'"
	default:
		who = " -H 'Authorization: Bearer TOKEN'"
	}
	return "curl" + who + ` -d '{"content":"hi"}' ` + base + "/publish/chat"
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
