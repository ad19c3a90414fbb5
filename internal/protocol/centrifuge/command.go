package centrifuge

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"magpie/internal/transport/ws"
)

// maxErrors bounds the commands that are refused between two pings: a client
// in a loop is not to fill logs and queues.
const maxErrors = 1000

var errFrame = errors.New("not commands of the protocol")

// Now implements ws.Immediate: pongs are handled at once, and publications where
// they take no waiting.
func (c *conn) Now(op ws.Op, data []byte) (rest []byte) {
	if op != c.form.op {
		return data
	}
	for range c.door.maxCommands() {
		if c.ended() {
			return nil
		}
		cmd, rest, err := c.form.next(data)
		if err != nil || !c.immediate(cmd) {
			return data
		}
		c.handle(cmd)
		if data = rest; len(data) == 0 {
			return nil
		}
	}
	return data
}

func (c *conn) immediate(cmd *protocol.Command) bool {
	return isPong(cmd) || cmd.Publish != nil && cmd.Connect == nil && cmd.Subscribe == nil && c.door.Gate.Immediate()
}

// frame handles the commands of one frame in order. What is no command, and
// everything behind it, ends the connection.
func (c *conn) frame(data []byte) {
	for n := 0; !c.ended(); n++ {
		cmd, rest, err := c.form.next(data)
		if err != nil || n == c.door.maxCommands() {
			c.closeWith(closeBadRequest)
			return
		}
		c.handle(cmd)
		if data = rest; len(data) == 0 {
			return
		}
	}
}

// nextJSON reads one command of a frame; they are divided by line feeds.
func nextJSON(data []byte) (*protocol.Command, []byte, error) {
	line, rest, _ := bytes.Cut(data, []byte{'\n'})
	cmd := new(protocol.Command)
	if len(bytes.TrimSpace(line)) == 0 {
		return nil, nil, errFrame
	}
	if err := cfjson.Unmarshal(line, cmd, 0); err != nil {
		return nil, nil, err
	}
	return cmd, rest, nil
}

// nextProtobuf reads one command; its length comes first, as a varint.
func nextProtobuf(data []byte) (*protocol.Command, []byte, error) {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return nil, nil, errFrame
	}
	cmd := new(protocol.Command)
	end := n + int(size)
	if err := cmd.UnmarshalCF(data[n:end]); err != nil {
		return nil, nil, err
	}
	return cmd, data[end:], nil
}

// handle answers one command. It may wait for the engine, up to the door's
// Timeout.
func (c *conn) handle(cmd *protocol.Command) {
	c.door.Metrics.Commands.Add(1)
	if isPong(cmd) {
		c.pong(cmd)
		return
	}
	c.mu.Lock()
	connected := c.connected
	c.mu.Unlock()
	if connected == (cmd.Connect != nil) {
		c.closeWith(closeBadRequest) // something before connect, or connect again
		return
	}
	ctx, cancel := c.wait(cmd)
	defer cancel()
	if err := c.dispatch(ctx, cmd); err != nil {
		c.refuse(cmd.Id, err)
	}
}

func isPong(cmd *protocol.Command) bool { return cmd.Id == 0 && cmd.Send == nil }

// wait bounds what a command may take.
func (c *conn) wait(cmd *protocol.Command) (context.Context, context.CancelFunc) {
	if cmd.Publish != nil {
		return c.door.Gate.Timeout(c.door.Timeout)
	}
	return context.WithTimeout(context.Background(), c.door.Timeout)
}

// dispatch calls the one handler that the command asks for. They answer for
// themselves, or return what the answer is to be refused with.
func (c *conn) dispatch(ctx context.Context, cmd *protocol.Command) error {
	switch {
	case cmd.Connect != nil:
		return c.connect(ctx, cmd.Id, cmd.Connect)
	case cmd.Subscribe != nil:
		return c.subscribe(ctx, cmd.Id, cmd.Subscribe)
	case cmd.Unsubscribe != nil:
		return c.unsubscribe(cmd.Id, cmd.Unsubscribe)
	case cmd.Publish != nil:
		return c.publish(ctx, cmd.Id, cmd.Publish)
	case cmd.Presence != nil:
		return c.presence(ctx, cmd.Id, cmd.Presence.Channel, false)
	case cmd.PresenceStats != nil:
		return c.presence(ctx, cmd.Id, cmd.PresenceStats.Channel, true)
	case cmd.History != nil:
		return c.history(ctx, cmd.Id, cmd.History)
	case cmd.Refresh != nil:
		return c.refresh(ctx, cmd.Id, cmd.Refresh)
	case cmd.SubRefresh != nil:
		return c.subRefresh(ctx, cmd.Id, cmd.SubRefresh)
	case cmd.Rpc != nil:
		return errNotAvailable // there is no application here that would answer
	case cmd.Ping != nil:
		return errMethod // the protocol has it for later
	case cmd.Send != nil:
		c.door.Metrics.Dropped.Add(1)
		return nil
	}
	c.closeWith(closeBadRequest)
	return nil
}

// pong takes an empty command, the answer to a ping. Nothing else may have
// no id, and a pong that nobody asked for is none.
func (c *conn) pong(cmd *protocol.Command) {
	c.mu.Lock()
	asked := c.due.pong != 0
	c.due.pong = 0
	c.mu.Unlock()
	if !asked || cmd.SizeCF() > 0 {
		c.closeWith(closeBadRequest)
	}
}

func (c *conn) reply(r *protocol.Reply) { c.Send(c.form.encode(r)) }

// refuse answers with an error. Too many of them end the connection.
func (c *conn) refuse(id uint32, err error) {
	c.door.Metrics.Refused.Add(1)
	c.mu.Lock()
	c.errors++
	tooMany := c.errors > maxErrors
	c.mu.Unlock()
	if tooMany {
		c.closeWith(closeErrors)
		return
	}
	a := errorReplyFor(err)
	c.reply(&protocol.Reply{Id: id, Error: &protocol.Error{Code: a.code, Message: a.text, Temporary: a.temporary}})
}

// lifetime is how expiry is told: whether, and in how many seconds.
func lifetime(at time.Time) (expires bool, ttl uint32) {
	if at.IsZero() {
		return false, 0
	}
	left := min(time.Until(at), (1<<31-1)*time.Second) // before it is rounded up: a far end would overflow
	return true, uint32(max((left+time.Second-1)/time.Second, 1))
}
