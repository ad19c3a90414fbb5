package auth_test

import (
	"fmt"
	"strings"
	"testing"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
)

// ruled is an authorizer with one rule for each Who, matched by the word in a
// channel's name; all others are for users.
func ruled() *auth.Authorizer {
	var list []channel.Rule
	for _, who := range []channel.Allowed{channel.Anyone, channel.Server, channel.Nobody} {
		r := channel.Default(who)
		r.Match = "*" + string(who) + "*"
		list = append(list, r)
	}
	r := channel.Default(channel.Subscribers)
	r.Match, r.Subscribe = "*subscribers*", channel.Users
	list = append(list, r)
	list = append(list, channel.Rule{Match: "each", Subscribe: channel.Anyone, Publish: channel.Subscribers, History: channel.Users, Members: channel.Server})
	rules := must(channel.NewRules(list, channel.Default(channel.Users)))
	return auth.New(auth.Config{Rules: rules, Personal: "user:"})
}

// roles are the columns of the table below.
var roles = []struct {
	name string
	auth.Request
}{
	{"guest", auth.Request{Identity: auth.Identity{Kind: auth.Guest}}},
	{"guest, subscribed", auth.Request{Identity: auth.Identity{Kind: auth.Guest}, Subscribed: true}},
	{"guest, granted", auth.Request{Identity: auth.Identity{Kind: auth.Guest}, Granted: true}},
	{"user 42", auth.Request{Identity: user("42")}},
	{"user 7", auth.Request{Identity: user("7")}},
	{"user 7, subscribed", auth.Request{Identity: user("7"), Subscribed: true}},
	{"user 7, granted", auth.Request{Identity: user("7"), Granted: true}},
	{"user 7, let in by the token", auth.Request{Identity: auth.Identity{Kind: auth.User, User: "7"}}}, // and channels: the one at hand
	{"server", auth.Request{Identity: auth.Identity{Kind: auth.Server}}},
}

// One table for action × channel × role, the same for every door (attack rows
// N3 and N5). Columns are the roles above: y is allowed, t says that a token
// would help, f is forbidden.
func TestMay(t *testing.T) {
	const (
		sub  = "subscribe"
		rest = "publish history presence"
	)
	for _, c := range []struct {
		channel, actions, want string
	}{
		//                       g gs gg 42 7 7s 7g 7t srv
		{"anyone", sub + " " + rest, "yyyyyyyyy"},
		{"users", sub, "ttyyyyyyy"}, // the grant is the server's word
		{"users", rest, "tttyyyyyy"},
		{"subscribers", sub, "ttyyyyyyy"},
		{"subscribers", rest, "fyfffyffy"},
		{"server", sub, "ffyfffyyy"},
		{"server", rest, "ffffffffy"},
		{"nobody", sub + " " + rest, "fffffffff"},
		{"each", "subscribe", "yyyyyyyyy"}, // each action has its own key
		{"each", "publish", "fyfffyffy"},
		{"each", "history", "tttyyyyyy"},
		{"each", "presence", "ffffffffy"},

		// What a name promises comes before what the rule gives away.
		{"$anyone", sub + " " + rest, "fyyffyyyy"},
		{"$users", sub, "ftyffyyyy"},
		{"$users", rest, "fttffyyyy"},
		{"$subscribers", rest, "fyfffyffy"},
		{"$nobody", sub + " " + rest, "fffffffff"},
		{"anyone#42", sub + " " + rest, "fyfyfyfyy"},
		{"anyone#41,42", sub + " " + rest, "fyfyfyfyy"},
		{"users#42,43", sub, "ftfyfyfyy"},
		{"users#42,43", rest, "ftfyfyfyy"},
		{"anyone#", sub + " " + rest, "fyfffyfyy"},
		{"anyone#,", sub + " " + rest, "fyfffyfyy"},
		{"anyone#42#7", sub + " " + rest, "fyffyyyyy"}, // the last # counts
		{"anyone#420", sub + " " + rest, "fyfffyfyy"},
		{"$anyone#42", sub + " " + rest, "fyfffyfyy"}, // both promises hold
		{"server#42", rest, "ffffffffy"},
		{"nobody#42", sub + " " + rest, "fffffffff"},

		// Another user's own channel, whatever the rule says.
		{"user:42", sub, "ftyyfyyyy"},
		{"user:42", rest, "fttyfyyyy"},
		{"user:anyone", sub + " history presence", "fyyffyyyy"},
		{"user:anyone", "publish", "yyyyyyyyy"}, // a letter box is open to the street
		{"user:", rest, "fttffyyyy"},            // nobody's
		{"user:7", rest, "fttfyyyyy"},
		{"xuser:42", sub, "ttyyyyyyy"},
	} {
		for do := range strings.FieldsSeq(c.actions) {
			for i, role := range roles {
				r := role.Request
				r.Action, r.Channel = auth.Action(do), c.channel
				if strings.Contains(role.name, "token") {
					r.Identity.Channels = []string{"other", c.channel}
				}
				check(t, r, role.name, c.want[i])
			}
		}
	}
}

// The whole cube: every word of a rule × action × kind of name × who asks, 2,560
// cells, against two tables: what the name lets in, and what the rule lets in.
// The columns are askers: a guest, user 7 and user 42, each
//
//	as they are, subscribed, with a grant, named in channels, named in subs,
//
// and last a server.
func TestAuthorizeCube(t *testing.T) {
	names := []struct{ channel, in string }{
		//          guest 7     42    server
		{"x", "yyyyy yyyyy yyyyy y"},
		{"$x", "nyyyy nyyyy nyyyy y"},
		{"x#42", "nynyy nynyy yyyyy y"},  // a grant does not add to the list
		{"$x#42", "nynyy nynyy nyyyy y"}, // both promises hold
		{"user:42", "nyyyy nyyyy yyyyy y"},
		{"user:", "nyyyy nyyyy nyyyy y"}, // no user's
		{"x#", "nynyy nynyy nynyy y"},    // for no user
		{"#42", "nynyy nynyy yyyyy y"},
	}
	rules := []struct {
		allowed         channel.Allowed
		subscribe, rest string
	}{
		{channel.Anyone, "yyyyy yyyyy yyyyy y", "yyyyy yyyyy yyyyy y"},
		{channel.Users, "ttyyy yyyyy yyyyy y", "ttttt yyyyy yyyyy y"},
		{channel.Subscribers, "fyyyy fyyyy fyyyy y", "fyfff fyfff fyfff y"},
		{channel.Server, "ffyyy ffyyy ffyyy y", "fffff fffff fffff y"},
		{channel.Nobody, "fffff fffff fffff f", "fffff fffff fffff f"},
	}
	for _, rule := range rules {
		for _, action := range []auth.Action{auth.Subscribe, auth.Publish, auth.History, auth.Presence} {
			a := onlyKey(t, action, rule.allowed)
			ruled := rule.rest
			if action == auth.Subscribe {
				ruled = rule.subscribe
			}
			for _, name := range names {
				for i, r := range cubeAskers(name.channel) {
					want := strings.ReplaceAll(ruled, " ", "")[i]
					letterBox := action == auth.Publish && rule.allowed == channel.Anyone && strings.HasPrefix(name.channel, "user:")
					if strings.ReplaceAll(name.in, " ", "")[i] == 'n' && !letterBox {
						want = 'f'
					}
					r.Action, r.Channel = action, name.channel
					if err := a.Authorize(r); fault.KindOf(err) != words[want] {
						t.Errorf("%s: %s, %s in %q, asker %d (%+v): %v", action, rule.allowed, action, name.channel, i, r, err)
					}
				}
			}
		}
	}
}

// cubeAskers are the columns of the cube for a channel of this name.
func cubeAskers(name string) (all []auth.Request) {
	for _, id := range []auth.Identity{{Kind: auth.Guest, User: "g:1"}, user("7"), user("42")} {
		inChannels, inSubs := id, id
		inChannels.Channels = []string{"other", name}
		inSubs.Subs = map[string]auth.SubOptions{name: {}}
		all = append(all, auth.Request{Identity: id}, auth.Request{Identity: id, Subscribed: true}, auth.Request{Identity: id, Granted: true},
			auth.Request{Identity: inChannels}, auth.Request{Identity: inSubs})
	}
	return append(all, auth.Request{Identity: auth.Identity{Kind: auth.Server}})
}

// onlyKey is an authorizer whose one rule has the word for this action alone.
// Its other keys say the opposite, so that a key taken for another shows.
func onlyKey(t *testing.T, action auth.Action, allowed channel.Allowed) *auth.Authorizer {
	t.Helper()
	other := channel.Nobody
	if allowed == channel.Nobody {
		other = channel.Anyone
	}
	rule := channel.Rule{Match: "*", Subscribe: other, Publish: other, History: other, Members: other}
	*map[auth.Action]*channel.Allowed{auth.Subscribe: &rule.Subscribe, auth.Publish: &rule.Publish, auth.History: &rule.History, auth.Presence: &rule.Members}[action] = allowed
	return auth.New(auth.Config{Rules: must(channel.NewRules(nil, rule)), Personal: "user:"})
}

var words = map[byte]fault.Kind{'y': "", 't': fault.TokenNeeded, 'f': fault.Forbidden}

func check(t *testing.T, r auth.Request, role string, want byte) {
	t.Helper()
	err := ruled().Authorize(r)
	if fault.KindOf(err) != words[want] {
		t.Errorf("%s: %s in %q: %v, want %v", role, r.Action, r.Channel, err, words[want])
	}
	if err != nil && !strings.ContainsAny(err.Error(), ":(") {
		t.Errorf("%s: %s in %q: the refusal names no rule: %v", role, r.Action, r.Channel, err)
	}
}

// A refusal says which rule and which of its keys, so that whoever wrote them
// finds the line.
func TestRefusalsNameRuleAndSetting(t *testing.T) {
	for _, c := range []struct {
		do      auth.Action
		channel string
		want    string
	}{
		{auth.Presence, "server", `the rule for "*server*" says members: server, and this is a guest`},
		{auth.Publish, "subscribers", `the rule for "*subscribers*" says publish: subscribers, and this is no subscriber`},
		{auth.History, "x", `the rule for "*" wants a token that names a user to read the history (history: users)`},
		{auth.Subscribe, "$x", `subscription token`},
		{auth.Subscribe, "x#42", `behind its #`},
		{auth.Subscribe, "user:42", `personal_channel`},
	} {
		err := ruled().Authorize(auth.Request{Identity: auth.Identity{Kind: auth.Guest}, Action: c.do, Channel: c.channel})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.do, c.channel, err, c.want)
		}
	}
}

// An action that nobody thought of is not open.
func TestUnknownActionIsRefused(t *testing.T) {
	if err := ruled().Authorize(auth.Request{Identity: auth.Identity{Kind: auth.Server}, Action: "erase", Channel: "anyone"}); fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
}

func TestPersonal(t *testing.T) {
	rules := noRules()
	for _, c := range []struct{ prefix, user, want string }{
		{"user:", "42", "user:42"},
		{"", "42", ""},
		{"user:", "", ""},
		{"user:", "a b", ""},
		{"user:", strings.Repeat("x", 255), ""},
		{"user:", "42,7", "user:42,7"},
		{"#", "42", "#42"},
		{"me:#", "42,7", ""}, // would be 42's and 7's
		{"me:#", "x#7", ""},  // would be 7's
	} {
		a := auth.New(auth.Config{Rules: rules, Personal: c.prefix})
		if got := a.Personal(user(c.user)); got != c.want {
			t.Errorf("%q + %q: %q, want %q", c.prefix, c.user, got, c.want)
		}
	}
	a := auth.New(auth.Config{Rules: rules, Personal: "user:"})
	if got := a.Personal(auth.Identity{Kind: auth.Server}); got != "" {
		t.Errorf("a server has %q", got)
	}
}

func ExampleAuthorizer_Authorize() {
	a := auth.New(auth.Config{Rules: noRules()})
	fmt.Println(a.Authorize(auth.Request{Identity: auth.Identity{Kind: auth.Guest}, Action: auth.Publish, Channel: "chat"}))
	// Output: the rule for "*" wants a token that names a user to publish (publish: users); send it as Authorization: Bearer or ?token=, or an API key as X-API-Key
}
