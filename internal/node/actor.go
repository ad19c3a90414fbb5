package node

import (
	"magpie/internal/auth"
	"magpie/internal/message"
	"magpie/internal/session"
)

// Actor is who wants something of the gate.
type Actor struct {
	kind    actorKind
	who     auth.Identity
	session *session.Session // nil: none
}

type actorKind uint8

const (
	callerActor actorKind = iota // over HTTP, without a session
	clientActor                  // a session
	engineActor                  // whoever publishes in the engine's own store
)

// ServerActor is who shows an API key: all keys may do the same.
var ServerActor = CallerActor(auth.Identity{Kind: auth.Server})

// ClientActor is a session. What a rule gives to subscribers is open to it in
// the channels that it is subscribed to.
func ClientActor(s *session.Session) Actor {
	return Actor{kind: clientActor, who: s.Who(), session: s}
}

// CallerActor is somebody who has no session: a server, or a user over HTTP.
func CallerActor(who auth.Identity) Actor { return Actor{who: who} }

// trusted tells whether the actor is a server or publishes in the engine's store.
func (a *Actor) trusted() bool {
	return a.kind == engineActor || a.kind == callerActor && a.who.Kind == auth.Server
}

// keyOwner says whose the actor's idempotency keys are. Nobody else's can be
// told from them, nor used up: those of servers, of each user and of each guest
// with a token are apart. Guests without a token are one.
func (a *Actor) keyOwner() string {
	if a.trusted() {
		return ""
	}
	return string(a.who.Kind) + ":" + a.who.User
}

// publisher is the stamp of a publication: what the server knows of who sent
// it. Of what the door gives only ChanInfo is kept.
func (a *Actor) publisher(given *message.Publisher) *message.Publisher {
	if a.kind == callerActor && a.who.Kind != auth.User {
		return given
	}
	by := &message.Publisher{User: a.who.User, ConnInfo: a.who.Info}
	if a.session != nil {
		by.Session = a.session.ID()
	}
	if given != nil {
		by.ChanInfo = given.ChanInfo
	}
	return by
}
