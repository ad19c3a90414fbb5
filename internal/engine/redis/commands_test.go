package redis

import (
	"context"
	"strings"
	"testing"
	"time"

	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/redis/diagnose"
	"magpie/test/kit/redistest"
)

// without starts a Redis that lacks commands, as managed ones do.
func without(t *testing.T, commands ...string) *redistest.Server {
	t.Helper()
	var args []string
	for _, c := range commands {
		args = append(args, "--rename-command", c, "")
	}
	return redistest.Start(t, args...)
}

// wrong is what doctor finds wrong with a Redis.
func wrong(t *testing.T, server *redistest.Server) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var list []string
	for _, f := range diagnose.Look(ctx, diagnose.Subject{URL: server.URL, Prefix: "magpie", Streams: true}) {
		if f.Level == diagnose.Wrong {
			list = append(list, f.Text)
		}
	}
	return strings.Join(list, "; ")
}

// A Redis without these serves whole, and doctor finds nothing wrong with it.
func TestCommandsThatAreNotNeeded(t *testing.T) {
	for _, commands := range [][]string{
		{"HELLO"}, {"CLIENT"}, {"HELLO", "CLIENT"}, {"INFO"}, {"CONFIG"}, {"FUNCTION"}, {"SCRIPT"}, {"XINFO"}, {"COMMAND"},
		{"HELLO", "CLIENT", "INFO", "CONFIG", "FUNCTION", "SCRIPT", "XINFO", "COMMAND"},
	} {
		t.Run(strings.Join(commands, "+"), func(t *testing.T) {
			t.Parallel()
			server, j := without(t, commands...), &journal{}
			n := startNode(t, server, func(c *Config) { streams("orders")(c); j.use(c) })
			n.subscribe("chat", "none", "orders")
			n.publish("chat", "1")
			n.publish("none", "1")
			server.Do("PUBLISH", "chat", "2")
			server.Do("XADD", "orders", "*", "payload", "3")
			n.join("chat", "s1")
			n.waitMembers("chat", "s1")
			n.sink.Wait(t, "chat", 2)
			n.sink.Wait(t, "none", 1)
			n.sink.Wait(t, "orders", 1)
			if reached, err := n.Send(t.Context(), "", []byte("x")); reached != 1 || err != nil {
				t.Errorf("a signal reached %d nodes, %v", reached, err)
			}
			if err := n.Ready(); err != nil {
				t.Error(err)
			}
			if lines := j.lines("cannot"); len(lines) != 0 {
				t.Errorf("log: %q", lines)
			}
			if text := wrong(t, server); text != "" {
				t.Errorf("doctor: %s", text)
			}
		})
	}
}

// A Redis without one of these is refused in words, the same by serve and doctor.
func TestCommandsThatAreNeeded(t *testing.T) {
	for _, command := range []string{"EVAL", "EVALSHA", "PUBSUB", "PSUBSCRIBE", "XADD", "XAUTOCLAIM"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			server := without(t, command)
			err := newEngine(t, server, streams("orders")).Start(t.Context(), enginetest.NewRecorder().Node())
			if err == nil || !strings.Contains(err.Error(), "does not know "+command+", without which Magpie cannot work") {
				t.Fatalf("serve: %v", err)
			}
			if text := wrong(t, server); text != err.Error() {
				t.Errorf("serve: %v; doctor: %s", err, text)
			}
		})
	}
}

// Who shares the plain names is said when a node starts, and by doctor.
func TestAnotherMagpieIsSeen(t *testing.T) {
	server := redistest.Start(t)
	look := func() (texts []string) {
		for _, f := range diagnose.Look(t.Context(), diagnose.Subject{URL: server.URL, Prefix: "magpie"}) {
			if strings.Contains(f.Text, "another Magpie") {
				texts = append(texts, f.Text)
			}
		}
		return texts
	}
	first, second := startNode(t, server, nil), startNode(t, server, nil)
	if found := look(); len(found) != 0 || len(first.others(t)) != 0 {
		t.Errorf("nodes of one deployment: %q, %q", found, first.others(t))
	}
	startNode(t, server, database(server, 3))
	startNode(t, server, func(c *Config) { c.Prefix = "shop" })
	want := "prefix magpie in database 3; prefix shop in database 0"
	if found := look(); len(found) != 1 || !strings.Contains(found[0], "("+want+")") {
		t.Errorf("doctor: %q", found)
	}
	if got := strings.Join(second.others(t), "; "); got != want {
		t.Errorf("a node sees %q", got)
	}
}

func (n *node) others(t *testing.T) []string {
	return diagnose.Neighbours(t.Context(), n.env.Redis.Client(), n.env.Names)
}
