package auth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/auth"
	"magpie/internal/fault"
)

// jwkOf writes a P-256 key as a JSON Web Key.
func jwkOf(kid string, k *ecdsa.PrivateKey) map[string]any {
	point := must(k.PublicKey.Bytes())[1:]
	b64 := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point[:32]), "y": b64(point[32:])}
}

func keySet(keys ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"keys": keys}))
}

// signedBy is a token of a key with this kid; "" for none.
func signedBy(kid string, k crypto.Signer) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims(nil))
	if kid != "" {
		token.Header["kid"] = kid
	}
	return must(token.SignedString(k))
}

// remote is an authorizer whose keys are behind this URL. The test closes it.
func remote(t *testing.T, address string, more auth.Config) *auth.Authorizer {
	t.Helper()
	set, err := auth.NewJWKS(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	more.JWKS, more.Rules = set, noRules()
	a := auth.New(more)
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestTokensOfAKeySet(t *testing.T) {
	var asked atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if e := r.Header.Get("Accept-Encoding"); e != "" {
			t.Errorf("asked for %s, of which little can become much", e)
		}
		w.Write(keySet(jwkOf("a", p256), jwkOf("b", must(ecdsaKey())), map[string]any{"kty": "oct", "kid": "c", "k": "AAAA"}))
	})
	a := remote(t, url, auth.Config{Secrets: []string{newSecret}})
	if id, err := identify(a, signedBy("a", p256)); err != nil || id.User != "42" {
		t.Errorf("%+v, %v", id, err)
	}
	for what, c := range map[string]struct {
		token string
		want  string
	}{
		"the other key's id":       {signedBy("b", p256), "no key of this server signed it"},
		"no id, two keys":          {signedBy("", p256), "names no key (kid)"},
		"a secret of the set":      {mustSign(jwt.SigningMethodHS256, []byte{0, 0, 0}, "c"), "no key of this server signed it"},
		"an id that is no text":    {withHeaderES("kid", 7), "names no key (kid)"},
		"another algorithm by id":  {mustSign(jwt.SigningMethodES384, p384, "a"), "no key of this server is for"},
		"our secret, id of a key":  {mustSign(jwt.SigningMethodHS256, []byte(newSecret), "a"), ""},
		"a key of ours, RS by set": {mustSign(jwt.SigningMethodRS256, rsaKey, "a"), "no key of this server is for"},
	} {
		_, err := identify(a, c.token)
		if c.want == "" && err != nil || c.want != "" && (fault.KindOf(err) != fault.BadToken || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the key set was fetched %d times", n)
	}
}

func ecdsaKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(p256.Curve, rand.Reader) }

func mustSign(method jwt.SigningMethod, key any, kid string) string {
	token := jwt.NewWithClaims(method, claims(nil))
	token.Header["kid"] = kid
	return must(token.SignedString(key))
}

func withHeaderES(name string, value any) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims(nil))
	token.Header[name] = value
	return must(token.SignedString(p256))
}

// A set with one key for the algorithm needs no id, as many providers send it.
func TestTokenWithoutIDIsForTheOnlyKey(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(keySet(jwkOf("a", p256))) })
	if _, err := identify(remote(t, url, auth.Config{}), signedBy("", p256)); err != nil {
		t.Error(err)
	}
}

// The keys at hand are enough for their tokens: a key server that is away
// harms nobody who does not need it.
func TestTokensOfOurKeysDoNotWaitForTheKeySet(t *testing.T) {
	a := remote(t, "http://127.0.0.1:1/jwks", auth.Config{Secrets: []string{newSecret}, Public: public(p256)})
	for _, token := range []string{hs(nil), signedBy("x", p256)} {
		if _, err := identify(a, token); err != nil {
			t.Error(err)
		}
	}
	if _, err := identify(a, hmacWith([]byte(oldSecret))); fault.KindOf(err) != fault.BadToken {
		t.Errorf("a forged HMAC token: %v", err)
	}
}

// Attack rows K1 and K2: answers that are none. The tokens may be good, so
// their holders are asked to come back, not sent away.
func TestKeySetsThatCannotBeHad(t *testing.T) {
	good := keySet(jwkOf("a", p256))
	var followed atomic.Int64
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) { followed.Add(1); w.Write(good) })
	for what, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) },
		"redirect, 308": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusPermanentRedirect)
		},
		"refused":    func(w http.ResponseWriter, r *http.Request) { http.Error(w, string(good), http.StatusForbidden) },
		"no content": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a page":     func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") },
		"no keys":    func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"cut short":  func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "9999"); w.Write(good) },
		"a long one": func(w http.ResponseWriter, r *http.Request) {
			w.Write(append(good, bytes.Repeat([]byte(" "), 64<<10)...))
		},
		"an endless one": func(w http.ResponseWriter, r *http.Request) { endless(w, r) },
		"huge headers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			w.Write(good)
		},
		"a gzip bomb": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("\x1f\x8b"))
		},
		"the line closed": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	} {
		a := remote(t, serve(t, h), auth.Config{})
		if id, err := identify(a, signedBy("a", p256)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// endless writes until nobody reads any more.
func endless(w http.ResponseWriter, r *http.Request) {
	for chunk := bytes.Repeat([]byte(" "), 32<<10); r.Context().Err() == nil; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// A caller waits no longer than its context, and Close ends a fetch that hangs.
func TestWaitingForASlowKeySet(t *testing.T) {
	begun := make(chan struct{}, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	a := remote(t, url, auth.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := a.Identify(ctx, signedBy("a", p256)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
	began := time.Now()
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("Close took %s", took)
	}
	if _, err := identify(a, signedBy("a", p256)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	if err := auth.New(auth.Config{Rules: noRules()}).Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// Whoever runs the server reads why its keys are old; nothing of a token is there.
func TestFailedFetchIsLogged(t *testing.T) {
	var log bytes.Buffer
	set := must(auth.NewJWKS(serve(t, http.NotFound), slog.New(slog.NewTextHandler(&log, nil))))
	a := auth.New(auth.Config{Rules: noRules(), JWKS: set})
	token := signedBy("a", p256)
	identify(a, token)
	a.Close(context.Background())
	if text := log.String(); !strings.Contains(text, "404") || strings.Count(text, "\n") != 1 || strings.Contains(text, token[:20]) {
		t.Errorf("log: %q", text)
	}
}

func TestKeySetAddressesAreChecked(t *testing.T) {
	if _, err := auth.NewJWKS("http://id.example.com/jwks", nil); err == nil {
		t.Error("keys over a way that anybody can change")
	}
}
