package names

import (
	"strings"
	"testing"

	"magpie/internal/channel"
)

func TestLiveNamesAreRecognized(t *testing.T) {
	for _, n := range []Names{{Prefix: "my:app"}, {Prefix: "my:app", DB: 3}} {
		for _, ch := range []string{"chat", "a:b", "x}y", "a@3"} {
			if got, ok := n.ChannelOf(n.Of(ch).Live()); !ok || got != ch {
				t.Errorf("%q: %q %v", ch, got, ok)
			}
		}
		for _, name := range []string{"chat", "my:app", "my:app:{chat}:log", n.Bus(""), "magpie:{chat}:live", "my:app:{chat}:live@1"} {
			if ch, ok := n.ChannelOf(name); ok {
				t.Errorf("%q is the live name of %q", name, ch)
			}
		}
	}
}

func TestReservedNames(t *testing.T) {
	n := Names{Prefix: "magpie"}
	for name, want := range map[string]bool{
		"chat": false, "magpie": false, "magpies:x": false, "magpie:bus": false, n.Bus(""): true, n.Bus("n"): true, n.Probe("n", ""): true,
		Names{Prefix: "shop", DB: 3}.Bus("n"): true, "__keyevent@0__:set": true,
	} {
		if n.Reserved(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// words are what names are made of, chosen so that one may end where another begins.
var words = []string{"a", "a:b", "b", "a:node", "node", "node:b", "live", "bus", "a:bus", "log", "life", "idem:b", "secret", "ingest", "probe:b", "3", "a-3"}

// pubsub are all Pub/Sub names of a deployment, keys its keys.
func (n Names) pubsub() (list []string) {
	list = append(list, n.Bus(""))
	for _, w := range words {
		list = append(list, n.Of(w).Live(), n.Bus(w+"-1"), n.Probe(w+"-1", ""))
	}
	return list
}

func (n Names) keys() (list []string) {
	ends, order := n.Notes()
	list = append(list, n.Rejected(), n.Life(""), n.Function(), ends, order)
	for _, w := range append([]string{"x}:log", "x}:idem:b", "{b}"}, words...) {
		list = append(list, n.Ingest(w), n.Node(w+"-1"), n.Secret(w), n.Of("b").Idempotency("", w), n.Of("b").Idempotency("a", w), n.Of("b").Idempotency("a:1", w))
		if channel.Check(w) == nil {
			of := n.Of(w)
			list = append(list, of.Log(), of.Meta(), of.Lease(), of.Presence())
		}
	}
	return list
}

// Two deployments on one Redis have no name in common: no Pub/Sub name
// whatever database they use, and no key in one database.
func TestNoTwoDeploymentsShareAName(t *testing.T) {
	owner := map[string]Names{}
	claim := func(n Names, name string) {
		if other, taken := owner[name]; taken {
			t.Errorf("%q is of %v and of %v", name, other, n)
		}
		owner[name] = n
	}
	for _, prefix := range words {
		if strings.Contains(prefix, "{") {
			continue
		}
		for db := range 12 {
			n := Names{Prefix: prefix, DB: db}
			for _, name := range n.pubsub() {
				claim(n, name)
			}
		}
	}
	clear(owner)
	for _, prefix := range words {
		n := Names{Prefix: prefix}
		for _, name := range n.keys() {
			claim(n, name)
		}
	}
}

// No client can ask for a name by which nodes talk: it is no channel name.
func TestNamesOfNodesAreNoChannelNames(t *testing.T) {
	for _, n := range []Names{{Prefix: "magpie"}, {Prefix: "magpie", DB: 3}, {Prefix: "magpie", Sharded: true}} {
		for _, name := range n.pubsub() {
			if channel.Check(name) == nil {
				t.Errorf("a client may listen to %q", name)
			}
		}
	}
}
