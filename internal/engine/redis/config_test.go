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
	"magpie/internal/engine/redis/parttest"
	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	rules := parttest.Rules(t)
	for what, c := range map[string]Config{
		"no rules":       {URL: "redis://h"},
		"a bad prefix":   {URL: "redis://h", Rules: rules, Prefix: "a b"},
		"a bad node":     {URL: "redis://h", Rules: rules, Node: "a b"},
		"a bad glob":     {URL: "redis://h", Rules: rules, Ingest: Ingest{Channels: []string{"a[b]"}}},
		"a bad stream":   {URL: "redis://h", Rules: rules, Ingest: Ingest{Streams: []string{""}}},
		"its own log":    {URL: "redis://h", Rules: rules, Ingest: Ingest{Streams: []string{"magpie:{chat}:log"}}},
		"its rejected":   {URL: "redis://h", Rules: rules, Ingest: Ingest{Streams: []string{"magpie:rejected"}}},
		"a stream twice": {URL: "redis://h", Rules: rules, Ingest: Ingest{Streams: []string{"a", "b", "a"}}},
		"a brace":        {URL: "redis://h", Rules: rules, Prefix: "{x}"},
		"no URL at all":  {Rules: rules},
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
		e, err := New(Config{URL: c.url, Rules: parttest.Rules(t), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err = e.Start(t.Context(), enginetest.NewRecorder().Node())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "falsch") {
			t.Errorf("%s: %v", c.what, err)
		}
		if took := time.Since(begun); took > kit.Patience {
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
	e, err := New(Config{URL: "redis://" + l.Addr().String(), Rules: parttest.Rules(t), Log: slog.New(slog.DiscardHandler)})
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
