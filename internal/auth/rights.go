package auth

import (
	"strings"

	"magpie/internal/channel"
	"magpie/internal/fault"
)

// Here is decided who may do what in which channel.

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
	Identity Identity
	Action   Action
	Channel  string
	// Subscribed says that the session is in the channel: it was admitted before.
	Subscribed bool
	// Granted says that Subscription took a token for this identity and channel.
	Granted bool
}

// Authorize answers nil when the request is allowed, or a fault that names the
// rule and its key: TokenNeeded when a token could help, Forbidden otherwise.
// It does not block. Every door and the API ask here and nowhere else.
//
//  1. A server may do what the rule does not forbid to all (nobody).
//  2. What the name promises holds first: "$…" and users' personal channels are
//     for those who were admitted, "…#a,b" is for the users a and b alone.
//  3. Then the rule says who. For subscribing, the server's word in a token
//     (a grant, or the connection token's channels) stands in for the rule.
func (a *Authorizer) Authorize(r Request) error {
	rule := a.rules.For(r.Channel)
	allowed, key := r.Action.in(rule)
	if r.Identity.Kind != Server {
		if err := a.checkPrivate(r, allowed); err != nil {
			return err
		}
	}
	if r.allowedBy(allowed) {
		return nil
	}
	if allowed == channel.Users { // only a guest is refused by it
		return refuse(fault.TokenNeeded, "rules", "the rule for %q wants a token that names a user to %s (%s: %s); send it as Authorization: Bearer or ?token=, or an API key as X-API-Key",
			rule.Match, verbs[r.Action], key, allowed)
	}
	asker := "a " + string(r.Identity.Kind)
	if allowed == channel.Subscribers {
		asker = "no subscriber"
	}
	return r.forbidden("rules", "the rule for %q says %s: %s, and this is %s", rule.Match, key, allowed, asker)
}

// in returns whom the rule allows the action, and under which of its keys.
func (do Action) in(rule *channel.Rule) (allowed channel.Allowed, key string) {
	switch do {
	case Subscribe:
		return rule.Subscribe, "subscribe"
	case Publish:
		return rule.Publish, "publish"
	case History:
		return rule.History, "history"
	case Presence:
		return rule.Members, "members"
	}
	return channel.Nobody, string(do) // an action that no rule knows
}

// checkPrivate holds what channels' names promise. allowed is the rule's word:
// where anyone may publish, another user's personal channel is no exception,
// as anyone may put a letter into a letter box.
func (a *Authorizer) checkPrivate(r Request, allowed channel.Allowed) error {
	user := r.Identity.User
	if strings.HasPrefix(r.Channel, "$") && !r.admitted() {
		return r.forbidden("", "names that begin with $ are private; subscribe with a subscription token for this channel")
	}
	if i := strings.LastIndexByte(r.Channel, '#'); i >= 0 && !r.Subscribed && !r.Identity.SubscribedByToken(r.Channel) && !listed(user, r.Channel[i+1:]) {
		return r.forbidden("", "the channel is for the users named behind its # alone")
	}
	if r.Action == Publish && allowed == channel.Anyone {
		return nil
	}
	if a.personal != "" && strings.HasPrefix(r.Channel, a.personal) && !r.admitted() && !a.owns(user, r.Channel) {
		return r.forbidden("personal_channel", "channels that begin with %q belong to one user each (setting personal_channel)", a.personal)
	}
	return nil
}

// admitted tells whether the server itself has put the session into the channel.
func (r *Request) admitted() bool {
	return r.Subscribed || r.Granted || r.Identity.SubscribedByToken(r.Channel)
}

// listed tells whether user is one of a comma-separated list. No user, "", is
// in no list: an empty entry names no guest.
func listed(user, list string) bool {
	for entry := range strings.SplitSeq(list, ",") {
		if entry == user && user != "" {
			return true
		}
	}
	return false
}

// allowedBy tells whether the rule's word lets the request through.
func (r *Request) allowedBy(allowed channel.Allowed) bool {
	if r.Action == Subscribe && allowed != channel.Nobody && (r.Granted || r.Identity.SubscribedByToken(r.Channel)) {
		return true
	}
	kind := r.Identity.Kind
	switch allowed {
	case channel.Anyone:
		return true
	case channel.Users:
		return kind == User || kind == Server
	case channel.Subscribers:
		return r.Subscribed || kind == Server
	case channel.Server:
		return kind == Server
	}
	return false
}

func (r *Request) forbidden(setting, format string, args ...any) error {
	return refuse(fault.Forbidden, setting, "not allowed to "+verbs[r.Action]+" here: "+format, args...)
}

var verbs = map[Action]string{Subscribe: "subscribe", Publish: "publish", History: "read the history", Presence: "see who is there"}

// Personal returns the channel that belongs to this user alone, "" when there
// is none: the setting personal_channel is not set, no user is known, or the
// user's name cannot be part of a channel's name.
func (a *Authorizer) Personal(id Identity) string {
	name := a.personal + id.User
	if a.personal == "" || !a.owns(id.User, name) || channel.Check(name) != nil {
		return ""
	}
	return name
}

// owns tells whether a channel under the prefix is this user's. In a prefix
// with a # some users' names would admit others: those have no channel.
func (a *Authorizer) owns(user, name string) bool {
	if strings.Contains(a.personal, "#") && strings.ContainsAny(user, "#,") {
		return false
	}
	return user != "" && name[len(a.personal):] == user
}
