package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
)

// Each kind of mark refuses the tokens that it names, until it ends, and no others.
func TestMarksRefuseTheirTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		one := jwt.MapClaims{"jti": "one", "exp": now + 3600}
		p := must(identify(authorizer(), hs(one))).Proof
		type tokens map[string]jwt.MapClaims
		for _, c := range []struct {
			mark    auth.Mark
			kind    fault.Kind
			out, in tokens
		}{
			{mark: auth.Mark{Kind: auth.MarkUser, Name: "42", Issued: now - 5}, kind: fault.Revoked,
				out: tokens{"older": {"iat": now - 6}, "of the second": {"iat": now - 5}, "without iat": {}, "a subscription": {"iat": now - 6, "channel": "chat"}},
				in:  tokens{"newer": {"iat": now - 4}, "another user's": {"sub": "43", "iat": now - 6}, "nobody's": {"sub": nil, "iat": now - 6}}},
			{mark: auth.Mark{Kind: auth.MarkAway, Name: "42"}, kind: fault.Forbidden,
				out: tokens{"older": {"iat": now - 6}, "newer": {"iat": now}, "without iat": {}},
				in:  tokens{"another user's": {"sub": "43"}, "nobody's": {"sub": nil}}},
			{mark: auth.Mark{Kind: auth.MarkID, Name: "one"}, kind: fault.Revoked,
				out: tokens{"the one": {"jti": "one"}, "a subscription": {"jti": "one", "channel": "chat"}},
				in:  tokens{"another": {"jti": "two"}, "none": {}}},
			{mark: auth.TokenMark(p), kind: fault.Revoked,
				out: tokens{"the one": one},
				in:  tokens{"the same user's": {"jti": "one", "exp": now + 3601}}},
		} {
			a, list := revocable()
			c.mark.Ends = time.Now().Unix() + 60
			again, ok := auth.ParseMark(c.mark.Text(), c.mark.Ends)
			if !ok || again != c.mark {
				t.Errorf("%+v became %+v", c.mark, again)
			}
			list.Add(again)
			check := func(all tokens, want fault.Kind) {
				for what, claims := range all {
					if _, _, err := a.Check(context.Background(), hs(claims)); fault.KindOf(err) != want {
						t.Errorf("%s, %s: %v, want %q", c.mark.Text(), what, err, want)
					}
				}
			}
			check(c.out, c.kind)
			check(c.in, "")
			time.Sleep(time.Minute)
			check(c.out, "")
			if all := list.All(); len(all) != 0 {
				t.Errorf("%s: %v has not ended", c.mark.Text(), all)
			}
		}
	})
}

func revocable() (*auth.Authorizer, *auth.Revocations) {
	list := new(auth.Revocations)
	return auth.New(auth.Config{Rules: noRules(), Secrets: []string{newSecret}, Public: public(p256), Revoked: list}), list
}

// Whoever is kept away is told for how long.
func TestWhoIsKeptAwayIsToldHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, list := revocable()
		list.Add(auth.Mark{Kind: auth.MarkAway, Name: "42", Ends: time.Now().Unix() + 90})
		_, err := identify(a, hs(nil))
		if f := fault.Of(err); f == nil || f.Wait != 90*time.Second || !strings.Contains(f.Message, "1m30s") {
			t.Errorf("%+v", f)
		}
	})
}

// Of two marks of one user the later time and the later end hold, of one mark its
// last end: a user who is kept away can be let in again.
func TestMarksOfOneName(t *testing.T) {
	now := time.Now().Unix()
	long, late := auth.Mark{Kind: auth.MarkUser, Name: "42", Issued: now - 100, Ends: now + 1000}, auth.Mark{Kind: auth.MarkUser, Name: "42", Issued: now - 50, Ends: now + 10}
	want := auth.Mark{Kind: auth.MarkUser, Name: "42", Issued: now - 50, Ends: now + 1000}
	for _, order := range [][]auth.Mark{{long, late}, {late, long}} {
		_, list := revocable()
		if news := list.Add(order...); len(news) == 0 || news[len(news)-1] != want {
			t.Errorf("news: %v", news)
		}
		if news := list.Add(order...); len(news) > 0 {
			t.Errorf("again: %v", news)
		}
		if all := list.All(); len(all) != 1 || all[0] != want {
			t.Errorf("%v", all)
		}
		away := auth.Mark{Kind: auth.MarkAway, Name: "7"}
		for _, left := range []int64{1000, 2000, 500, 0} {
			away.Ends = now + left
			list.Add(away)
			if err := list.Check("7", nil); (err != nil) != (left > 0) {
				t.Errorf("to end in %d s: %v", left, err)
			}
		}
	}
}

// Y6: who has one token of an elliptic key can write its signature in another
// way. That is the same token to whoever revokes it.
func TestATokenCannotBeWrittenAnew(t *testing.T) {
	a, list := revocable()
	token := sign(jwt.SigningMethodES256, p256, claims(nil))
	signed, signature, _ := strings.Cut(token[strings.IndexByte(token, '.')+1:], ".")
	sig := must(base64.RawURLEncoding.DecodeString(signature))
	s := new(big.Int).Sub(p256.Params().N, new(big.Int).SetBytes(sig[32:]))
	other := token[:strings.IndexByte(token, '.')+1] + signed + "." + base64.RawURLEncoding.EncodeToString(append(sig[:32:32], s.FillBytes(make([]byte, 32))...))
	id, err := identify(a, other)
	if err != nil || other == token {
		t.Fatalf("the other signature is not good: %v", err)
	}
	mark := auth.TokenMark(must(identify(a, token)).Proof)
	mark.Ends = time.Now().Unix() + 60
	list.Add(mark)
	if _, err := identify(a, other); fault.KindOf(err) != fault.Revoked {
		t.Errorf("written anew it passes: %v", err)
	}
	if mark.Name != hex.EncodeToString(id.Proof.Sum[:]) {
		t.Error("two hashes of one token")
	}
}

// A guest's token is revoked as a user's is, and its guest gets a new one as
// somebody else.
func TestGuestsTokensAreRevoked(t *testing.T) {
	list := new(auth.Revocations)
	rules := must(channel.NewRules(nil, channel.Default(channel.Anyone)))
	a := auth.New(auth.Config{Rules: rules, Secrets: []string{newSecret}, Revoked: list})
	g := must(a.NewGuest("", "Ann"))
	list.Add(auth.Mark{Kind: auth.MarkUser, Name: g.User, Issued: time.Now().Unix(), Ends: time.Now().Unix() + 60})
	if _, err := identify(a, g.Token); fault.KindOf(err) != fault.Revoked {
		t.Errorf("the token passes: %v", err)
	}
	if again := must(a.NewGuest(g.Token, "")); again.User == g.User {
		t.Error("the guest goes on under a new token")
	}
}

// A jti that could not be named later is refused, not passed over.
func TestBadIDs(t *testing.T) {
	refused(t, "jti is a number", hs(jwt.MapClaims{"jti": 7}), fault.BadToken)
	id, err := identify(authorizer(), hs(jwt.MapClaims{"jti": strings.Repeat("x", auth.MaxID+1)}))
	if err != nil || id.Proof.ID != "" {
		t.Errorf("a long jti: %+v, %v", id.Proof, err)
	}
	for _, text := range []string{"", "user", "user 1", "user x 42"} {
		if m, ok := auth.ParseMark(text, 1); ok {
			t.Errorf("%q is the mark %+v", text, m)
		}
	}
}
