package redis

import (
	"net"
	"strconv"
	"strings"

	"magpie/internal/engine/redis/topology"
)

// CLI is the redis-cli that reaches the same database as this URL. It asks for
// the password, which is never shown.
func CLI(url string) string { return cli(url, true, true) }

// PageCLI is CLI for a page that strangers can read: it names no user, and the
// address only if open.
func PageCLI(url string, open bool) string { return cli(url, open, false) }

func cli(url string, address, user bool) string {
	words := []string{"redis-cli"}
	t, err := topology.ParseURL(url)
	if err != nil {
		return words[0]
	}
	if address {
		words = append(words, addressWords(t)...)
	}
	if t.Cluster {
		words = append(words, "-c")
	}
	if t.Option.SelectDB != 0 {
		words = append(words, "-n", strconv.Itoa(t.Option.SelectDB))
	}
	if user && t.Option.Username != "" {
		words = append(words, "--user", t.Option.Username)
	}
	if user && t.Option.Password != "" {
		words = append(words, "--askpass")
	}
	return strings.Join(words, " ")
}

// addressWords leaves out what redis-cli takes by itself.
func addressWords(t topology.Target) (words []string) {
	if t.Option.DialCtxFn != nil {
		return []string{"-s", t.Name}
	}
	host, port, _ := net.SplitHostPort(t.Option.InitAddress[0])
	if host != "localhost" && host != "127.0.0.1" {
		words = append(words, "-h", host)
	}
	if port != "6379" {
		words = append(words, "-p", port)
	}
	if t.Option.TLSConfig != nil {
		words = append(words, "--tls")
	}
	return words
}
