package redis

import "strings"

// keys makes the names of everything that Magpie has in Redis. They are a
// public contract: docs/redis.md. The braces are a cluster hash tag, and since
// no channel name holds a brace, no plain channel is mistaken for ours.
type keys struct {
	prefix  string
	cluster bool
}

func (k keys) of(channel, what string) string { return k.prefix + ":{" + channel + "}:" + what }

func (k keys) log(channel string) string       { return k.of(channel, "log") }
func (k keys) meta(channel string) string      { return k.of(channel, "meta") }
func (k keys) live(channel string) string      { return k.of(channel, "live") }
func (k keys) lease(channel string) string     { return k.of(channel, "lease") }
func (k keys) presence(channel string) string  { return k.of(channel, "presence") }
func (k keys) idem(channel, key string) string { return k.of(channel, "idem:"+key) }

func (k keys) life() string                { return k.prefix + ":life" }
func (k keys) node(id string) string       { return k.prefix + ":node:" + id }
func (k keys) probe(id string) string      { return k.prefix + ":probe:" + id }
func (k keys) rejected() string            { return k.prefix + ":rejected" }
func (k keys) vault(name string) string    { return k.prefix + ":vault:" + name }
func (k keys) ingest(stream string) string { return k.prefix + ":ingest:" + stream }

// channelOf is live's inverse.
func (k keys) channelOf(name string) (channel string, ok bool) {
	rest, ok := strings.CutPrefix(name, k.prefix)
	if !ok {
		return "", false
	}
	if rest, ok = strings.CutPrefix(rest, ":{"); !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "}:live")
}

// bus is where nodes talk to each other: all of them, or one. In a cluster all
// these names lie in the slot of the first: what one node says to another, and
// to all, keeps its order.
func (k keys) bus(node string) string {
	all := k.prefix + ":bus"
	switch {
	case node == "":
		return all
	case k.cluster:
		return all + ":{" + all + "}:" + node
	}
	return all + ":" + node
}

// reserved tells whether a name belongs to Redis or to us in Pub/Sub. Such a
// channel has no plain name: a client that listens to it must neither read
// keyspace events nor end our own subscriptions, and a pattern such as * must
// not take them in, where keyspace events would feed on themselves.
func (k keys) reserved(name string) bool {
	return strings.HasPrefix(name, "__") || strings.HasPrefix(name, k.prefix+":")
}
