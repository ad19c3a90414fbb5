package auth

import (
	"strings"

	"magpie/internal/channel"
	"magpie/internal/fault"
)

// Action is something that rules govern.
type Action string

// The actions.
const (
	Subscribe Action = "subscribe"
	Publish   Action = "publish"
	History   Action = "history"
	Presence  Action = "presence"
)

// Request is what somebody wants to do in a channel, whose name is taken as
// checked.
type Request struct {
	Who     Identity
	Do      Action
	Channel string
	// Subscribed says that the session is in the channel: it was let in before.
	Subscribed bool
	// Granted says that Subscription took a token for this identity and channel.
	Granted bool
}

// May answers nil if it may be done, or an error that names the rule and the
// setting: TokenNeeded when a token could help, Forbidden otherwise. It does
// not block. Every door and the API ask here and nowhere else.
//
//  1. A server may do what the rule does not forbid to all (nobody).
//  2. What the name promises holds first: in "$…" and in users' personal
//     channels is only who was let in, in "…#a,b" only a and b.
//  3. Then the rule says who. For subscribing, the server's word in a token
//     (a grant, or the connection token's channels) stands in for the rule.
func (a *Authorizer) May(r Request) error {
	rule := a.rules.For(r.Channel)
	who := r.Do.who(rule)
	if r.Who.Kind != Server {
		if err := a.byName(r, who); err != nil {
			return err
		}
	}
	if r.mayBy(who) {
		return nil
	}
	return r.refusal(rule, who)
}

// MaySubscribe is May for subscribing: with a grant from Subscription, or nil.
// A grant for another channel grants nothing.
func (a *Authorizer) MaySubscribe(id Identity, name string, g *Grant) error {
	return a.May(Request{Who: id, Do: Subscribe, Channel: name, Granted: g != nil && g.Channel == name})
}

// who is the rule's word on an action.
func (do Action) who(rule *channel.Rule) channel.Who {
	switch do {
	case Subscribe:
		return rule.Subscribe
	case Publish:
		return rule.Publish
	case History:
		return rule.History
	case Presence:
		return rule.Members
	}
	return channel.Nobody // an action that no rule knows
}

// setting is the rule's key for an action.
func (do Action) setting() string {
	if do == Presence {
		return "members"
	}
	return string(do)
}

// letIn tells whether the server itself has let the session into the channel.
func (r *Request) letIn() bool {
	return r.Subscribed || r.Granted || r.Who.let(r.Channel)
}

// byName holds what channels' names promise. who is the rule's word: where
// anyone may publish, others' personal channels are no exception, as a letter
// box is open to the street.
func (a *Authorizer) byName(r Request, who channel.Who) error {
	if strings.HasPrefix(r.Channel, "$") && !r.letIn() {
		return forbidden("", "to %s here: names that begin with $ are private; subscribe with a subscription token for this channel", verbs[r.Do])
	}
	if i := strings.LastIndexByte(r.Channel, '#'); i >= 0 && !r.Subscribed && !r.Who.let(r.Channel) && !named(r.Who.User, r.Channel[i+1:]) {
		return forbidden("", "to %s here: the channel is for the users named behind its # alone", verbs[r.Do])
	}
	if r.Do == Publish && who == channel.Anyone {
		return nil
	}
	if a.personal != "" && strings.HasPrefix(r.Channel, a.personal) && !r.letIn() && !a.owns(r.Who.User, r.Channel) {
		return forbidden("personal_channel", "to %s here: channels that begin with %q belong to one user each (setting personal_channel)", verbs[r.Do], a.personal)
	}
	return nil
}

// named tells whether user is one of a comma-separated list. Nobody is never
// in it: an empty entry names no guest.
func named(user, list string) bool {
	for entry := range strings.SplitSeq(list, ",") {
		if entry == user && user != "" {
			return true
		}
	}
	return false
}

func (r *Request) mayBy(who channel.Who) bool {
	if r.Do == Subscribe && who != channel.Nobody && (r.Granted || r.Who.let(r.Channel)) {
		return true
	}
	switch who {
	case channel.Anyone:
		return true
	case channel.Users:
		return r.Who.Kind == User || r.Who.Kind == Server
	case channel.Subscribers:
		return r.Subscribed || r.Who.Kind == Server
	case channel.Server:
		return r.Who.Kind == Server
	}
	return false
}

func (r *Request) refusal(rule *channel.Rule, who channel.Who) error {
	if r.Who.Kind == Guest && who == channel.Users {
		return refuse(fault.TokenNeeded, "rules", "the rule for %q wants a token that names a user to %s (%s: %s); send it as Authorization: Bearer or ?token=, or an API key as X-API-Key",
			rule.Match, verbs[r.Do], r.Do.setting(), who)
	}
	return forbidden("rules", "to %s here: the rule for %q says %s: %s, and this is %s",
		verbs[r.Do], rule.Match, r.Do.setting(), who, r.standing(who))
}

func forbidden(setting, format string, args ...any) *fault.Fault {
	return refuse(fault.Forbidden, setting, "not allowed "+format, args...)
}

// standing says what the asker is, in the words of the rule.
func (r *Request) standing(who channel.Who) string {
	if who == channel.Subscribers {
		return "no subscriber"
	}
	return "a " + string(r.Who.Kind)
}

var verbs = map[Action]string{Subscribe: "subscribe", Publish: "publish", History: "read the history", Presence: "see who is there"}

// Guests returns the match of every rule that lets somebody without a token do
// something, first to last; "*" is also the one for all other channels. Callers
// must not change the slice.
func (a *Authorizer) Guests() []string { return a.guests }
