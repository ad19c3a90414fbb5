package sse

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/door"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/session"
	"magpie/internal/wheel"
)

// conn is one event stream.
type conn struct {
	door.Conn
	door      *Door
	envelope  bool
	heartbeat wheel.Timer
	byServer  atomic.Pointer[[]byte] // the last event; nil unless a server closed the session

	// mu orders events: the ids say how far every channel is, so an event must
	// not overtake one with an older id. Who makes an event while another is
	// being sent leaves it in next, for the sender.
	mu      sync.Mutex      // guards what follows; memory only
	subs    []*subscription // their positions, too
	sending bool
	next    [][]byte
}

// subscription is one channel of the stream, and its hub.Subscriber.
type subscription struct {
	conn    *conn
	channel string
	at      message.Position  // zero in a channel without a log
	joined  *hub.Subscription // nil until joined
}

// Deliver implements hub.Subscriber.
func (p *subscription) Deliver(b *message.Batch) {
	c := p.conn
	c.mu.Lock()
	c.sendLocked(p.events(b))
}

// sendLocked sends frames behind those before them; it unlocks mu for that.
func (c *conn) sendLocked(frame []byte) {
	if len(frame) == 0 || c.sending {
		if len(frame) > 0 {
			c.next = append(c.next, frame)
		}
		c.mu.Unlock()
		return
	}
	c.sending = true
	c.mu.Unlock()
	c.Send(frame)
	c.sendNext()
}

// sendNext sends what came in while something else was being sent.
func (c *conn) sendNext() {
	for {
		c.mu.Lock()
		frames := c.next
		c.next = nil
		c.sending = len(frames) > 0
		c.mu.Unlock()
		if len(frames) == 0 {
			return
		}
		for _, f := range frames {
			c.Send(f)
		}
	}
}

// Member implements hub.Present.
func (p *subscription) Member() engine.Member { return p.conn.Member() }

// Gap implements hub.Subscriber.
func (p *subscription) Gap(g message.Gap) {
	c := p.conn
	c.mu.Lock()
	p.at = g.Now
	c.sendLocked(c.appendGap(nil, g))
}

// heartbeatFrame is a comment: clients ignore it, proxies see life, and a
// client that is gone is found out by its write.
var heartbeatFrame = []byte(":\n\n")

// Tick implements wheel.Ticker.
func (c *conn) Tick(time.Time) time.Duration {
	if c.Reason() != "" {
		return 0 // it was closed before the timer was set
	}
	c.Send(heartbeatFrame)
	return c.door.Heartbeat
}

// CloseLink implements session.Link. The browser comes back with its last id
// unless the page closes the event source.
func (c *conn) CloseLink(r fault.Reason) {
	c.door.Wheel.Stop(&c.heartbeat)
	c.CloseStream(c.closeMessage(r))
}

// closeMessage is the stream's last event, if there is one.
func (c *conn) closeMessage(r fault.Reason) []byte {
	if last := c.byServer.Load(); last != nil {
		return *last
	}
	return closeEvent(r)
}

// ServerSubscribe implements session.Controllable. The channels of a stream are
// named in its URL, which a browser that comes back asks for again: nothing is
// done.
func (c *conn) ServerSubscribe(string, session.ServerSubscription) {}

// ServerUnsubscribe implements session.Controllable: the channel is dropped and
// an event unsubscribe says so. A stream that was for this channel alone ends.
func (c *conn) ServerUnsubscribe(channel string, code uint32, reason string) {
	p, left := c.remove(channel)
	if p == nil {
		return
	}
	c.Unsubscribe(p.joined)
	event := serverEvent("unsubscribe", serverOrder{channel, code, reason})
	if left == 0 {
		c.closeByServer(event)
		return
	}
	c.mu.Lock()
	c.sendLocked(append(c.appendID(nil), event...))
}

// remove takes a channel out of the ids and returns how many are left. A
// message that is under way in it still comes, without its position.
func (c *conn) remove(channel string) (p *subscription, left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.subs, func(p *subscription) bool { return p.channel == channel })
	if i < 0 {
		return nil, 0
	}
	p = c.subs[i]
	c.subs = slices.Delete(slices.Clone(c.subs), i, i+1)
	return p, len(c.subs)
}

// ServerDisconnect implements session.Controllable: an event disconnect is the
// stream's last, so that a page can close its EventSource, which would come
// back otherwise.
func (c *conn) ServerDisconnect(code uint32, reason string) {
	c.closeByServer(serverEvent("disconnect", serverOrder{Code: code, Reason: reason}))
}

// serverOrder is the data of the events that tell what a server did.
type serverOrder struct {
	Channel string `json:"channel,omitempty"`
	Code    uint32 `json:"code"`
	Reason  string `json:"reason"`
}

func serverEvent(name string, o serverOrder) []byte {
	data, _ := json.Marshal(o) // strings and a number: cannot fail
	return appendData([]byte("event: "+name+"\n"), data)
}

func (c *conn) closeByServer(last []byte) {
	c.byServer.CompareAndSwap(nil, &last) // the first order counts, as the first Close does
	c.Close(fault.ReasonKicked)
}

var _ session.Controllable = (*conn)(nil)
