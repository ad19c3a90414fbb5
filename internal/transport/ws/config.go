package ws

import (
	"cmp"
	"log/slog"
	"time"

	"magpie/internal/wheel"
)

// Limits that are not settings.
const (
	// maxFragments bounds the frames of one message, beside one for each
	// fragmentSize octets of it. Most clients send one frame; some libraries cut
	// at 512 or 1,024 octets, conformance suites at 64. The bound is what an
	// attacker can make us walk through for one message.
	maxFragments = 64
	fragmentSize = 64
	// messageAge is how long a message may take from its first octet to its
	// last: 64 KB in 10 s is 52 kbit/s.
	messageAge = 10 * time.Second
	// controlsPerSecond bounds pings and pongs of a client. Libraries send one
	// in some seconds; conformance suites ten at once.
	controlsPerSecond = 200
	// inboxMessages bounds the messages of one connection that wait for the
	// handler, next to MaxMessage bytes.
	inboxMessages = 64
	// maxDiscarded is how much is read and thrown away while waiting for the
	// peer to see our close frame. Browsers read it only after they have sent the
	// message that was too big: a socket that is closed before resets theirs, and
	// the page sees 1006 instead of 1009. CloseWait bounds the time.
	maxDiscarded = 16 << 20
	// readBuffer is a poller's buffer: one read takes at most this much, so
	// that no connection holds up the others.
	readBuffer = 64 << 10
)

// Config is what a Server needs. Zero values stand for the defaults named;
// only Wheel has none.
type Config struct {
	// MaxMessage bounds one message, in bytes, over all its fragments (64 KB).
	MaxMessage int
	// WriteTimeout is how long Write waits for a peer that takes nothing at
	// all (10 s).
	WriteTimeout time.Duration
	// PingEvery is the silence after which a ping is sent (25 s), PongWait how
	// long anything may then take to come back (10 s). Every octet received
	// counts as life.
	PingEvery, PongWait time.Duration
	// CloseWait is how long the peer has to answer a close frame (5 s).
	CloseWait time.Duration
	// Deflate lets clients that ask for it have permessage-deflate (RFC 7692).
	Deflate bool
	// Workers bounds the goroutines that run Handlers (1024). They wait for
	// Redis most of the time; at this bound they hold some 8 MB.
	Workers int
	// Wheel is the node's. It must run for as long as the Server lives.
	Wheel *wheel.Wheel
	// Log receives what an operator should know: faults of handlers, failures
	// of a poller (discards by default).
	Log *slog.Logger
	// Received, if not nil, is called with the size of each whole message, by
	// pollers and readers, concurrently. It must not block.
	Received func(bytes int)

	// forcePortable makes every connection take the path without pollers.
	forcePortable bool
	// framedWait is how long the peer's close frame is waited for behind the rest
	// of a frame that is too large (3 s).
	framedWait time.Duration
}

func (c *Config) setDefaults() {
	c.MaxMessage = cmp.Or(c.MaxMessage, 64<<10)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.PingEvery = cmp.Or(c.PingEvery, 25*time.Second)
	c.PongWait = cmp.Or(c.PongWait, 10*time.Second)
	c.CloseWait = cmp.Or(c.CloseWait, 5*time.Second)
	c.framedWait = cmp.Or(c.framedWait, 3*time.Second)
	c.Workers = cmp.Or(c.Workers, 1024)
	if c.Received == nil {
		c.Received = func(int) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
