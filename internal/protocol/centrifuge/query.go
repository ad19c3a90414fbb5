package centrifuge

import (
	"context"
	"strings"

	"github.com/centrifugal/protocol"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/node"
)

// publish answers when the engine has the message (D4).
func (c *conn) publish(ctx context.Context, id uint32, req *protocol.PublishRequest) error {
	if req.Channel == "" || len(req.Data) == 0 {
		return errBadRequest
	}
	if req.Type != 0 || req.Key != "" || req.Removed {
		return errNotAvailable // entries of maps
	}
	p := engine.Publication{Channel: c.door.Gate.Intern(req.Channel), Payload: req.Data, Via: message.ViaSDK}
	if s := c.find(req.Channel); s != nil && len(s.info) > 0 {
		p.By = &message.Publisher{ChanInfo: s.info}
	}
	if _, err := c.door.Gate.Publish(ctx, node.ClientActor(&c.Session), p); err != nil {
		return err
	}
	c.reply(&protocol.Reply{Id: id, Publish: &protocol.PublishResult{}})
	return nil
}

// presence answers who is in a channel, or with count how many are.
func (c *conn) presence(ctx context.Context, id uint32, name string, count bool) error {
	present, err := c.door.Gate.Presence(ctx, node.ClientActor(&c.Session), strings.Clone(name), "")
	if err != nil {
		return err
	}
	if count {
		result := &protocol.PresenceStatsResult{NumClients: uint32(present.Clients), NumUsers: uint32(present.Users)}
		c.reply(&protocol.Reply{Id: id, PresenceStats: result})
		return nil
	}
	list := make(map[string]*protocol.ClientInfo, len(present.Members))
	for _, m := range present.Members {
		list[m.Session] = c.form.clientInfo(publisher(m))
	}
	c.sendQuery(&protocol.Reply{Id: id, Presence: &protocol.PresenceResult{Presence: list}})
	return nil
}

// history answers a part of the log. A position that is not on its timeline
// is an error; one that was trimmed away gets what is left, as the protocol's
// clients expect who page through it.
func (c *conn) history(ctx context.Context, id uint32, req *protocol.HistoryRequest) error {
	if channel.Check(req.Channel) != nil || req.Since != nil && req.Reverse && req.Since.Offset == 0 {
		return errBadRequest
	}
	q := engine.Query{Limit: int(req.Limit), Reverse: req.Reverse}
	if q.Limit < 0 {
		q.Limit = engine.All
	}
	if req.Since != nil {
		var err error
		if q.Since, err = c.since(ctx, req); err != nil {
			return err
		}
	}
	page, err := c.door.Gate.History(ctx, node.ClientActor(&c.Session), strings.Clone(req.Channel), q)
	switch {
	case err != nil:
		return err
	case c.door.Gate.Rule(req.Channel).Log.Size == 0:
		return errNotAvailable
	case page.Gap == message.GapLost, q.Since != nil && q.Reverse && q.Since.Epoch != page.Top.Epoch:
		return errUnrecoverable
	}
	c.sendQuery(&protocol.Reply{Id: id, History: &protocol.HistoryResult{
		Publications: c.form.publications(page.Messages), Epoch: page.Top.Epoch, Offset: page.Top.Offset,
	}})
	return nil
}

// since is the position in a history request. Without an epoch it is one of
// the present timeline, which has to be asked for first.
func (c *conn) since(ctx context.Context, req *protocol.HistoryRequest) (*message.Position, error) {
	at := &message.Position{Epoch: strings.Clone(req.Since.Epoch), Offset: req.Since.Offset}
	if len(at.Epoch) > message.MaxEpoch {
		return nil, errUnrecoverable
	}
	if at.Epoch == "" {
		now, err := c.door.Gate.History(ctx, node.ClientActor(&c.Session), strings.Clone(req.Channel), engine.Query{})
		if err != nil {
			return nil, err
		}
		at.Epoch = now.Top.Epoch
	}
	return at, nil
}

// sendQuery sends an answer that may be long; see sendMissed. The gate lets
// nobody ask for another who has not read much of what waits.
func (c *conn) sendQuery(r *protocol.Reply) { c.SendBacklog(c.form.encode(r)) }
