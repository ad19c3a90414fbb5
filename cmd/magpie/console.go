package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"magpie/internal/config"
)

// newLogger logs to w: text for people, JSON for machines.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		panic(err) // config checked it
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// isTerminal takes any character device for one, /dev/null too: nobody minds
// the form of what goes there.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func isListen(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "listen"
}

// hints prints what to try next, ready to paste. They are for a person: where
// the log is JSON for a machine, standard output stays empty.
func (c *command) hints(cfg *config.Config, addr string) {
	if cfg.Log.Format == "json" || cfg.Log.Format == "auto" && !isTerminal(c.err) {
		return
	}
	io.WriteString(c.out, hintText(cfg, addr))
}

func hintText(cfg *config.Config, addr string) string {
	base := localURL(cfg, addr)
	var b strings.Builder
	fmt.Fprintf(&b, "\nMagpie is up. Try next:\n\n  open           %s\n", base)
	key := ""
	if !cfg.OpenMode() {
		key = " -H 'X-API-Key: YOUR-KEY'"
	}
	if cfg.OpenMode() || len(cfg.APIKeys) > 0 {
		fmt.Fprintf(&b, "  publish        curl%s -d '{\"content\":\"hi\"}' %s/publish/chat\n", key, base)
	} else {
		b.WriteString("  publish        give --api-key to publish over HTTP\n")
	}
	if cfg.Redis != "" {
		fmt.Fprintf(&b, "  from Redis     %s PUBLISH chat '{\"content\":\"hi\"}'\n", redisCLI(cfg.Redis))
	}
	fmt.Fprintf(&b, "  in a page      new WebSocket(\"ws%s/websocket?channel=chat\")\n\n", strings.TrimPrefix(base, "http"))
	return b.String()
}

// redisCLI is the command that reaches the Redis of this URL. A password is
// asked for, never shown.
func redisCLI(redis string) string {
	words := []string{"redis-cli"}
	u, err := url.Parse(redis)
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
