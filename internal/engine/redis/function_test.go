package redis

import (
	"strings"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

// P1: FCALL answers offset and epoch, and is a publish like any other.
func TestFcallPublishes(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.subscribe("chat", "none")
	reply := server.Do("FCALL", "magpie_publish", "1", "chat", "{\"a\":1}")
	top := n.history("chat", engine.Query{}).Top
	if reply != "1\n"+top.Epoch || top.Offset != 1 {
		t.Errorf("FCALL answered %q, top is %v", reply, top)
	}
	if m := n.sink.Wait(t, "chat", 1)[0]; m.Via != message.ViaFcall || m.Position != top || string(m.Payload) != "{\"a\":1}" {
		t.Errorf("got %v %q via %s", m.Position, m.Payload, m.Via)
	}
	if reply := server.Do("FCALL", "magpie_publish", "1", "none", "x"); reply != "0\n" {
		t.Errorf("without a log FCALL answered %q", reply)
	}
	n.sink.Wait(t, "none", 1)
	if p := n.publish("chat", "2").Position; p.Offset != 2 || p.Epoch != top.Epoch {
		t.Errorf("after FCALL at %v", p)
	}
}

func TestFcallIdempotencyKey(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	first := server.Do("FCALL", "magpie_publish", "1", "chat", "x", "order-7")
	if again := server.Do("FCALL", "magpie_publish", "1", "chat", "x", "order-7"); again != first {
		t.Errorf("answers %q and %q", first, again)
	}
	if _, err := server.Try("FCALL", "magpie_publish", "1", "chat", "y", "order-7"); err == nil || !strings.HasPrefix(err.Error(), "CONFLICT") {
		t.Errorf("other payload: %v", err)
	}
	// The key is the same one that the server's own publish uses.
	res, err := n.Publish(t.Context(), engine.Publication{Channel: "chat", Payload: []byte("x"), IdempotencyKey: "order-7"})
	if err != nil || !res.Duplicate {
		t.Errorf("publish with the same key: %+v %v", res, err)
	}
}

func TestFunctionVersions(t *testing.T) {
	server := redistest.Start(t)
	code := func() string { return server.Do("FUNCTION", "LIST", "WITHCODE") }
	old := "#!lua name=magpie\n-- magpie library version 0\nredis.register_function('magpie_publish', function() return 'old' end)"
	server.Do("FUNCTION", "LOAD", old)
	startNode(t, server, nil)
	if server.Do("FCALL", "magpie_publish", "1", "chat", "x") == "old" {
		t.Error("an older library was left")
	}
	newer := strings.Replace(old, "version 0", "version 99", 1)
	server.Do("FUNCTION", "LOAD", "REPLACE", newer)
	n := startNode(t, server, nil)
	if server.Do("FCALL", "magpie_publish", "1", "chat", "x") != "old" {
		t.Error("a newer library was replaced")
	}
	// Flushed while nodes run: FLUSHALL tells them, and so does a reconnect.
	server.Do("FUNCTION", "FLUSH")
	n.cutSubscriber(server)
	eventually(t, "the library is back", func() bool { return strings.Contains(code(), "magpie library version") })
}

func TestFunctionOfAnotherPrefix(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, func(c *Config) { c.Prefix = "my-app:eu" })
	n.subscribe("chat")
	server.Do("FCALL", "my_app_eu_publish", "1", "chat", "x")
	n.sink.Wait(t, "chat", 1)
}

// A Redis without functions (6.2, or the command renamed) does all the rest.
func TestWithoutFunctions(t *testing.T) {
	server := redistest.Start(t, "--rename-command", "FUNCTION", "")
	n := startNode(t, server, nil)
	n.subscribe("chat")
	n.publish("chat", "1")
	server.Do("PUBLISH", "chat", "2")
	n.sink.Wait(t, "chat", 2)
}
