// Package names makes the names of everything that Magpie has in Redis: keys
// and Pub/Sub names. They are a public contract, docs/redis.md.
//
// It does no I/O and starts no goroutine.
package names

import "strings"

// Names makes the names under one prefix.
type Names struct {
	Prefix string
	// Sharded says that names live on several masters, by their hash tag.
	Sharded bool
}

// Channel makes the names of one channel. Their braces are a hash tag, which
// puts them on one master, and since no channel name holds a brace, no plain
// channel is mistaken for ours.
type Channel struct{ prefix, name string }

// Of returns the names of a channel.
func (n Names) Of(channel string) Channel { return Channel{n.Prefix, channel} }

func (c Channel) of(what string) string { return c.prefix + ":{" + c.name + "}:" + what }

// Log is the key of the channel's log, a stream.
func (c Channel) Log() string { return c.of("log") }

// Meta is the key of the log's identity: epoch, top, timeline history.
func (c Channel) Meta() string { return c.of("meta") }

// Live is the Pub/Sub name of what comes live, as envelopes.
func (c Channel) Live() string { return c.of("live") }

// Lease is the key of the right to append plain PUBLISHes.
func (c Channel) Lease() string { return c.of("lease") }

// Presence is the key of who is there.
func (c Channel) Presence() string { return c.of("presence") }

// Idempotency is the key of an idempotency key's first result.
func (c Channel) Idempotency(key string) string { return c.of("idem:" + key) }

// ChannelOf is the inverse of Channel.Live.
func (n Names) ChannelOf(live string) (channel string, ok bool) {
	rest, ok := strings.CutPrefix(live, n.Prefix)
	if !ok {
		return "", false
	}
	if rest, ok = strings.CutPrefix(rest, ":{"); !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "}:live")
}

// IsLive tells whether a name, or a pattern, is one of live names.
func IsLive(name string) bool { return strings.HasSuffix(name, "}:live") }

// Node is the key of a node's lease.
func (n Names) Node(id string) string { return n.Prefix + ":node:" + id }

// Secret is the key of a secret that the nodes share.
func (n Names) Secret(name string) string { return n.Prefix + ":vault:" + name }

// Ingest is the key of the right to read an ingested stream.
func (n Names) Ingest(stream string) string { return n.Prefix + ":ingest:" + stream }

// Rejected is the stream of entries that could not be published.
func (n Names) Rejected() string { return n.Prefix + ":rejected" }

// Life is the key that is gone when Redis has lost its data. tag puts it on a
// certain master; it is empty where there is one.
func (n Names) Life(tag string) string { return tagged(n.Prefix+":life", tag) }

// Probe is the Pub/Sub name of a node's probe.
func (n Names) Probe(node, tag string) string { return tagged(n.Prefix+":probe:"+node, tag) }

func tagged(name, tag string) string {
	if tag == "" {
		return name
	}
	return name + ":{" + tag + "}"
}

// Bus is the Pub/Sub name where nodes talk to each other: to all of them, or
// to one. Where names are sharded all these lie in the slot of the first: what
// one node says to another, and to all, keeps its order.
func (n Names) Bus(node string) string {
	all := n.Prefix + ":bus"
	switch {
	case node == "":
		return all
	case n.Sharded:
		return all + ":{" + all + "}:" + node
	}
	return all + ":" + node
}

// Reserved tells whether a name belongs to Redis or to us in Pub/Sub. Such a
// channel has no plain name: a client that listens to it must neither read
// keyspace events nor end our own subscriptions, and a pattern such as * must
// not take them in, where keyspace events would feed on themselves.
func (n Names) Reserved(name string) bool {
	return strings.HasPrefix(name, "__") || strings.HasPrefix(name, n.Prefix+":")
}
