package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/fault"
	"magpie/internal/tokenkey"
)

// Every algorithm that is promised, by each key that may be in turn (rotation).
func TestGoodTokens(t *testing.T) {
	a := authorizer()
	for what, c := range map[string]struct {
		method jwt.SigningMethod
		key    any
	}{
		"HS256, new secret": {jwt.SigningMethodHS256, []byte(newSecret)}, "HS384": {jwt.SigningMethodHS384, []byte(newSecret)},
		"HS512, old secret": {jwt.SigningMethodHS512, []byte(oldSecret)},
		"RS256":             {jwt.SigningMethodRS256, rsaKey}, "RS384": {jwt.SigningMethodRS384, rsaKey}, "RS512": {jwt.SigningMethodRS512, rsaKey},
		"ES256": {jwt.SigningMethodES256, p256}, "ES384": {jwt.SigningMethodES384, p384}, "ES512": {jwt.SigningMethodES512, p521},
		"EdDSA": {jwt.SigningMethodEdDSA, ed},
	} {
		id, err := identify(a, sign(c.method, c.key, claims(nil)))
		if err != nil || id.Kind != auth.User || id.User != "42" {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
}

// Attack row T12: without a token somebody is a guest where a rule says
// anyone, and nobody elsewhere.
func TestNoToken(t *testing.T) {
	if id, err := identify(ruled(), ""); err != nil || !reflect.DeepEqual(id, auth.Identity{Kind: auth.Guest}) {
		t.Errorf("%+v, %v", id, err)
	}
	refused(t, "no token where no rule is for guests", "", fault.TokenNeeded)
	open, shut := guestHouse(t, channel.Anyone, newSecret), guestHouse(t, channel.Users, newSecret)
	g, err := open.NewGuest("", "Ann")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := identify(shut, g.Token); fault.KindOf(err) != fault.BadToken {
		t.Errorf("a guest's token where guests were let in once: %+v, %v", id, err)
	}
}

func TestRotation(t *testing.T) {
	next := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	both, one := auth.New(auth.Config{Rules: noRules(), Public: public(next, p256)}), auth.New(auth.Config{Rules: noRules(), Public: public(next)})
	for _, k := range []*ecdsa.PrivateKey{next, p256} {
		token := sign(jwt.SigningMethodES256, k, claims(nil))
		if _, err := identify(both, token); err != nil {
			t.Errorf("while both are there: %v", err)
		}
		if _, err := identify(one, token); (err == nil) != (k == next) {
			t.Errorf("when the old one has gone: %v", err)
		}
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge puts another header in front of a good token's payload.
func forge(header, token, signature string) string {
	return b64(header) + "." + strings.Split(token, ".")[1] + "." + signature
}

// withHeader signs with more in the header.
func withHeader(name string, value any) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(nil))
	token.Header[name] = value
	return must(token.SignedString([]byte(newSecret)))
}

func hmacWith(key []byte) string {
	return sign(jwt.SigningMethodHS256, key, claims(nil))
}

func pemOf(key any) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))})
}

// Attack rows T1, T2 and T6: what no key of ours signed, however it is dressed.
func TestForgedTokens(t *testing.T) {
	good := hs(nil)
	parts := strings.Split(good, ".")
	es := strings.Split(sign(jwt.SigningMethodES256, p256, claims(nil)), ".")
	pkcs1 := x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)
	pkix := must(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	stranger := must(rsa.GenerateKey(rand.Reader, 2048))
	for what, token := range map[string]string{
		"T1 alg none":                sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil)),
		"T1 alg none, signed":        forge(`{"alg":"none"}`, good, parts[2]),
		"T1 alg None":                forge(`{"alg":"None"}`, good, ""),
		"T1 alg NONE":                forge(`{"alg":"NONE"}`, good, ""),
		"T1 alg nOnE":                forge(`{"alg":"nOnE"}`, good, ""),
		"T1 alg empty":               forge(`{"alg":""}`, good, parts[2]),
		"T1 alg missing":             forge(`{}`, good, parts[2]),
		"T1 alg null":                forge(`{"alg":null}`, good, parts[2]),
		"T1 alg a list":              forge(`{"alg":["HS256"]}`, good, parts[2]),
		"T1 alg in small letters":    forge(`{"alg":"hs256"}`, good, parts[2]),
		"T1 header null":             forge(`null`, good, parts[2]),
		"T1 header a number":         forge(`1`, good, parts[2]),
		"T1 empty signature":         parts[0] + "." + parts[1] + ".",
		"T1 signature stripped":      parts[0] + "." + parts[1],
		"T1 a.b.":                    "a.b.",
		"T1 three dots":              "...",
		"T1 two dots":                "..",
		"T2 RSA public key as PEM":   hmacWith(pemOf(rsaKey.Public())),
		"T2 the same, trimmed":       hmacWith([]byte(strings.TrimSpace(string(pemOf(rsaKey.Public()))))),
		"T2 RSA public key as DER":   hmacWith(pkix),
		"T2 RSA public key, PKCS#1":  hmacWith(pkcs1),
		"T2 RSA modulus":             hmacWith(rsaKey.N.Bytes()),
		"T2 Ed25519 public key":      hmacWith(ed.Public().(ed25519.PublicKey)),
		"T2 EC public key as PEM":    hmacWith(pemOf(p256.Public())),
		"T2 empty HMAC key":          hmacWith(nil),
		"T2 ES256 of zeros":          es[0] + "." + es[1] + "." + b64(strings.Repeat("\x00", 64)),
		"T2 ES256 of one byte":       es[0] + "." + es[1] + "." + b64("\x00"),
		"T2 ES384 header, P-256 key": forge(`{"alg":"ES384"}`, good, es[2]),
		"T2 PS256 by our RSA key":    sign(jwt.SigningMethodPS256, rsaKey, claims(nil)),
		"T2 RS256 by a stranger":     sign(jwt.SigningMethodRS256, stranger, claims(nil)),
		"T2 another secret":          hmacWith([]byte("somebody else's secret, long enough")),
		"T2 key in the header":       withKeyInHeader(stranger),
		"T4 typ of another kind":     withHeader("typ", "logout+jwt"),
		"T4 typ a number":            withHeader("typ", 7),
		"T6 crit":                    withHeader("crit", []string{"b64"}),
		"T6 a megabyte":              strings.Repeat("a", 1<<20),
		"T6 a million dots":          strings.Repeat(".", 1<<20),
		"T6 a megabyte, three parts": parts[0] + "." + strings.Repeat("a", 1<<20) + "." + parts[2],
		"T6 one byte too long":       strings.Repeat("a", auth.MaxToken-3) + ".b.c" + "d",
		"T6 JWE of five parts":       good + ".x.y",
		"T6 four parts":              good + ".x",
		"T6 compressed":              forge(`{"alg":"HS256","zip":"DEF"}`, good, parts[2]),
		"padded base64":              parts[0] + "." + parts[1] + "." + parts[2] + "=",
		"a space behind":             good + " ",
		"a line break inside":        parts[0] + "." + parts[1] + ".\n" + parts[2],
		"other bits behind the end":  parts[0] + "." + parts[1] + "." + sameButLastBits(parts[2]),
		"the payload changed":        parts[0] + "." + b64(`{"sub":"1","exp":9999999999}`) + "." + parts[2],
		"payload no object":          signRaw(`[]`), "payload a text": signRaw(`"sub"`), "payload cut": signRaw(`{"sub":`),
		"Bearer in front": "Bearer " + good,
	} {
		refused(t, what, token, fault.BadToken)
	}
}

// withKeyInHeader offers its own key for the check, as jwk and jku do.
func withKeyInHeader(k *rsa.PrivateKey) string {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims(nil))
	token.Header["jwk"] = map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()), "e": "AQAB"}
	token.Header["jku"] = "https://evil.example.com/jwks"
	return must(token.SignedString(k))
}

// sameButLastBits changes the bits of the last character that carry nothing:
// two texts must not be one token.
func sameButLastBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last^1])
}

// signRaw signs a payload as it is.
func signRaw(payload string) string {
	text := b64(`{"alg":"HS256"}`) + "." + b64(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(must(jwt.SigningMethodHS256.Sign(text, []byte(newSecret))))
}

// refused also holds that the error shows nothing of the keys and does not
// grow with the token.
func refused(t *testing.T, what, token string, want fault.Kind) {
	t.Helper()
	id, err := identify(authorizer(), token)
	if fault.KindOf(err) != want {
		t.Errorf("%s: %+v, %v, want %v", what, id, err, want)
		return
	}
	if !reflect.DeepEqual(id, auth.Identity{}) {
		t.Errorf("%s: an identity came with the error", what)
	}
	if text := err.Error(); strings.Contains(text, newSecret) || len(text) > 250 || strings.ContainsAny(text, "\n\x00") {
		t.Errorf("%s: the error tells too much: %q", what, text)
	}
}

// Attack rows T3, T4 and T11: properly signed and still not good.
func TestSignedTokensThatAreRefused(t *testing.T) {
	now := time.Now()
	for what, c := range map[string]jwt.MapClaims{
		"T3 exp missing":            {"exp": nil},
		"T3 exp a text":             {"exp": "tomorrow"},
		"T3 exp digits":             {"exp": "9999999999"},
		"T3 exp 1e300":              {"exp": 1e300},
		"T3 exp past the year 9999": {"exp": int64(253402300800)},
		"T3 exp negative":           {"exp": -1},
		"T3 exp a list":             {"exp": []int64{9999999999}},
		"T3 exp true":               {"exp": true},
		"T3 nbf ahead":              {"nbf": now.Add(time.Minute).Unix()},
		"T3 nbf a text":             {"nbf": "now"},
		"T3 iat ahead":              {"iat": now.Add(time.Minute).Unix()},
		"T3 iat negative":           {"iat": -5},
		"T3 expire_at a text":       {"expire_at": "never"},
		"T4 subscription token":     {"channel": "chat"},
		"T4 empty channel":          {"channel": ""},
		"T4 bound to a client":      {"client": "abc"},
		"T11 sub a number":          {"sub": 42},
		"T11 sub a list":            {"sub": []string{"42"}},
		"sub too long":              {"sub": strings.Repeat("x", 256)},
		"sub with a newline":        {"sub": "42\nroot"},
		"sub with an escape":        {"sub": "\x1b[2J"},
		"channels no list":          {"channels": "chat"},
		"channels bad name":         {"channels": []string{"a b"}},
		"subs no object":            {"subs": []string{"chat"}},
		"subs bad name":             {"subs": map[string]any{"*": map[string]any{}}},
		"b64info no base64":         {"b64info": "?"},
	} {
		refused(t, what, hs(c), fault.BadToken)
	}
	refused(t, "exp in JSON too large for a float", signRaw(`{"sub":"42","exp":1e400}`), fault.BadToken)
	refused(t, "T6 signed and too long", hs(jwt.MapClaims{"info": strings.Repeat("x", auth.MaxToken)}), fault.BadToken)
	refused(t, "exp NaN", signRaw(`{"sub":"42","exp":NaN}`), fault.BadToken)
	refused(t, "exp null", signRaw(`{"sub":"42","exp":null}`), fault.BadToken)
	for what, c := range map[string]jwt.MapClaims{
		"T3 expired by a second": {"exp": now.Add(-time.Second).Unix()},
		"T3 expired now":         {"exp": now.Unix()},
		"T3 exp 0":               {"exp": 0},
		"expired, never to end":  {"exp": now.Add(-time.Second).Unix(), "expire_at": 0},
		"T3 expire_at passed":    {"expire_at": now.Add(-time.Second).Unix()},
	} {
		refused(t, what, hs(c), fault.TokenExpired)
	}
	// An expired token of nobody we know is no expired token: its holder need
	// not come back with another one.
	refused(t, "expired and forged", sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), claims(jwt.MapClaims{"exp": 1})), fault.BadToken)
}

func TestTimesThatAreGood(t *testing.T) {
	now := time.Now()
	exp := now.Add(time.Hour)
	later := now.Add(2 * time.Hour).Unix()
	for what, c := range map[string]struct {
		claims jwt.MapClaims
		ends   time.Time
	}{
		"exp a float":              {jwt.MapClaims{"exp": float64(exp.Unix()) + 0.5}, time.Unix(exp.Unix(), 0)},
		"nbf within the skew":      {jwt.MapClaims{"nbf": now.Add(20 * time.Second).Unix()}, time.Unix(exp.Unix(), 0)},
		"iat within the skew":      {jwt.MapClaims{"iat": now.Add(20 * time.Second).Unix()}, time.Unix(exp.Unix(), 0)},
		"expire_at before exp":     {jwt.MapClaims{"expire_at": now.Add(time.Minute).Unix()}, time.Unix(now.Add(time.Minute).Unix(), 0)},
		"expire_at behind exp":     {jwt.MapClaims{"expire_at": later}, time.Unix(later, 0)},
		"expire_at 0: never":       {jwt.MapClaims{"expire_at": 0}, time.Time{}},
		"typ of an access token":   {jwt.MapClaims{}, time.Unix(exp.Unix(), 0)},
		"the last second there is": {jwt.MapClaims{"exp": int64(253402300799)}, time.Unix(253402300799, 0)},
		"a channels claim of null": {jwt.MapClaims{"channels": []string(nil)}, time.Unix(exp.Unix(), 0)},
	} {
		if _, pinned := c.claims["exp"]; !pinned {
			c.claims["exp"] = exp.Unix()
		}
		if id, err := identify(authorizer(), hs(c.claims)); err != nil || !id.Expires.Equal(c.ends) {
			t.Errorf("%s: ends %v, want %v; %v", what, id.Expires, c.ends, err)
		}
	}
	if _, err := identify(authorizer(), withHeader("typ", "application/at+jwt")); err != nil {
		t.Error(err)
	}
}

// An operator whose application makes tokens without exp finds the reason in the
// log, once a minute however often clients come back. Tokens that anybody can
// make, and those that have only expired, are not told.
func TestRefusedTokensInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		a := auth.New(auth.Config{Rules: noRules(), Secrets: []string{newSecret}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for _, token := range []string{"x", sign(jwt.SigningMethodHS256, []byte(oldSecret), claims(jwt.MapClaims{"exp": nil})), hs(jwt.MapClaims{"exp": 1})} {
			if _, err := identify(a, token); err == nil {
				t.Fatalf("accepted %s", token)
			}
		}
		if log.Len() > 0 {
			t.Errorf("told of a stranger's token or of an expired one: %s", &log)
		}
		for range 3 {
			_, _ = identify(a, hs(jwt.MapClaims{"exp": nil}))
		}
		time.Sleep(time.Minute)
		_, _ = identify(a, hs(jwt.MapClaims{"exp": nil, "sub": "43"}))
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=INFO") || !strings.Contains(lines[0], "exp claim is missing") || !strings.Contains(lines[1], "sub=43") {
			t.Errorf("%s", &log)
		}
	})
}

// Attack row T4: a token for another server of the same makers.
func TestAudienceAndIssuer(t *testing.T) {
	a := auth.New(auth.Config{Rules: noRules(), Secrets: []string{newSecret}, Audience: "magpie", Issuer: "https://id.example.com"})
	good := jwt.MapClaims{"aud": "magpie", "iss": "https://id.example.com"}
	for what, c := range map[string]struct {
		aud, iss any
		want     fault.Kind
	}{
		"both right":         {good["aud"], good["iss"], ""},
		"one of many":        {[]string{"shop", "magpie"}, good["iss"], ""},
		"aud missing":        {nil, good["iss"], fault.BadToken},
		"aud of another":     {"shop", good["iss"], fault.BadToken},
		"aud begins alike":   {"magpies", good["iss"], fault.BadToken},
		"aud empty":          {[]string{}, good["iss"], fault.BadToken},
		"aud a number":       {7, good["iss"], fault.BadToken},
		"iss missing":        {good["aud"], nil, fault.BadToken},
		"iss of another":     {good["aud"], "https://id.example.com.evil.com", fault.BadToken},
		"iss, other letters": {good["aud"], "HTTPS://id.example.com", fault.BadToken},
	} {
		token := hs(jwt.MapClaims{"aud": c.aud, "iss": c.iss})
		if _, err := identify(a, token); fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestWhatATokenCarries(t *testing.T) {
	yes, no := true, false
	id, err := identify(authorizer(), hs(jwt.MapClaims{
		"info": map[string]any{"n": 1}, "meta": map[string]any{"plan": "gold"},
		"channels": []string{"news", "team", "news"},
		"subs": map[string]any{
			"$vip": map[string]any{"info": map[string]any{"seat": 3}, "b64data": base64.StdEncoding.EncodeToString([]byte("hello")),
				"override": map[string]any{"presence": map[string]any{"value": true}, "join_leave": false, "force_recovery": map[string]any{"value": false}, "position": map[string]any{"value": true}}},
			"plain": map[string]any{},
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Identity{
		Kind: auth.User, User: "42", Info: []byte(`{"n":1}`), Meta: []byte(`{"plan":"gold"}`), Expires: id.Expires,
		Channels: []string{"news", "team"},
		Subs: map[string]auth.SubOptions{
			"$vip":  {Info: []byte(`{"seat":3}`), Data: []byte("hello"), Override: auth.Override{Presence: &yes, JoinLeave: &no, Position: &yes, Recover: &no}},
			"plain": {},
		},
	}
	if id.Proof == nil {
		t.Error("nothing is kept of the token")
	}
	want.Proof = id.Proof
	if !reflect.DeepEqual(id, want) {
		t.Errorf("got  %+v\nwant %+v", id, want)
	}
	id, err = identify(authorizer(), hs(jwt.MapClaims{"info": "text", "b64info": base64.StdEncoding.EncodeToString([]byte{0, 1})}))
	if err != nil || string(id.Info) != "\x00\x01" {
		t.Errorf("b64info: %q, %v", id.Info, err)
	}
	id, err = identify(authorizer(), signRaw("{\"sub\":\"42\",\"exp\":9999999999,\"info\":{\n\"n\": 1}}"))
	if err != nil || string(id.Info) != `{"n":1}` {
		t.Errorf("info over lines: %q, %v", id.Info, err)
	}
	id, err = identify(authorizer(), signRaw(`{"sub":"42","exp":9999999999,"info":null}`))
	if err != nil || id.Info != nil {
		t.Errorf("info null: %q, %v", id.Info, err)
	}
}

// Attack row T11: a token without a user is a guest, whom the rules let do
// what guests may and no more.
func TestTokenWithoutUserIsAGuest(t *testing.T) {
	for _, sub := range []any{"", nil} {
		id, err := identify(authorizer(), hs(jwt.MapClaims{"sub": sub, "info": 1}))
		if err != nil || id.Kind != auth.Guest || id.User != "" || string(id.Info) != "1" {
			t.Errorf("sub %v: %+v, %v", sub, id, err)
		}
	}
}

func TestServerWithoutKeysTakesNoToken(t *testing.T) {
	_, err := identify(auth.New(auth.Config{Rules: noRules()}), hs(nil))
	if fault.KindOf(err) != fault.BadToken || !strings.Contains(err.Error(), "this server has no token_secret") {
		t.Errorf("%v", err)
	}
}

// What is not asked for, or is just short of a limit, is accepted.
func TestTokensAtTheEdge(t *testing.T) {
	longest := ""
	for n := auth.MaxToken*3/4 - 300; len(longest) != auth.MaxToken; n++ {
		if longest = hs(jwt.MapClaims{"info": strings.Repeat("x", n)}); len(longest) > auth.MaxToken {
			t.Fatal("no info makes a token of just this length")
		}
	}
	for what, token := range map[string]string{
		"as long as can be":          longest,
		"iss and aud, none is asked": hs(jwt.MapClaims{"iss": "somebody", "aud": "somewhere"}),
		"client is null":             hs(jwt.MapClaims{"client": nil}),
		"the longest user":           hs(jwt.MapClaims{"sub": strings.Repeat("x", 255)}),
	} {
		if _, err := identify(authorizer(), token); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, form := range []string{"a", "a.b", "a.b.c.d", hs(nil) + ".", hs(nil) + "="} {
		if _, err := identify(authorizer(), form); err == nil || !strings.Contains(err.Error(), "three parts") {
			t.Errorf("%.20q: %v", form, err)
		}
	}
}

// Who sent a token is told what is wrong with it, not only that it is.
func TestRefusedTokensSayWhy(t *testing.T) {
	publicOnly := auth.New(auth.Config{Rules: noRules(), Public: public(p256)})
	for _, c := range []struct {
		a     *auth.Authorizer
		token string
		want  string
	}{
		{publicOnly, hs(nil), "no key of this server is for the token's algorithm"},
		{publicOnly, sign(jwt.SigningMethodES256, must(ecdsaKey()), claims(nil)), "no key of this server signed it"},
		{authorizer(), sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), claims(nil)), "no key of this server signed it"},
		{authorizer(), b64(`{"alg":"XX999"}`) + "." + b64(`{}`) + ".", "its algorithm is not accepted"},
		{authorizer(), "a.b.c", "cannot be read as a JWT"},
		{authorizer(), b64(`{"alg":"HS256"}`) + "." + b64(`{`) + ".", "cannot be read as a JWT"},
		{authorizer(), hs(jwt.MapClaims{"channels": "chat"}), "its claim channels is of the wrong kind (string)"},
		{authorizer(), hs(jwt.MapClaims{"exp": "tomorrow"}), "its claims cannot be read"},
		{authorizer(), signRaw(`[1]`), "its claims cannot be read"},
		{authorizer(), hs(jwt.MapClaims{"channels": []string{"a b"}}), "its channels claim holds a bad name: it holds the character U+0020"},
	} {
		if _, err := identify(c.a, c.token); fault.KindOf(err) != fault.BadToken || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40s: %v, want %q", c.token, err, c.want)
		}
	}
}

// A key verifies with its own algorithms alone, also where the library would
// take it for another: RFC 7517 section 4.4, alg.
func TestAKeyIsBoundToItsAlgorithms(t *testing.T) {
	a := auth.New(auth.Config{Rules: noRules(), Public: []tokenkey.Key{{Algorithms: []string{"RS512"}, Material: &rsaKey.PublicKey}}})
	if _, err := identify(a, sign(jwt.SigningMethodRS512, rsaKey, claims(nil))); err != nil {
		t.Errorf("RS512: %v", err)
	}
	if _, err := identify(a, sign(jwt.SigningMethodRS256, rsaKey, claims(nil))); fault.KindOf(err) != fault.BadToken {
		t.Errorf("RS256: %v", err)
	}
}

// What Sign makes, Identify and Subscription take, where aud and iss are asked
// for too.
func TestSign(t *testing.T) {
	a := auth.New(auth.Config{Rules: noRules(), Secrets: []string{newSecret, oldSecret}, Audience: "magpie", Issuer: "me"})
	exp := time.Now().Add(time.Minute)
	token, err := a.Sign(auth.Draft{User: "42", Expires: exp, Info: []byte(`{"n":1}`), Channels: []string{"news"}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := identify(a, token)
	if err != nil || id.User != "42" || string(id.Info) != `{"n":1}` || len(id.Channels) != 1 || id.Expires.Unix() != exp.Unix() {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := identify(auth.New(auth.Config{Rules: noRules(), Secrets: []string{oldSecret}}), token); err == nil {
		t.Error("it was signed with the old secret")
	}
	token, err = a.Sign(auth.Draft{User: "42", Channel: "$team", Expires: exp})
	if err != nil {
		t.Fatal(err)
	}
	if g, err := a.Subscription(context.Background(), token, id, "$team"); err != nil || g.Channel != "$team" {
		t.Errorf("%+v, %v", g, err)
	}
	for what, d := range map[string]auth.Draft{
		"info no JSON":   {Info: []byte("{")},
		"bad channel":    {Channel: "a b"},
		"bad channels":   {Channels: []string{"a", "b*"}},
		"both kinds":     {Channel: "a", Channels: []string{"b"}},
		"user":           {User: "a\nb"},
		"user, no text":  {User: "a\xff"},
		"longer than 8K": {Info: []byte(`"` + strings.Repeat("x", auth.MaxToken) + `"`)},
	} {
		d.Expires = exp
		if token, err := a.Sign(d); err == nil {
			t.Errorf("%s: %s", what, token)
		}
	}
	if _, err := auth.New(auth.Config{Rules: noRules(), Public: public(p256)}).Sign(auth.Draft{Expires: exp}); !errors.Is(err, auth.ErrNoSecret) {
		t.Errorf("without a secret: %v", err)
	}
}

func TestInspectShowsWhatIsNotGood(t *testing.T) {
	i, err := auth.Inspect(forge(`{"alg":"XX","kid":"k"}`, hs(nil), "AA"))
	if err != nil || i.Algorithm != "XX" || i.KeyID != "k" || string(i.Claims["sub"]) != `"42"` {
		t.Errorf("%+v, %v", i, err)
	}
	for _, bad := range []string{"", "a", "a.b.c", strings.Repeat("x", 1<<20), b64(`{}`) + "." + b64(`[]`) + "."} {
		if i, err := auth.Inspect(bad); err == nil {
			t.Errorf("%.20q: %+v", bad, i)
		}
	}
}

// Whatever is shown, only what a key of ours signed is anybody.
func FuzzIdentify(f *testing.F) {
	a := authorizer()
	f.Add("a.b.c")
	f.Add(forge(`{"alg":"none"}`, hs(nil), ""))
	f.Add(forge(`{"alg":"ES256","kid":"x","typ":"JWT"}`, hs(nil), b64(strings.Repeat("\x00", 64))))
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := identify(a, token); err == nil && token != "" {
			t.Errorf("%q passed as %+v", token, id)
		}
		if _, err := a.Subscription(context.Background(), token, auth.Identity{}, "chat"); err == nil {
			t.Errorf("%q passed for a subscription", token)
		}
		_, _ = auth.Inspect(token)
	})
}

// A token of which one character is another is nobody's; or it is the same token:
// the last character of a part may be written in more than one way (RFC 4648 section
// 3.5).
func FuzzChangedToken(f *testing.F) {
	a := authorizer()
	good := signRaw(`{"sub":"42","exp":9999999999}`)
	want, err := identify(a, good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint(0), byte('x'))
	f.Add(uint(len(good)-1), byte('A'))
	f.Add(uint(strings.IndexByte(good, '.')), byte('.'))
	f.Fuzz(func(t *testing.T, at uint, c byte) {
		changed := []byte(good)
		changed[at%uint(len(good))] = c
		id, err := identify(a, string(changed))
		if err != nil || string(changed) == good {
			return
		}
		if !sameOctets(t, string(changed), good) || id.User != want.User {
			t.Errorf("%s passed as %+v", changed, id)
		}
	})
}

// sameOctets tells whether all parts of two tokens decode to the same.
func sameOctets(t *testing.T, a, b string) bool {
	t.Helper()
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	if len(x) != 3 || len(y) != 3 {
		return false
	}
	for i := range x {
		p, perr := base64.RawURLEncoding.DecodeString(x[i])
		q, qerr := base64.RawURLEncoding.DecodeString(y[i])
		if perr != nil || qerr != nil || string(p) != string(q) {
			return false
		}
	}
	return true
}

// Payloads that a key of ours did sign may still be of any shape; none may
// panic, and none may come out without an end that lies ahead.
func FuzzClaims(f *testing.F) {
	a := authorizer()
	f.Add(`{"sub":"42","exp":9999999999,"subs":{"a":{"override":{"presence":{"value":true}}}}}`)
	f.Add(`{"sub":"42","exp":1e300,"aud":["a"],"channels":["b"],"b64info":"AAAA"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		id, err := identify(a, signRaw(payload))
		if err == nil && !id.Expires.IsZero() && !id.Expires.After(time.Now()) {
			t.Errorf("%q passed as %+v", payload, id)
		}
	})
}
