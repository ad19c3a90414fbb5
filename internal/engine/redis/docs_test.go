package redis

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"magpie/internal/engine"
	"magpie/test/kit/redistest"
)

// docLines returns the lines of docs/redis.md that begin so.
func docLines(t *testing.T, begin string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, begin) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	if len(list) == 0 {
		t.Fatalf("docs/redis.md has no line that begins with %q", begin)
	}
	return list
}

// The commands of the documentation do what it says.
func TestDocumentedCommands(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, streams("orders"))
	n.subscribe("chat", "orders")
	_, port, _ := net.SplitHostPort(server.Addr)
	for _, line := range docLines(t, "redis-cli ") {
		out, err := exec.Command("sh", "-c", strings.Replace(line, "redis-cli ", "redis-cli -e -p "+port+" ", 1)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v %s", line, err, out)
		}
	}
	n.sink.Wait(t, "chat", 4)
	if m := n.sink.Wait(t, "orders", 1)[0]; string(m.Payload) != `{"id":"7","state":"paid"}` {
		t.Errorf("got %q", m.Payload)
	}
}

// The users of the documentation may do what they need, and not more.
func TestDocumentedACL(t *testing.T) {
	server := redistest.Start(t)
	for _, line := range docLines(t, "ACL SETUSER ") {
		server.Do(strings.Fields(line)...)
	}
	server.Do("ACL", "SETUSER", "magpie", "~orders")
	as := func(user string) func(*Config) {
		return func(c *Config) {
			c.URL = strings.Replace(server.URL, "://", "://"+user+":SECRET@", 1)
			streams("orders")(c)
			c.Ingest.Channels = []string{"in:*"}
		}
	}
	n, other := startNode(t, server, as("magpie")), startNode(t, server, as("magpie"))
	n.subscribe("chat", "orders")
	other.subscribe("chat")
	n.join("chat", "s1")
	eventually(t, "its member is in Redis", func() bool { return server.Do("HLEN", "magpie:{chat}:presence") == "1" })
	n.publish("chat", "1")
	if _, err := n.Send(t.Context(), "", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := n.Remove(t.Context(), "chat"); err != nil {
		t.Error(err)
	}
	_, port, _ := net.SplitHostPort(server.Addr)
	for _, command := range [][]string{
		{"PUBLISH", "chat", "2"},
		{"FCALL", "magpie_publish", "1", "chat", "3", "key"},
		{"XADD", "orders", "*", "payload", "4"},
	} {
		cli := append([]string{"-e", "-p", port, "--user", "backend", "--pass", "SECRET", "--no-auth-warning"}, command...)
		if out, err := exec.Command("redis-cli", cli...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v %s", command, err, out)
		}
	}
	n.sink.Wait(t, "chat", 3)
	other.sink.Wait(t, "chat", 2) // one was before its time
	other.sink.WaitFor(t, func() bool { return len(other.sink.Signals()) == 1 })
	n.sink.Wait(t, "orders", 1)
	if got := n.history("chat", engine.Query{}).Top.Offset; got != 2 {
		t.Errorf("top %d", got)
	}
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
	// Nothing was refused on the way, not even what Magpie can do without.
	if refused := server.Do("ACL", "LOG"); refused != "" {
		t.Errorf("refused: %s", refused)
	}
	server.Do("SET", "foreign", "x")
	for _, command := range [][]string{
		{"FLUSHALL"}, {"CONFIG", "GET", "*"}, {"KEYS", "*"}, {"SHUTDOWN", "NOSAVE"}, {"REPLICAOF", "127.0.0.1", "1"},
		{"GET", "foreign"}, {"SET", "foreign", "y"}, {"ACL", "LIST"}, {"CLIENT", "KILL", "TYPE", "normal"},
	} {
		cli := append([]string{"-e", "-p", port, "--user", "magpie", "--pass", "SECRET", "--no-auth-warning"}, command...)
		if out, err := exec.Command("redis-cli", cli...).CombinedOutput(); err == nil || !strings.Contains(string(out), "NOPERM") {
			t.Errorf("the user magpie may %q: %s", command, out)
		}
	}
}

// The same user, with what the docs add for a cluster, serves one.
func TestDocumentedACLInACluster(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	for _, server := range c.Masters {
		for _, line := range docLines(t, "ACL SETUSER ") {
			server.Do(strings.Fields(line)...)
		}
	}
	n := startNode(t, nil, func(cfg *Config) { cfg.URL = strings.Replace(c.URL, "://", "://magpie:SECRET@", 1) })
	for _, list := range spread(c, 1) {
		ch := list[0]
		n.subscribe(ch)
		n.join(ch, "s1")
		eventually(t, "its member is in Redis", func() bool { return c.Owner(ch).Do("HLEN", "magpie:{"+ch+"}:presence") == "1" })
		n.publish(ch, "1")
		c.Masters[0].Do("PUBLISH", ch, "2")
		c.Owner(ch).Do("FCALL", "magpie_publish", "1", ch, "3")
		n.sink.Wait(t, ch, 3)
	}
	if _, err := n.Send(t.Context(), "", []byte("x")); err != nil {
		t.Error(err)
	}
	n.sink.WaitFor(t, func() bool { return len(n.sink.Signals()) == 1 })
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
}
