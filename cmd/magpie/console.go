package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	url := localURL(cfg, addr)
	var b strings.Builder
	fmt.Fprintf(&b, "\nMagpie is up. Try next:\n\n  open           %s\n", url)
	key := ""
	if !cfg.OpenMode() {
		key = " -H 'X-API-Key: YOUR-KEY'"
	}
	if cfg.OpenMode() || len(cfg.APIKeys) > 0 {
		fmt.Fprintf(&b, "  publish        curl%s -d '{\"content\":\"hi\"}' %s/publish/chat\n", key, url)
	} else {
		b.WriteString("  publish        give --api-key to publish over HTTP\n")
	}
	if cfg.Redis != "" {
		b.WriteString("  from Redis     redis-cli PUBLISH chat '{\"content\":\"hi\"}'\n")
	}
	fmt.Fprintf(&b, "  in a page      new WebSocket(\"ws%s/websocket?channel=chat\")\n\n", strings.TrimPrefix(url, "http"))
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
