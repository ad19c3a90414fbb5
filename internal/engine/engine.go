// Package engine is the contract of what nodes share: publishing, logs, live
// messages, presence. The memory and redis packages below it implement it and
// enginetest holds both to the same promises.
//
// This package itself does no I/O and starts no goroutine.
package engine

import (
	"context"
	"fmt"
	"iter"
	"time"

	"magpie/internal/fault"
	"magpie/internal/message"
)

// Faults that callers tell apart with errors.Is. Implementations return faults
// of these kinds, with causes of their own.
var (
	// ErrUnavailable: the engine cannot be reached or cannot write now. What
	// was asked for may or may not have happened; asking again with the same
	// idempotency key is safe.
	ErrUnavailable = &fault.Fault{Kind: fault.Unavailable, Wait: time.Second}
	// ErrConflict: the idempotency key was used for another payload.
	ErrConflict = &fault.Fault{Kind: fault.Conflict}
	// ErrClosed: Close was called.
	ErrClosed = &fault.Fault{Kind: fault.Shutdown, Wait: time.Second}
)

// Unavailable is an ErrUnavailable with a cause for the log; %w wraps.
func Unavailable(format string, args ...any) error {
	return &fault.Fault{Kind: fault.Unavailable, Wait: time.Second, Cause: fmt.Errorf(format, args...)}
}

// Publication is a message to publish.
type Publication struct {
	Channel string
	Kind    message.Kind // other than Published: live only, no log, no idempotency
	Payload []byte       // the engine keeps it: the caller must not change it afterwards
	Via     message.Via
	By      *message.Publisher
	Tags    map[string]string
	Binary  bool // see message.Message
	// IdempotencyKey, when not empty, makes a repeat within the window answer
	// the first result instead of publishing again (D4). The window is per
	// channel, owner and key.
	IdempotencyKey string
	// KeyOwner says whose key it is: those of different owners are apart.
	// Servers are one owner, "", also where they publish in the engine's store.
	KeyOwner string
	// SkipLog hands the message to who listens now and keeps it out of the
	// log: it has no offset and is delivered at most once (D9).
	SkipLog bool
}

// Result is the acknowledgement of a publication.
type Result struct {
	Position  message.Position // zero in a channel without a log
	Duplicate bool             // answered from an idempotency key
}

// Query asks for a part of a channel's log.
type Query struct {
	// Since, when given, asks for what follows this position. Nil asks from the
	// start of the log, or from its end when Reverse.
	Since *message.Position
	// Limit bounds the number of messages. 0 asks for the position alone,
	// All for everything that the log holds.
	Limit int
	// Bytes, when over 0, ends the page with the message with which its payloads
	// reach so many bytes. What one message brings is not cut.
	Bytes int
	// Reverse asks for the newest first. With Since: what lies before it.
	Reverse bool
	// Resume leaves the messages out when Since is lost: they do not follow it.
	Resume bool
}

// All is the Limit of a Query that wants all there is.
const All = -1

// Within returns how many of a page's messages Bytes asks for, and whether the
// page ends there.
func (q Query) Within(list []*message.Message) (n int, reached bool) {
	if q.Bytes <= 0 {
		return len(list), false
	}
	left := q.Bytes
	for i, m := range list {
		if left -= len(m.Payload); left <= 0 {
			return i + 1, true
		}
	}
	return len(list), false
}

// Page answers a Query.
type Page struct {
	// Messages in offset order (newest first when Reverse), each with the
	// log's present epoch.
	Messages []*message.Message
	// More says that Messages end at Query.Bytes: others may follow.
	More bool
	// Top is the position of the newest message. In a channel whose log is
	// still empty its offset is 0 and its epoch already names the timeline.
	// Without a log it is zero.
	Top message.Position
	// Gap is empty when Since was nil, or when it lies on the log's timeline
	// and nothing between Since and the log's first kept message is missing.
	// Otherwise it says why not, and Messages are those the log has after Since
	// in GapTrimmed, and from its start in GapLost (none with Query.Resume).
	Gap message.GapReason
	// Reach says how far Since's epoch goes along with this log: a position of
	// that epoch is on the log's timeline up to this offset, and lost beyond
	// it. It means nothing without Since and in GapLost.
	Reach uint64
}

// Sink is where an engine hands what it receives. The hub implements it.
// None of its methods blocks.
type Sink interface {
	// Receive takes one message of a channel that Subscribe was called for. An
	// engine calls it in the order in which it received them; a message may
	// come twice or out of order, and offsets may be missing: the log is the
	// truth (D6).
	Receive(*message.Message)
	// ReceiveInline is Receive for an engine that hands a message over on its
	// publisher's goroutine and under no lock: what is small is delivered there
	// and then, which saves waking another goroutine for it.
	ReceiveInline(*message.Message)
	// Recheck says that messages of these channels may have been missed, or
	// that the timeline may have changed: compare with Positions (D7). No
	// channels means all.
	Recheck(channels ...string)
	// Channels yields every channel that this node listens to now.
	Channels() iter.Seq[string]
	// Members yields this node's own members of a channel, for an engine that
	// must tell the others anew.
	Members(channel string) iter.Seq[Member]
}

// Node is what an engine knows of the node that it serves. None of its funcs
// blocks. Sink is always set.
type Node struct {
	Sink Sink
	// Admit answers nil when a message that was published in the engine's own
	// store, and not through Publish, may be taken in (a plain PUBLISH, an entry
	// of a stream). The engine drops what is refused and counts it. nil admits all.
	Admit func(Publication) error
	// Signal takes what another node, or this one, sent with Bus.Send. nil: no
	// node sends anything.
	Signal func(data []byte)
	// Note takes notes that are kept for all nodes, each once or more; Notes
	// returns those that this node knows and that have not ended, for an engine
	// whose data was lost. nil: the node has no use for any.
	Note  func([]Note)
	Notes func() []Note
}

// Engine is shared state with one implementation per back end. All methods
// are safe for concurrent use. Methods with a context return when it ends.
// What a caller needs of it is one of the parts below.
type Engine interface {
	// Start connects and begins to serve the node. Call once, before all else.
	// It returns when the engine is ready, or with an error that says what to do.
	Start(context.Context, Node) error
	// Ready answers nil while a message published now would arrive, proven by
	// a probe at most 2 s old. It does not wait.
	Ready() error
	// Close ends everything and waits for the engine's goroutines.
	Close(context.Context) error

	Publisher
	Logs
	Live
	Presence
	Bus
	Secrets
	Notes
}

// Publisher takes messages.
type Publisher interface {
	// Publish appends to the log (if the channel has one) and hands the message
	// to every node that listens, in one atomic step, and returns after the
	// engine has it (D4).
	Publish(context.Context, Publication) (Result, error)
	// PublishAll is Publish for many, to any channels, in few round trips. Each
	// is acknowledged or refused by itself; the outcomes are in the order of the
	// publications.
	PublishAll(context.Context, []Publication) []Outcome
	// Immediate says that Publish never waits: it may be called where nothing
	// may block.
	Immediate() bool
}

// Logs are what channels keep.
type Logs interface {
	// History reads the log.
	History(ctx context.Context, channel string, q Query) (Page, error)
	// Positions answers the top of each channel, in order, in one round trip,
	// and keeps their logs' identities alive.
	Positions(ctx context.Context, channels []string) ([]message.Position, error)
	// Remove deletes the log. Positions of before become unrecoverable.
	Remove(ctx context.Context, channel string) error
}

// Live is what makes messages reach the Sink.
type Live interface {
	// Subscribe makes this node listen to the channel and then reads its log
	// as q asks, if possible in the same round trip: every message that follows
	// the page's Top reaches the sink, or a Recheck does (D3). Repeats are
	// harmless. After an error the node listens as it did before.
	Subscribe(ctx context.Context, channel string, q Query) (Page, error)
	// Listening returns nil when what is published in a channel that Subscribe
	// was called for reaches the sink. It waits for a subscription that was
	// lost until ctx ends, and fails with the reason when one is refused (D12).
	Listening(ctx context.Context, channel string) error
	// Unsubscribe ends it, without waiting.
	Unsubscribe(channel string)
}

// Member is one session's presence in a channel.
type Member struct {
	Session  string `json:"session"`
	User     string `json:"user,omitempty"`
	ConnInfo []byte `json:"conn_info,omitempty"`
	ChanInfo []byte `json:"chan_info,omitempty"`
}

// Presence tells who is in a channel, on all nodes.
type Presence interface {
	// Join and Leave take effect on other nodes within a fraction of a second;
	// they do not wait and do not fail: what could not be told is told again.
	Join(channel string, m Member)
	Leave(channel, session string)
	// Told waits until Members answers on every node according to what Join and
	// Leave said of these channels before (D13), and fails when ctx ends first.
	Told(ctx context.Context, channels iter.Seq[string]) error
	// Members answers who is there now, in no order. Members of a node that
	// died are left out within LeaseTime of its death (P4).
	Members(ctx context.Context, channel string) ([]Member, error)
}

// LeaseTime is how long a dead node still counts as alive, at most.
const LeaseTime = 4 * time.Second

// Bus lets nodes talk to each other, for orders that must reach a session
// wherever it is. Delivery is at most once and in order
// from one sender to one receiver.
type Bus interface {
	// NodeID names this node among all nodes, for as long as it runs.
	NodeID() string
	// Send hands data to Node.Signal of one node, or of all nodes, this one too,
	// when node is "". reached is how many nodes took it; 0 for a node says that
	// it is gone.
	Send(ctx context.Context, node string, data []byte) (reached int, err error)
}

// Outcome is one publication's result among many.
type Outcome struct {
	Result
	Err error
}

// Secrets keeps small secrets that all nodes share.
type Secrets interface {
	// Secret answers the secret of this name. When there is none yet, fresh
	// becomes it; of several nodes that come at once one wins, and all get its
	// secret. When the engine's data is lost, a node that has it puts it back.
	// Should another node have been first, its secret holds, and changed is
	// told; changed must not block. It may wait some seconds for another node.
	Secret(ctx context.Context, name string, fresh []byte, changed func(secret []byte)) ([]byte, error)
}

// Note is a short text that all nodes know until it ends.
type Note struct {
	Text string `json:"text"`
	Ends int64  `json:"ends"` // Unix seconds
}

// MaxNotes is how many notes there may be at once: 100,000 take some 15 MB on
// each node.
const MaxNotes = 100_000

// ErrManyNotes: there are MaxNotes already.
var ErrManyNotes = fault.Newf(fault.Limit, "%d marks are the most; they end by themselves: let new ones end sooner", MaxNotes)

// Notes keeps what all nodes must know for a while.
type Notes interface {
	// Keep keeps notes until they end, those that are there with their new end,
	// and hands them to Node.Note of every node
	// within a second, of nodes that start later before Start returns. When the
	// engine's data is lost, a node that knows them puts them back.
	Keep(context.Context, []Note) error
}
