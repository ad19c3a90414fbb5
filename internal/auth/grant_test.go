package auth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
)

func user(name string) auth.Identity { return auth.Identity{Kind: auth.User, User: name} }

func TestSubscriptionToken(t *testing.T) {
	a := authorizer()
	exp := time.Now().Add(time.Minute)
	yes := true
	g, err := a.Subscription(context.Background(), hs(jwt.MapClaims{"channel": "$team", "exp": exp.Unix(), "info": 7,
		"override": map[string]any{"join_leave": map[string]any{"value": true}}}), user("42"), "$team")
	if err != nil || g.Channel != "$team" || string(g.Info) != "7" || g.Expires.Unix() != exp.Unix() || *g.Override.JoinLeave != yes || g.Override.Presence != nil {
		t.Errorf("%+v, %v", g, err)
	}
	g, err = a.Subscription(context.Background(), hs(jwt.MapClaims{"channel": "$team", "sub": nil, "expire_at": 0}), auth.Identity{Kind: auth.Guest}, "$team")
	if err != nil || !g.Expires.IsZero() {
		t.Errorf("a guest's: %+v, %v", g, err)
	}
	named := auth.Identity{Kind: auth.Guest, User: "g:1"}
	for _, sub := range []any{nil, "g:1"} {
		if _, err = a.Subscription(context.Background(), hs(jwt.MapClaims{"channel": "$team", "sub": sub}), named, "$team"); err != nil {
			t.Errorf("a named guest's with sub %v: %v", sub, err)
		}
	}
}

// Attack row T4: what was made for another use, user or channel.
func TestSubscriptionTokensOfOthers(t *testing.T) {
	a := authorizer()
	guest := auth.Identity{Kind: auth.Guest}
	for what, c := range map[string]struct {
		token   string
		who     auth.Identity
		channel string
		want    fault.Kind
	}{
		"connection token":          {hs(nil), user("42"), "$team", fault.BadToken},
		"another channel":           {hs(jwt.MapClaims{"channel": "$other"}), user("42"), "$team", fault.Forbidden},
		"other letters":             {hs(jwt.MapClaims{"channel": "$Team"}), user("42"), "$team", fault.Forbidden},
		"empty channel":             {hs(jwt.MapClaims{"channel": ""}), user("42"), "$team", fault.Forbidden},
		"channel null":              {hs(jwt.MapClaims{"channel": nil}), user("42"), "$team", fault.BadToken},
		"channel a list":            {hs(jwt.MapClaims{"channel": []string{"$team"}}), user("42"), "$team", fault.BadToken},
		"another user":              {hs(jwt.MapClaims{"channel": "$team"}), user("7"), "$team", fault.Forbidden},
		"a user's, from a guest":    {hs(jwt.MapClaims{"channel": "$team"}), guest, "$team", fault.Forbidden},
		"another guest's":           {hs(jwt.MapClaims{"channel": "$team", "sub": "g:2"}), auth.Identity{Kind: auth.Guest, User: "g:1"}, "$team", fault.Forbidden},
		"a guest's, from a user":    {hs(jwt.MapClaims{"channel": "$team", "sub": nil}), user("42"), "$team", fault.Forbidden},
		"bound to a client, no sub": {hs(jwt.MapClaims{"channel": "$team", "sub": nil, "client": "x"}), guest, "$team", fault.BadToken},
		"expired":                   {hs(jwt.MapClaims{"channel": "$team", "exp": time.Now().Unix()}), user("42"), "$team", fault.TokenExpired},
		"expire_at passed":          {hs(jwt.MapClaims{"channel": "$team", "expire_at": 1}), user("42"), "$team", fault.TokenExpired},
		"none":                      {"", user("42"), "$team", fault.BadToken},
		"garbage":                   {"a.b.c", user("42"), "$team", fault.BadToken},
	} {
		if g, err := a.Subscription(context.Background(), c.token, c.who, c.channel); fault.KindOf(err) != c.want || g.Channel != "" {
			t.Errorf("%s: %+v, %v, want %v", what, g, err, c.want)
		}
	}
	if _, err := a.Subscription(context.Background(), "", user("42"), "$team"); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("none: %v", err)
	}
}

// Check says of a token what Identify and Subscription would.
func TestCheck(t *testing.T) {
	a := authorizer()
	id, g, err := a.Check(context.Background(), hs(nil))
	if err != nil || g != nil || id.User != "42" {
		t.Errorf("%+v %+v %v", id, g, err)
	}
	if _, g, err = a.Check(context.Background(), hs(jwt.MapClaims{"channel": "$team"})); err != nil || g == nil || g.Channel != "$team" {
		t.Errorf("%+v %v", g, err)
	}
	if _, _, err = a.Check(context.Background(), hs(jwt.MapClaims{"exp": 1})); fault.KindOf(err) != fault.TokenExpired {
		t.Error(err)
	}
	house := guestHouse(t, channel.Anyone, newSecret)
	guest, err := house.NewGuest("", "Ann")
	if err != nil {
		t.Fatal(err)
	}
	if id, g, err := house.Check(context.Background(), guest.Token); err != nil || g != nil || id.Kind != auth.Guest || id.User != guest.User {
		t.Errorf("a guest's: %+v %+v %v", id, g, err)
	}
}
