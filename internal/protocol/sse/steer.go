package sse

import (
	"encoding/json"
	"slices"
	"time"

	"magpie/internal/session"
)

// ServerSubscribe implements session.Steerable. The channels of a stream are
// named in its URL, which a browser that comes back asks for again: nothing is
// done.
func (c *conn) ServerSubscribe(string, session.ServerSubscription) {}

// ServerUnsubscribe implements session.Steerable: the channel is dropped and
// an event unsubscribe says so. A stream that was for this channel alone ends.
func (c *conn) ServerUnsubscribe(channel string, code uint32, reason string) {
	p, left := c.remove(channel)
	if p == nil {
		return
	}
	c.Unsubscribe(p.sub)
	word := farewell{Channel: channel, Code: code, Reason: reason}
	if left == 0 {
		c.end("unsubscribe", word)
		return
	}
	c.mu.Lock()
	c.sendLocked(appendData(append(c.appendID(nil), "event: unsubscribe\n"...), word.json()))
}

// remove takes a channel out of the ids and returns how many are left. A
// message that is under way in it still comes, without its position.
func (c *conn) remove(channel string) (p *part, left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.parts, func(p *part) bool { return p.channel == channel })
	if i < 0 {
		return nil, 0
	}
	p = c.parts[i]
	c.parts = slices.Delete(slices.Clone(c.parts), i, i+1)
	return p, len(c.parts)
}

// ServerDisconnect implements session.Steerable: an event disconnect is the
// stream's last, so that a page can close its EventSource, which would come
// back otherwise.
func (c *conn) ServerDisconnect(code uint32, reason string) {
	c.end("disconnect", farewell{Code: code, Reason: reason})
}

// ServerRefresh implements session.Steerable.
func (c *conn) ServerRefresh(expires time.Time, expired bool) {
	if expired {
		c.Close(session.ReasonExpired)
		return
	}
	c.ExpireAt(expires)
}

// farewell is the data of the events that tell what a server did.
type farewell struct {
	Channel string `json:"channel,omitempty"`
	Code    uint32 `json:"code"`
	Reason  string `json:"reason"`
}

func (f farewell) json() []byte {
	b, _ := json.Marshal(f) // strings and a number: cannot fail
	return b
}

func (c *conn) end(event string, word farewell) {
	last := appendData([]byte("event: "+event+"\n"), word.json())
	c.last.CompareAndSwap(nil, &last) // the first order counts, as the first Close does
	c.Close(session.ReasonKicked)
}

var _ session.Steerable = (*conn)(nil)
