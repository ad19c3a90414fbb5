package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"magpie/internal/auth"
	"magpie/internal/channel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	oldSecret = "an old secret of more than 32 bytes"
	newSecret = "a new secret of more than 32 bytes!"
)

func authorizer(t *testing.T) *auth.Authorizer {
	t.Helper()
	r := channel.Default(channel.Anyone)
	r.Match, r.Subscribe, r.Publish, r.History = "mixed", channel.Anyone, channel.Users, channel.Server
	shut := r
	shut.Match, shut.Subscribe, shut.Publish, shut.History = "shut", channel.Nobody, channel.Nobody, channel.Nobody
	rules, err := channel.NewRules([]channel.Rule{r, shut}, channel.Default(channel.Users))
	if err != nil {
		t.Fatal(err)
	}
	return auth.New(auth.Config{Rules: rules, Secrets: []string{newSecret, oldSecret}, Keys: []string{"k1", "k2"}})
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGoodTokens(t *testing.T) {
	a := authorizer(t)
	exp := time.Now().Add(time.Hour).Unix()
	for what, token := range map[string]string{
		"HS256 by the new secret": sign(t, jwt.SigningMethodHS256, []byte(newSecret), jwt.MapClaims{"sub": "42", "exp": exp, "info": map[string]any{"n": 1}}),
		"HS512 by the old secret": sign(t, jwt.SigningMethodHS512, []byte(oldSecret), jwt.MapClaims{"sub": "42", "exp": exp, "info": map[string]any{"n": 1}}),
	} {
		id, err := a.Identify(context.Background(), token)
		if err != nil || id.Kind != auth.User || id.User != "42" || string(id.Info) != `{"n":1}` || id.Expires.Unix() != exp {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
	if id, err := a.Identify(context.Background(), ""); err != nil || id.Kind != auth.Guest {
		t.Errorf("no token: %+v, %v", id, err)
	}
}

// The rows of the token attacks that a server without key sets can meet.
func TestBadTokens(t *testing.T) {
	a := authorizer(t)
	exp := time.Now().Add(time.Hour).Unix()
	good := sign(t, jwt.SigningMethodHS256, []byte(newSecret), jwt.MapClaims{"sub": "42", "exp": exp})
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	for what, token := range map[string]string{
		"alg none":           sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "42", "exp": exp}),
		"alg None":           b64([]byte(`{"alg":"None"}`)) + "." + parts[1] + ".",
		"alg missing":        b64([]byte(`{}`)) + "." + parts[1] + "." + parts[2],
		"empty signature":    parts[0] + "." + parts[1] + ".",
		"two parts":          parts[0] + "." + parts[1],
		"four parts":         good + ".x",
		"another secret":     sign(t, jwt.SigningMethodHS256, []byte("somebody else's secret, long enough"), jwt.MapClaims{"sub": "42", "exp": exp}),
		"exp missing":        sign(t, jwt.SigningMethodHS256, []byte(newSecret), jwt.MapClaims{"sub": "42"}),
		"exp as text":        sign(t, jwt.SigningMethodHS256, []byte(newSecret), jwt.MapClaims{"sub": "42", "exp": "tomorrow"}),
		"nbf ahead":          sign(t, jwt.SigningMethodHS256, []byte(newSecret), jwt.MapClaims{"sub": "42", "exp": exp, "nbf": exp}),
		"subscription token": sign(t, jwt.SigningMethodHS256, []byte(newSecret), jwt.MapClaims{"sub": "42", "exp": exp, "channel": "chat"}),
		"a megabyte":         strings.Repeat("a", 1<<20),
		"a million dots":     strings.Repeat(".", 1<<20),
		"garbage":            "a.b.c",
	} {
		_, err := a.Identify(context.Background(), token)
		if !errors.Is(err, auth.ErrToken) {
			t.Errorf("%s: %v, want ErrToken", what, err)
		} else if strings.Contains(err.Error(), newSecret) || len(err.Error()) > 200 {
			t.Errorf("%s: the error tells too much: %v", what, err)
		}
	}
	old := sign(t, jwt.SigningMethodHS256, []byte(oldSecret), jwt.MapClaims{"sub": "42", "exp": time.Now().Add(-time.Second).Unix()})
	if _, err := a.Identify(context.Background(), old); !errors.Is(err, auth.ErrExpired) {
		t.Errorf("expired: %v, want ErrExpired", err)
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add("a.b.c")
	a := auth.New(auth.Config{Secrets: []string{newSecret}})
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := a.Identify(context.Background(), token); err == nil && token != "" {
			t.Errorf("%q passed as %+v", token, id)
		}
	})
}

func TestKeys(t *testing.T) {
	a := authorizer(t)
	for _, good := range []string{"k1", "k2"} {
		if id, err := a.Key(good); err != nil || id.Kind != auth.Server {
			t.Errorf("%q: %+v, %v", good, id, err)
		}
	}
	for _, bad := range []string{"", "k", "k11", "K1"} {
		if _, err := a.Key(bad); !errors.Is(err, auth.ErrKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := auth.New(auth.Config{}).Key(""); !errors.Is(err, auth.ErrKey) {
		t.Error("a server without keys took the empty one")
	}
}

// One table for action × channel × kind: nil, ErrToken (say who you are) or
// ErrForbidden.
func TestMay(t *testing.T) {
	a := authorizer(t)
	kinds := []auth.Kind{auth.Guest, auth.User, auth.Server}
	for _, c := range []struct {
		do      auth.Action
		channel string
		want    [3]error
	}{
		{auth.Subscribe, "mixed", [3]error{nil, nil, nil}},
		{auth.Publish, "mixed", [3]error{auth.ErrToken, nil, nil}},
		{auth.History, "mixed", [3]error{auth.ErrForbidden, auth.ErrForbidden, nil}},
		{auth.Subscribe, "shut", [3]error{auth.ErrForbidden, auth.ErrForbidden, auth.ErrForbidden}},
		{auth.Publish, "shut", [3]error{auth.ErrForbidden, auth.ErrForbidden, auth.ErrForbidden}},
		{auth.History, "shut", [3]error{auth.ErrForbidden, auth.ErrForbidden, auth.ErrForbidden}},
		{auth.Subscribe, "other", [3]error{auth.ErrToken, nil, nil}},
		{auth.Publish, "other", [3]error{auth.ErrToken, nil, nil}},
		{auth.History, "other", [3]error{auth.ErrToken, nil, nil}},
	} {
		for i, k := range kinds {
			err := a.May(auth.Request{Who: auth.Identity{Kind: k}, Do: c.do, Channel: c.channel})
			if !errors.Is(err, c.want[i]) || err != nil && c.want[i] == nil {
				t.Errorf("%s %s %q: %v, want %v", k, c.do, c.channel, err, c.want[i])
			}
		}
	}
}

// Attack row H14: who may come from where.
func TestOrigins(t *testing.T) {
	allowed := []string{"https://good.com", "https://app.example.com:8443"}
	for _, c := range []struct {
		host, origin string
		want         bool
	}{
		{"chat.example.com", "", true},
		{"chat.example.com", "https://chat.example.com", true},
		{"chat.example.com:8080", "http://chat.example.com:8080", true},
		{"chat.example.com", "https://good.com", true},
		{"chat.example.com", "HTTPS://GOOD.com", true},
		{"chat.example.com", "https://good.com:443", true},
		{"chat.example.com", "https://app.example.com:8443", true},
		{"chat.example.com", "https://app.example.com", false},
		{"chat.example.com", "http://good.com", false},
		{"chat.example.com", "https://good.com.evil.com", false},
		{"chat.example.com", "https://evilgood.com", false},
		{"chat.example.com", "https://good.com.", false},
		{"chat.example.com", "null", false},
		{"chat.example.com", "file://", false},
		{"chat.example.com", "chrome-extension://abc", false},
		{"chat.example.com", "http://localhost:3000", false},
		{"chat.example.com", strings.Repeat("x", 10<<10), false},
		{"localhost:8080", "http://localhost:3000", true},
		{"127.0.0.1:8080", "http://localhost:3000", true},
		{"localhost:8080", "http://localhost.evil.com", false},
		{"localhost:8080", "https://evil.com", false},
	} {
		r := httptest.NewRequest("GET", "/websocket", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if err := (auth.Origins{Allowed: allowed}).Check(r); (err == nil) != c.want || err != nil && !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%q from %.60q: %v", c.host, c.origin, err)
		}
	}
	two := httptest.NewRequest("GET", "/", nil)
	two.Header["Origin"] = []string{"https://good.com", "https://good.com"}
	if (auth.Origins{Allowed: allowed}).Check(two) == nil {
		t.Error("two Origin headers passed")
	}
	cross := httptest.NewRequest("POST", "/", nil)
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	if (auth.Origins{}).Check(cross) == nil {
		t.Error("a cross-site request without Origin passed")
	}
	any := httptest.NewRequest("GET", "/", nil)
	any.Header.Set("Origin", "null")
	if err := (auth.Origins{Allowed: []string{"*"}}).Check(any); err != nil {
		t.Errorf("* does not allow all: %v", err)
	}
}

// A foreign page whose name was made to resolve to 127.0.0.1 sends its own
// name as Host and Origin: a server open to everyone must not take it.
func TestRebindingIsRefused(t *testing.T) {
	o := auth.Origins{LocalOnly: true}
	for host, want := range map[string]bool{
		"localhost:8080": true, "127.0.0.1:8080": true, "[::1]:8080": true, "LOCALHOST": true,
		"evil.com:8080": false, "127.0.0.1.evil.com": false, "": false, "10.0.0.1:8080": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		r.Header.Set("Origin", "http://"+host)
		if err := o.Check(r); (err == nil) != want {
			t.Errorf("Host %q: %v", host, err)
		}
	}
}
