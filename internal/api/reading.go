package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/node"
)

type channelRequest struct {
	Channel string `json:"channel"`
}

type presenceRequest struct {
	Channel string `json:"channel"`
	After   string `json:"after"` // next of the answer before
}

// clientInfo is a client as the Centrifuge protocol shows it.
type clientInfo struct {
	Client   string          `json:"client"`
	User     string          `json:"user"`
	ConnInfo json.RawMessage `json:"conn_info,omitempty"`
	ChanInfo json.RawMessage `json:"chan_info,omitempty"`
}

// raw is b where it is JSON, and otherwise left out.
func raw(b []byte) json.RawMessage {
	if len(b) == 0 || !json.Valid(b) {
		return nil
	}
	return b
}

func (s *Server) present(ctx context.Context, q presenceRequest) (node.Present, error) {
	if q.Channel == "" {
		return node.Present{}, bad("channel is missing")
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	p, err := s.Gate.Presence(ctx, node.ServerActor, q.Channel, q.After)
	if err != nil {
		return p, fmt.Errorf("presence: %w", err)
	}
	return p, nil
}

type presenceResult struct {
	Presence map[string]clientInfo `json:"presence"`
	Next     string                `json:"next,omitempty"` // more follow: ask with after
}

func (s *Server) presence(ctx context.Context, q presenceRequest) (any, error) {
	p, err := s.present(ctx, q)
	if err != nil {
		return nil, err
	}
	all := make(map[string]clientInfo, len(p.Members))
	for _, m := range p.Members {
		all[m.Session] = clientInfo{Client: m.Session, User: m.User, ConnInfo: raw(m.ConnInfo), ChanInfo: raw(m.ChanInfo)}
	}
	return presenceResult{all, p.Next}, nil
}

type presenceStatsResult struct {
	NumClients int `json:"num_clients"`
	NumUsers   int `json:"num_users"` // guests count as one
}

func (s *Server) presenceStats(ctx context.Context, q channelRequest) (any, error) {
	p, err := s.present(ctx, presenceRequest{Channel: q.Channel})
	if err != nil {
		return nil, err
	}
	return presenceStatsResult{p.Clients, p.Users}, nil
}

type historyRequest struct {
	Channel string            `json:"channel"`
	Limit   int               `json:"limit"`
	Since   *message.Position `json:"since"`
	Reverse bool              `json:"reverse"`
}

type historyResult struct {
	Publications []publication `json:"publications"`
	Epoch        string        `json:"epoch"`
	Offset       uint64        `json:"offset"`
}

type publication struct {
	Data   json.RawMessage   `json:"data"`
	Info   *clientInfo       `json:"info,omitempty"`
	Offset uint64            `json:"offset,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// history reads the log. Messages that are no longer kept are left out in
// silence, for the offsets tell; a position of another timeline is an error.
func (s *Server) history(ctx context.Context, q historyRequest) (any, error) {
	switch {
	case q.Channel == "":
		return nil, bad("channel is missing")
	case q.Limit > maxPage:
		return nil, wrong(CodeLimit, fmt.Sprintf("limit is at most %d; go on with since", maxPage))
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if channel.Check(q.Channel) == nil && s.Gate.Rule(q.Channel).Log.Size == 0 {
		return nil, wrong(CodeNotAvailable, "this channel keeps no log (rule: log.size)")
	}
	query, err := s.query(ctx, q)
	if err != nil {
		return nil, err
	}
	page, err := s.Gate.History(ctx, node.ServerActor, q.Channel, query)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	if page.Gap == message.GapLost {
		return nil, wrong(CodeUnrecoverable, "since is not on the timeline that the log has now; begin without it")
	}
	return pageOf(page), nil
}

// query completes what the caller left out: no limit means the most that one
// answer holds, no epoch the present one.
func (s *Server) query(ctx context.Context, q historyRequest) (engine.Query, error) {
	query := engine.Query{Limit: q.Limit, Reverse: q.Reverse}
	if q.Limit < 0 {
		query.Limit = maxPage
	}
	if q.Since == nil {
		return query, nil
	}
	query.Since = &message.Position{Epoch: q.Since.Epoch, Offset: q.Since.Offset}
	if q.Since.Epoch == "" {
		now, err := s.Gate.History(ctx, node.ServerActor, q.Channel, engine.Query{})
		if err != nil {
			return query, fmt.Errorf("history: %w", err)
		}
		query.Since.Epoch = now.Top.Epoch
	}
	_, err := message.ParsePosition(query.Since.String())
	return query, err
}

func pageOf(page engine.Page) historyResult {
	list := make([]publication, len(page.Messages))
	for i, m := range page.Messages {
		list[i] = publication{Data: dataOf(m.Payload), Info: infoOf(m.By), Offset: m.Offset, Tags: m.Tags}
	}
	return historyResult{Publications: list, Epoch: page.Top.Epoch, Offset: page.Top.Offset}
}

// dataOf puts a payload into JSON: as it is, as a string when it is other
// text, and as {"b64":…} when it is no text.
func dataOf(payload []byte) json.RawMessage {
	if !utf8.Valid(payload) {
		b := base64.StdEncoding.AppendEncode([]byte(`{"b64":"`), payload)
		return append(b, `"}`...)
	}
	if json.Valid(payload) {
		return payload
	}
	b, _ := json.Marshal(string(payload)) // a string: cannot fail
	return b
}

func infoOf(by *message.Publisher) *clientInfo {
	if by == nil {
		return nil
	}
	return &clientInfo{Client: by.Session, User: by.User, ConnInfo: raw(by.ConnInfo), ChanInfo: raw(by.ChanInfo)}
}

func (s *Server) historyRemove(ctx context.Context, q channelRequest) (any, error) {
	if q.Channel == "" {
		return nil, bad("channel is missing")
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if err := s.Gate.Remove(ctx, q.Channel); err != nil {
		return nil, fmt.Errorf("history_remove: %w", err)
	}
	return nothing{}, nil
}

type channelsRequest struct {
	Pattern string `json:"pattern"`
}

type channelsResult struct {
	Channels map[string]channelInfo `json:"channels"`
}

type channelInfo struct {
	NumClients int `json:"num_clients"`
}

func (s *Server) channels(ctx context.Context, q channelsRequest) (any, error) {
	if q.Pattern != "" {
		if err := channel.CheckGlob(q.Pattern); err != nil {
			return nil, bad(err.Error())
		}
	}
	sessions, _, err := s.Peers.Channels(ctx, q.Pattern)
	if err != nil {
		return nil, err
	}
	all := make(map[string]channelInfo, len(sessions))
	for name, count := range sessions {
		all[name] = channelInfo{count}
	}
	return channelsResult{all}, nil
}

type infoResult struct {
	Nodes []node.Info `json:"nodes"`
}

func (s *Server) info(ctx context.Context, _ nothing) (any, error) {
	list, _, err := s.Peers.Info(ctx)
	if err != nil {
		return nil, err
	}
	return infoResult{list}, nil
}
