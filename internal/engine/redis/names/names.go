// Package names makes the names of everything that Magpie has in Redis: keys
// and Pub/Sub names. They are a public contract, docs/redis.md.
//
// It does no I/O and starts no goroutine.
package names

import (
	"strconv"
	"strings"
)

// Names makes the names under one prefix, in one database. Whatever a name
// holds besides Prefix and DB, two deployments that differ in one of them have
// no name in common where they share a name space: keys are apart by database,
// and Pub/Sub is not, so its names carry the number.
//
// All but that of Rejected have braces, which no prefix and no channel name has:
// PREFIX:{CHANNEL}:WHAT is of one channel, PREFIX:{}:WHAT of all of them. So no
// client's channel, and no plain name, is mistaken for one of ours. It has a method
// for each name, and is large because there are many.
type Names struct {
	Prefix string
	// DB is the number of the database.
	DB int
	// Sharded says that names live on several masters, by their hash tag.
	Sharded bool
}

// Channel makes the names of one channel. Their braces are a hash tag, which
// puts them on one master.
type Channel struct {
	names Names
	name  string
}

// Of returns the names of a channel.
func (n Names) Of(channel string) Channel { return Channel{n, channel} }

func (c Channel) of(what string) string { return c.names.Prefix + ":{" + c.name + "}:" + what }

// Log is the key of the channel's log, a stream.
func (c Channel) Log() string { return c.of("log") }

// Meta is the key of the log's identity: epoch, top, timeline history.
func (c Channel) Meta() string { return c.of("meta") }

// Live is the Pub/Sub name of what comes live, as envelopes.
func (c Channel) Live() string { return c.names.inPubSub(c.of("live")) }

// Lease is the key of the right to append plain PUBLISHes.
func (c Channel) Lease() string { return c.of("lease") }

// Presence is the key of who is there.
func (c Channel) Presence() string { return c.of("presence") }

// Idempotency is the key of an idempotency key's first result. The length of
// owner keeps those of different owners apart whatever they hold.
func (c Channel) Idempotency(owner, key string) string {
	if owner == "" {
		return c.of("idem:" + key)
	}
	return c.of("idem-of:" + strconv.Itoa(len(owner)) + ":" + owner + ":" + key)
}

// inPubSub is a Pub/Sub name with its database, which is not said when it is 0.
func (n Names) inPubSub(name string) string { return name + n.Database() }

// Database is what Pub/Sub names end with.
func (n Names) Database() string {
	if n.DB == 0 {
		return ""
	}
	return "@" + strconv.Itoa(n.DB)
}

// ChannelOf is the inverse of Channel.Live.
func (n Names) ChannelOf(live string) (channel string, ok bool) {
	rest, ok := strings.CutPrefix(live, n.Prefix+":{")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, n.inPubSub("}:live"))
}

// IsLive tells whether a name, or a pattern, is one of live names.
func (n Names) IsLive(name string) bool { return strings.HasSuffix(name, n.inPubSub("}:live")) }

// Node is the key of a node's lease.
func (n Names) Node(id string) string { return n.Of("").of("node:" + id) }

// Secret is the key of a secret that the nodes share.
func (n Names) Secret(name string) string { return n.Of("").of("secret:" + name) }

// Function is the key of what the Redis Function has to know in this database.
func (n Names) Function() string { return n.Of("").of("function") }

// Ingest is the key of the right to read an ingested stream.
func (n Names) Ingest(stream string) string { return n.Of("").of("ingest:" + stream) }

// Rejected is the stream of entries that could not be published.
func (n Names) Rejected() string { return n.Prefix + ":rejected" }

// Own tells whether a key is one of ours.
func (n Names) Own(key string) bool {
	return key == n.Rejected() || strings.HasPrefix(key, n.Prefix+":{")
}

// Life is the key that is gone when Redis has lost its data. tag puts it on a
// certain master; it is empty where there is one.
func (n Names) Life(tag string) string { return n.Of(tag).of("life") }

// ProbeKeys are the keys that probes write to, as a publication would.
func (n Names) ProbeKeys(tag string) (log, meta string) {
	return n.Of(tag).of("probe-log"), n.Of(tag).of("probe-meta")
}

// Probe is the Pub/Sub name of a node's probe.
func (n Names) Probe(node, tag string) string { return n.inPubSub(n.Of(tag).of("probe:" + node)) }

// Bus is the Pub/Sub name where nodes talk to each other: to all of them, or
// to one. Where names are sharded all these lie in one slot: what one node says
// to another, and to all, keeps its order.
func (n Names) Bus(node string) string {
	tag, what := "", "bus"
	if n.Sharded {
		tag = "bus"
	}
	if node != "" {
		what += ":" + node
	}
	return n.inPubSub(n.Of(tag).of(what))
}

// Notes are the keys of what all nodes must know for a while: by their end, and
// in the order in which they came. Where names are sharded both lie in one slot.
func (n Names) Notes() (ends, order string) {
	tag := ""
	if n.Sharded {
		tag = "notes"
	}
	return n.Of(tag).of("notes"), n.Of(tag).of("notes-order")
}

// Reserved tells whether a name belongs to Redis or to a Magpie in Pub/Sub. Such
// a channel has no plain name: a client that listens to it must neither read
// keyspace events nor end our own subscriptions, and a pattern such as * must
// not take them in, where keyspace events would feed on themselves.
func (n Names) Reserved(name string) bool {
	return strings.HasPrefix(name, "__") || strings.Contains(name, "{")
}
