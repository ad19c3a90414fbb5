package redis

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/test/kit/redistest"
)

func TestURL(t *testing.T) {
	for url, want := range map[string]string{
		"redis://example.org":                     "example.org:6379",
		"redis://u:p%23w@example.org:7000/3":      "example.org:7000",
		"rediss://example.org/":                   "example.org:6379",
		"redis://[::1]:6380":                      "[::1]:6380",
		"unix:///run/redis/redis.sock?db=2":       "/run/redis/redis.sock",
		"redis://:only-a-password@localhost?db=1": "localhost:6379",
	} {
		opt, name, _, err := parseURL(url)
		if err != nil || name != want {
			t.Errorf("%s: %q %v", url, name, err)
		}
		if tls := strings.HasPrefix(url, "rediss"); tls != (opt.TLSConfig != nil) {
			t.Errorf("%s: TLS %v", url, !tls)
		}
	}
	opt, _, _, _ := parseURL("redis://u:p%23w@example.org:7000/3")
	if opt.Username != "u" || opt.Password != "p#w" || opt.SelectDB != 3 {
		t.Errorf("got %q %q %d", opt.Username, opt.Password, opt.SelectDB)
	}
}

// An error goes to a log or a screen: the password must not.
func TestURLErrorsSayWhatToWriteAndKeepThePassword(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://u:geheim@h", "redis://u:geheim@h:port", "redis://u:geheim@h/x", "redis://", "redis://u:geheim@",
		"redis://u:geheim@a:1,b:2", "redis+sentinel://u:geheim@h/mymaster", "redis-sentinel://u:geheim@h", "redis://u:geheim@h?master_set=m",
		"redis+cluster://u:geheim@h/1", "redis+cluster://", "redis+cluster://u:geheim@h,", "redis+cluster://u:geheim@h,u:geheim@i", "redis-cluster://u:geheim@h",
		"redis+cluster://u:geheim@h,i:x", "redis+cluster://u:geheim@h?cluster=1", "redis://u:geheim@h?addr=b", "redis://u:geheim@h?dial_timeout=1s", "redis://u:ge#heim@h", "unix://", "redis://u:geheim@h/-1",
		"redis://u:%zzgeheim@h", "redis://u:geheim @h",
	} {
		_, _, _, err := parseURL(url)
		if err == nil {
			t.Errorf("%q was taken", url)
			continue
		}
		if !strings.Contains(err.Error(), "redis://[USER:PASSWORD@]HOST") || strings.Contains(err.Error(), "heim") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	rules := testRules(t)
	for what, c := range map[string]Config{
		"no rules":      {URL: "redis://h"},
		"a bad prefix":  {URL: "redis://h", Rules: rules, Prefix: "a b"},
		"a bad node":    {URL: "redis://h", Rules: rules, Node: "a b"},
		"a bad glob":    {URL: "redis://h", Rules: rules, Ingest: Ingest{Channels: []string{"a[b]"}}},
		"a bad stream":  {URL: "redis://h", Rules: rules, Ingest: Ingest{Streams: []string{""}}},
		"a brace":       {URL: "redis://h", Rules: rules, Prefix: "{x}"},
		"no URL at all": {Rules: rules},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestStartSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	locked := redistest.Start(t, "--requirepass", "geheim")
	cluster := redistest.Start(t, "--cluster-enabled", "yes")
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", "1")
	for _, c := range []struct{ what, url, want string }{
		{"nobody there", "redis://" + nobody, nobody},
		{"no password", locked.URL, "password"},
		{"wrong password", strings.Replace(locked.URL, "://", "://:falsch@", 1), "does not accept"},
		{"cluster", cluster.URL, "cluster mode"},
		{"no such database", replica.URL + "/99", "it has no database"},
		{"replica", replica.URL, "read-only replica"},
	} {
		e, err := New(Config{URL: c.url, Rules: testRules(t), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err = e.Start(t.Context(), enginetest.NewRecorder().Node())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "falsch") {
			t.Errorf("%s: %v", c.what, err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s: it took %s", c.what, took)
		}
	}
}

// A server that takes connections and never speaks must not hang the start.
func TestStartAtASilentServerEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, err := New(Config{URL: "redis://" + l.Addr().String(), Rules: testRules(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := e.Start(ctx, enginetest.NewRecorder().Node()); err == nil || ctx.Err() != nil {
		t.Errorf("start at a silent server: %v", err)
	}
}

func TestPasswordAndDatabase(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "geheim")
	n := startNode(t, server, func(c *Config) { c.URL = strings.Replace(server.URL, "://", "://:geheim@", 1) + "/3" })
	n.subscribe("chat")
	n.publish("chat", "x")
	n.sink.Wait(t, "chat", 1)
	if len(n.history("chat", engine.Query{Limit: engine.All}).Messages) != 1 {
		t.Error("not in the log")
	}
}
