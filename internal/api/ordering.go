package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/session"
)

// What sessions are told when the caller says nothing else: the Centrifuge
// protocol's codes for these orders.
const (
	unsubscribeCode  = 2000
	disconnectCode   = 3503 // do not come back
	maxReason        = 123  // bytes: what a WebSocket close frame holds (RFC 6455, 5.5)
	unsubscribeWords = "server unsubscribe"
	disconnectWords  = "force disconnect"
)

// target says whose sessions are meant: those that fit all that is given.
type target struct {
	User    string `json:"user"`
	Client  string `json:"client"`
	Session string `json:"session"`
}

// order begins an order to the target. It refuses one to nobody: without a name
// it would mean all guests.
func (t target) order(a node.Action) (node.Order, error) {
	if t == (target{}) {
		return node.Order{}, bad("user is missing; a guest is named by client or session")
	}
	return node.Order{Action: a, User: t.User, Client: t.Client, Session: t.Session}, nil
}

func (s *Server) order(ctx context.Context, o node.Order) (any, error) {
	return done(s.Peers.Order(ctx, o))
}

// done is the result of what only does something.
func done(err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return nothing{}, nil
}

// boolean is how the protocol tells false from not given.
type boolean struct {
	Value bool `json:"value"`
}

func (b *boolean) or(otherwise bool) bool {
	if b == nil {
		return otherwise
	}
	return b.Value
}

type subscribeRequest struct {
	target
	Channel      string            `json:"channel"`
	ExpireAt     int64             `json:"expire_at"`
	Info         json.RawMessage   `json:"info"`
	B64Info      string            `json:"b64info"`
	Data         json.RawMessage   `json:"data"`
	B64Data      string            `json:"b64data"`
	RecoverSince *message.Position `json:"recover_since"`
	Override     struct {
		Presence           *boolean `json:"presence"`
		JoinLeave          *boolean `json:"join_leave"`
		ForceRecovery      *boolean `json:"force_recovery"`
		ForcePositioning   *boolean `json:"force_positioning"`
		ForcePushJoinLeave *boolean `json:"force_push_join_leave"`
	} `json:"override"`
}

func (s *Server) subscribe(ctx context.Context, q subscribeRequest) (any, error) {
	o, err := q.order(node.Subscribe)
	if err != nil {
		return nil, err
	}
	if q.Channel == "" {
		return nil, bad("channel is missing")
	}
	if err := s.Gate.MaySubscribe(node.ServerActor, q.Channel, false); err != nil {
		return nil, err
	}
	sub, err := q.subscription(s.Gate.Rule(q.Channel))
	if err != nil {
		return nil, err
	}
	o.Channel, o.Subscription = q.Channel, sub
	return s.order(ctx, o)
}

// subscription is what the rule says, but for what the caller overrides.
func (q *subscribeRequest) subscription(rule *channel.Rule) (*session.ServerSubscription, error) {
	logged := rule.Log.Size > 0
	sub := &session.ServerSubscription{
		Recoverable: logged && q.Override.ForceRecovery.or(rule.Recover),
		Positioned:  logged && q.Override.ForcePositioning.or(rule.Recover),
		JoinLeave:   q.Override.ForcePushJoinLeave.or(q.Override.JoinLeave.or(rule.JoinLeave.Told())),
		Since:       q.RecoverSince,
	}
	var err error
	if sub.Info, err = jsonOf("info", q.Info, q.B64Info); err != nil {
		return nil, err
	}
	if sub.Data, err = jsonOf("data", q.Data, q.B64Data); err != nil {
		return nil, err
	}
	switch {
	case q.Override.Presence.or(rule.Presence) != rule.Presence:
		return nil, wrong(CodeNotAvailable, "presence is the rule's to say, for the whole channel")
	case q.ExpireAt < 0:
		return nil, bad("expire_at is a Unix time in seconds")
	case q.ExpireAt > 0 && q.ExpireAt <= time.Now().Unix():
		return nil, bad("expire_at lies in the past")
	case q.ExpireAt > 0:
		sub.Expires = time.Unix(q.ExpireAt, 0)
	}
	return sub, nil
}

// jsonOf is bytesOf for values that clients must be able to read as JSON.
func jsonOf(name string, data json.RawMessage, b64 string) ([]byte, error) {
	b, err := bytesOf(name, given(data), b64)
	if err == nil && b != nil && !json.Valid(b) {
		return nil, bad("b64" + name + " holds something that is not JSON")
	}
	return b, err
}

type unsubscribeRequest struct {
	target
	Channel string `json:"channel"`
}

func (s *Server) unsubscribe(ctx context.Context, q unsubscribeRequest) (any, error) {
	o, err := q.order(node.Unsubscribe)
	if err != nil {
		return nil, err
	}
	if q.Channel == "" {
		return nil, bad("channel is missing")
	}
	if err := channel.Check(q.Channel); err != nil {
		return nil, err
	}
	o.Channel, o.Code, o.Reason = q.Channel, unsubscribeCode, unsubscribeWords
	return s.order(ctx, o)
}

type disconnectRequest struct {
	target
	BlockTTL   int64    `json:"block_ttl"` // seconds
	Whitelist  []string `json:"whitelist"`
	Disconnect *struct {
		Code   uint32 `json:"code"`
		Reason string `json:"reason"`
	} `json:"disconnect"`
}

func (s *Server) disconnect(ctx context.Context, q disconnectRequest) (any, error) {
	o, err := q.order(node.Disconnect)
	if err != nil {
		return nil, err
	}
	o.Except, o.Code, o.Reason = q.Whitelist, disconnectCode, disconnectWords
	if d := q.Disconnect; d != nil {
		if d.Code < 3000 || d.Code > 4999 {
			return nil, bad("disconnect.code is 3000 to 4999; 3500 to 3999 and 4500 to 4999 tell clients not to come back")
		}
		if len(d.Reason) > maxReason {
			return nil, bad(fmt.Sprintf("disconnect.reason has at most %d bytes", maxReason))
		}
		o.Code, o.Reason = d.Code, d.Reason
	}
	switch {
	case q.BlockTTL == 0:
		return s.order(ctx, o)
	case q.BlockTTL < 0 || q.BlockTTL > maxRevoked:
		return nil, bad(fmt.Sprintf("block_ttl is 1 to %d seconds", maxRevoked))
	case len(q.Whitelist) > 0:
		return nil, bad("block_ttl keeps a user away with all sessions: leave whitelist out")
	}
	return done(s.Peers.KeepAway(ctx, o, time.Now().Add(time.Duration(q.BlockTTL)*time.Second)))
}

type revokeRequest struct {
	target
	JTI      string `json:"jti"`
	ExpireAt int64  `json:"expire_at"`
}

const (
	// defaultRevoked is how long tokens are refused when the caller does not say,
	// maxRevoked the longest. Both are in seconds.
	defaultRevoked = 30 * 24 * 60 * 60
	maxRevoked     = 366 * 24 * 60 * 60
)

func (s *Server) revoke(ctx context.Context, q revokeRequest) (any, error) {
	given := 0
	for _, name := range []string{q.User, q.Client, q.Session, q.JTI} {
		if name != "" {
			given++
		}
		if len(name) > auth.MaxID || strings.ContainsFunc(name, unicode.IsControl) {
			return nil, bad(fmt.Sprintf("names have at most %d bytes and no control characters", auth.MaxID))
		}
	}
	now := time.Now().Unix()
	ends := cmp.Or(q.ExpireAt, now+defaultRevoked)
	switch {
	case given != 1:
		return nil, bad("say whose tokens: one of user, client, session and jti")
	case ends <= now:
		return nil, bad("expire_at lies in the past: those tokens have ended")
	case ends > now+maxRevoked:
		return nil, bad(fmt.Sprintf("expire_at lies more than %d days ahead", maxRevoked/24/60/60))
	}
	return done(s.Peers.Revoke(ctx, node.Revocation{User: q.User, ID: q.JTI, Client: q.Client, Session: q.Session}, time.Unix(ends, 0)))
}

type refreshRequest struct {
	target
	Expired  bool            `json:"expired"`
	ExpireAt int64           `json:"expire_at"`
	Info     json.RawMessage `json:"info"`
}

func (s *Server) refresh(ctx context.Context, q refreshRequest) (any, error) {
	o, err := q.order(node.Refresh)
	if err != nil {
		return nil, err
	}
	switch {
	case given(q.Info) != nil:
		return nil, wrong(CodeNotAvailable, "info of a session that is open cannot be changed")
	case q.ExpireAt < 0:
		return nil, bad("expire_at is a Unix time in seconds")
	}
	o.Expired, o.ExpireAt = q.Expired, q.ExpireAt
	return s.order(ctx, o)
}
