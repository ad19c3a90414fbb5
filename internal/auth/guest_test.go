package auth_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
)

func guestHouse(t testing.TB, who channel.Allowed, secrets ...string) *auth.Authorizer {
	t.Helper()
	rules, err := channel.NewRules(nil, channel.Default(who))
	if err != nil {
		t.Fatal(err)
	}
	a := auth.New(auth.Config{Rules: rules, Secrets: secrets})
	if len(secrets) == 0 {
		a.SetGuestKey([]byte("a key of thirty-two bytes or more"))
	}
	return a
}

func TestGuestTokens(t *testing.T) {
	a := guestHouse(t, channel.Anyone)
	first, err := a.NewGuest("", "")
	if err != nil || !strings.HasPrefix(first.User, "g:") || first.Name == "" || first.Color < 0 || first.Color > 11 {
		t.Fatalf("%+v, %v", first, err)
	}
	renamed, err := a.NewGuest(first.Token, "王芳")
	if err != nil || renamed.User != first.User || renamed.Name != "王芳" || renamed.Color != first.Color {
		t.Errorf("renamed: %+v, %v", renamed, err)
	}
	id, err := a.Identify(t.Context(), renamed.Token)
	if err != nil || id.Kind != auth.Guest || id.User != first.User || !strings.Contains(string(id.Info), `"name":"王芳"`) || !strings.Contains(string(id.Info), `"guest":true`) {
		t.Errorf("identity %+v (%s), %v", id, id.Info, err)
	}
	if kept, err := a.NewGuest(renamed.Token, ""); err != nil || kept.Name != "王芳" {
		t.Errorf("more time: %+v, %v", kept, err)
	}
	if other, err := a.NewGuest("garbage", ""); err != nil || other.User == first.User {
		t.Errorf("with a broken token: %+v, %v", other, err)
	}
}

// Rules may let guests in before there is a key to sign their tokens with.
func TestNoGuestTokensWithoutAKey(t *testing.T) {
	a := auth.New(auth.Config{Rules: must(channel.NewRules(nil, channel.Default(channel.Anyone)))})
	if g, err := a.NewGuest("", ""); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("%+v, %v", g, err)
	}
}

// The guests' key signs guests' tokens alone: another kind of token, or another
// user's name, gets nothing by it.
func TestTheGuestKeyMakesNobodyElse(t *testing.T) {
	a := guestHouse(t, channel.Anyone)
	signed := func(typ, sub string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": sub, "name": "Ann", "exp": time.Now().Add(time.Hour).Unix()})
		token.Header["typ"] = typ
		return must(token.SignedString([]byte("a key of thirty-two bytes or more")))
	}
	if g, err := a.NewGuest(signed("guest+jwt", "g:1"), ""); err != nil || g.User != "g:1" {
		t.Errorf("a guest's: %+v, %v", g, err)
	}
	if g, err := a.NewGuest(signed("JWT", "g:1"), ""); err != nil || g.User == "g:1" {
		t.Errorf("of another kind: %+v, %v", g, err)
	}
	if id, err := a.Identify(t.Context(), signed("guest+jwt", "42")); fault.KindOf(err) != fault.BadToken {
		t.Errorf("another user's: %+v, %v", id, err)
	}
	if g, err := a.NewGuest("", strings.Repeat("é", 40)); err != nil {
		t.Errorf("the longest name: %+v, %v", g, err)
	}
}

func TestGuestNames(t *testing.T) {
	a := guestHouse(t, channel.Anyone)
	for _, bad := range []string{" a", "a ", strings.Repeat("a", 41), "a\nb", "a\x00", "a\u202eb", "a\u200bb", "\xff"} {
		if g, err := a.NewGuest("", bad); fault.KindOf(err) != fault.BadName {
			t.Errorf("%q passed as %+v (%v)", bad, g, err)
		}
	}
}

// A guest's token is never a user's, and no other key makes a guest.
func TestGuestTokensAreOfTheirOwnKind(t *testing.T) {
	const secret = "a token secret of more than 32 bytes"
	a, other := guestHouse(t, channel.Anyone, secret), guestHouse(t, channel.Anyone)
	g, err := a.NewGuest("", "Ann")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := a.Identify(t.Context(), g.Token); err != nil || id.Kind != auth.Guest {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := other.Identify(t.Context(), g.Token); fault.KindOf(err) != fault.BadToken {
		t.Errorf("another server took it: %v", err)
	}
	user, err := a.Sign(auth.Draft{User: "g:0000000000", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.NewGuest(user, ""); err != nil || again.User == "g:0000000000" {
		t.Errorf("a user's token was taken for a guest's: %+v, %v", again, err)
	}
	if _, err := guestHouse(t, channel.Users).NewGuest("", ""); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("a guest where no rule lets one in: %v", err)
	}
}

func TestGuestTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := guestHouse(t, channel.Anyone)
		g, err := a.NewGuest("", "")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * 24 * time.Hour) // synctest's clock
		if _, err := a.Identify(t.Context(), g.Token); fault.KindOf(err) != fault.TokenExpired {
			t.Errorf("after its end: %v", err)
		}
	})
}

// A node whose key is replaced by that of the other nodes signs with the new
// one, and its own guests stay who they are.
func TestGuestsOutliveAChangeOfTheKey(t *testing.T) {
	a := guestHouse(t, channel.Anyone)
	before, err := a.NewGuest("", "Ann")
	if err != nil {
		t.Fatal(err)
	}
	a.SetGuestKey([]byte("another key of thirty-two bytes!"))
	if id, err := a.Identify(t.Context(), before.Token); err != nil || id.User != before.User {
		t.Errorf("the guest became %+v, %v", id, err)
	}
	after, err := a.NewGuest(before.Token, "")
	if err != nil || after.User != before.User {
		t.Errorf("renewed: %+v, %v", after, err)
	}
	b := guestHouse(t, channel.Anyone)
	if _, err := b.Identify(t.Context(), after.Token); err == nil {
		t.Error("still signed with the old key")
	}
}

// Y4, J5: names that show nothing, or reach into the lines above, are refused;
// those of any language are not.
func TestGuestsNamesCanBeSeen(t *testing.T) {
	a := guestHouse(t, channel.Anyone)
	for _, good := range []string{"Ann Lee", "Zoë", "Zoe\u0308", "王芳", "한국", "ที่รัก", "शक्ति", "שָׁלוֹם", "Nguye\u0302\u0303n", "བསྒྲུབས", "❤\ufe0f Ann", "👋", "O'Neil-Ng (2)"} {
		if _, err := a.NewGuest("", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for what, bad := range map[string]string{
		"a filler": "\u3164", "fillers": "Ann\uffa0", "a vowel that is none": "\u1160a", "another": "a\u115f", "Braille": "\u2800",
		"a joiner of graphemes": "An\u034fn", "Khmer": "a\u17b5", "a selector": "Ann\ufe0f", "another selector": "An\U000e0101n", "a selector first": "\ufe0fAnn",
		"zero width": "An\u200bn", "right to left": "\u202eAnn", "a mark first": "\u0301Ann", "a tower": "A" + strings.Repeat("\u0301", 5), "two spaces": "Ann  Lee",
		"another space": "Ann\u00a0Lee", "a tag": "Ann\U000e0041", "no head": "\U0001d159", "a hieroglyph": "\U00013441", "no object": "\ufffc",
	} {
		if _, err := a.NewGuest("", bad); fault.KindOf(err) != fault.BadName {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Y4: whatever is taken for a name, a reader sees all of it, in one line of its
// own height.
func FuzzGuestName(f *testing.F) {
	for _, name := range []string{"Ann Lee", "Zoe\u0308", "ที่รัก", "❤\ufe0f", "\u3164", "A\u0301\u0301\u0301\u0301\u0301", "\u202eAnn", "a  b", " a", "a\x00", "\xff", "\ufe0f"} {
		f.Add(name)
	}
	a := guestHouse(f, channel.Anyone)
	f.Fuzz(func(t *testing.T, name string) {
		g, err := a.NewGuest("", name)
		if name == "" || err != nil {
			return // a name was made up, or this one refused
		}
		seen, marks := 0, 0
		for i, r := range name {
			if !unicode.IsMark(r) {
				seen, marks = seen+1, 0
			} else if marks++; marks > 4 || i == 0 {
				t.Errorf("%q: a tower of marks", name)
			}
			if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || r != ' ' && unicode.Is(unicode.Zs, r) {
				t.Errorf("%q: %U", name, r)
			}
		}
		if !utf8.ValidString(name) || strings.Join(strings.Fields(name), " ") != name || seen == 0 || utf8.RuneCountInString(name) > 40 {
			t.Errorf("%q", name)
		}
		if who, err := a.Identify(t.Context(), g.Token); err != nil || !strings.Contains(string(who.Info), `"guest":true`) {
			t.Errorf("%q: %s %v", name, who.Info, err)
		}
	})
}
