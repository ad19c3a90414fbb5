package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/channel"
	"magpie/internal/fault"
)

// provider is a key server without a network, so that hours pass in no time.
type provider struct {
	mu    sync.Mutex
	keys  map[string]*ecdsa.PrivateKey
	cache string        // Cache-Control
	down  bool          // it answers 500
	slow  time.Duration // before an answer
	asked atomic.Int64
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.asked.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slow > 0 {
		select {
		case <-time.After(p.slow):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	status := http.StatusOK
	if p.down {
		status = http.StatusInternalServerError
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Cache-Control": {p.cache}}, Body: io.NopCloser(strings.NewReader(p.text()))}, nil
}

func (p *provider) text() string {
	var all []map[string]any
	for kid, k := range p.keys {
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		b64 := base64.RawURLEncoding.EncodeToString
		all = append(all, map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point[1:33]), "y": b64(point[33:])})
	}
	b, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// token is signed by the key of this kid; a key that is not there is made up.
func (p *provider) token(kid string) string {
	k := p.keys[kid]
	if k == nil {
		k = newKey()
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(24 * time.Hour).Unix()})
	t.Header["kid"] = kid
	s, err := t.SignedString(k)
	if err != nil {
		panic(err)
	}
	return s
}

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// withProvider runs the test in a bubble of its own time.
func withProvider(t *testing.T, f func(t *testing.T, p *provider, a *Authorizer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{keys: map[string]*ecdsa.PrivateKey{"a": newKey()}}
		s, err := NewJWKS("https://id.example.com/jwks", nil)
		if err != nil {
			t.Fatal(err)
		}
		s.client.Transport = p
		a := New(Config{Rules: anyRules(t), JWKS: s})
		f(t, p, a)
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func anyRules(t *testing.T) *channel.Rules {
	t.Helper()
	rules, err := channel.NewRules(nil, channel.Default(channel.Users))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func expect(t *testing.T, a *Authorizer, token string, want fault.Kind) {
	t.Helper()
	if _, err := a.Identify(context.Background(), token); fault.KindOf(err) != want {
		t.Errorf("%v, want %v", err, want)
	}
}

func (p *provider) expectAsked(t *testing.T, want int64) {
	t.Helper()
	synctest.Wait() // a fetch that nobody waits for
	if n := p.asked.Load(); n != want {
		t.Errorf("asked %d times, want %d", n, want)
	}
}

// A key that is published in advance is known when its first token comes, and
// one that comes by surprise is fetched then.
func TestKeySetRotation(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		expect(t, a, p.token("a"), "")
		time.Sleep(betweenFetches)
		p.set(func() { p.keys = map[string]*ecdsa.PrivateKey{"b": newKey()} })
		old := p.keys["b"]
		expect(t, a, p.token("b"), "")
		p.expectAsked(t, 2)
		if old == nil {
			t.Fatal("no key b")
		}
		expect(t, a, p.token("a"), fault.Unavailable) // gone, but nothing may be fetched yet
		time.Sleep(betweenFetches)
		expect(t, a, p.token("a"), fault.BadToken) // gone for good
		p.expectAsked(t, 3)
	})
}

// Attack row K1: made-up kids must not make us a flood against the key server.
func TestUnknownKidsAreAskedAboutRarely(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		expect(t, a, p.token("a"), "")
		for range 100 {
			expect(t, a, p.token("made up"), fault.Unavailable)
			time.Sleep(betweenFetches / 200)
		}
		p.expectAsked(t, 1)
		time.Sleep(betweenFetches)
		expect(t, a, p.token("made up"), fault.BadToken)
		p.expectAsked(t, 2)
		expect(t, a, p.token("a"), "")
	})
}

// One fetch answers all who wait for it.
func TestOneFetchAtATime(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		p.slow = time.Second
		token := p.token("a")
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { expect(t, a, token, "") })
		}
		all.Wait()
		p.expectAsked(t, 1)
	})
}

// A fetch that hangs may not hold every worker of the server.
func TestFewWaitForAFetch(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		p.slow = time.Second
		token := p.token("a")
		var all sync.WaitGroup
		var good, busy atomic.Int64
		for range 4 * maxWaiting {
			all.Go(func() {
				switch _, err := a.Identify(context.Background(), token); {
				case err == nil:
					good.Add(1)
				case fault.KindOf(err) == fault.Unavailable:
					busy.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != maxWaiting || busy.Load() != 3*maxWaiting {
			t.Errorf("%d waited, %d did not", good.Load(), busy.Load())
		}
		expect(t, a, token, "")
		p.expectAsked(t, 1)
	})
}

func TestPrepare(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		p.slow = time.Second
		a.Prepare()
		p.expectAsked(t, 1)
		time.Sleep(2 * time.Second)
		began := time.Now()
		expect(t, a, p.token("a"), "")
		if took := time.Since(began); took != 0 {
			t.Errorf("the first token waited %s", took)
		}
		p.expectAsked(t, 1)
	})
	New(Config{Rules: anyRules(t)}).Prepare() // nothing to fetch
}

// A provider that hangs holds nobody for longer than the bound.
func TestSlowProvider(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		p.slow = time.Hour
		began := time.Now()
		expect(t, a, p.token("a"), fault.Unavailable)
		if took := time.Since(began); took != fetchTimeout {
			t.Errorf("it took %s", took)
		}
	})
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		p.slow = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := a.Identify(ctx, p.token("a")); fault.KindOf(err) != fault.Unavailable || time.Since(began) != time.Second {
			t.Errorf("%v after %s, past its context", err, time.Since(began))
		}
	})
}

// While nothing can be fetched the keys at hand stay good, and nobody waits.
func TestStaleKeysWhileTheProviderIsDown(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		expect(t, a, p.token("a"), "")
		p.set(func() { p.down = true })
		for range 10 {
			time.Sleep(time.Hour)
			began := time.Now()
			expect(t, a, p.token("a"), "")
			if time.Since(began) != 0 {
				t.Error("a token of a known key waited")
			}
			synctest.Wait()
		}
		p.expectAsked(t, 11)
		expect(t, a, p.token("b"), fault.Unavailable) // it may be a new key: who knows
		p.set(func() { p.down, p.keys = false, map[string]*ecdsa.PrivateKey{"b": newKey()} })
		time.Sleep(betweenFetches)
		expect(t, a, p.token("b"), "")
		expect(t, a, p.token("a"), fault.Unavailable)
	})
}

// Without any key every client is waiting: the next try comes soon.
func TestFirstFetchIsRepeatedSoon(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		p.down = true
		for range 2 {
			if _, err := a.Identify(t.Context(), p.token("a")); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "does not answer") {
				t.Errorf("%v", err)
			}
		}
		p.expectAsked(t, 1)
		p.set(func() { p.down = false })
		time.Sleep(betweenFirst)
		expect(t, a, p.token("a"), "")
		p.expectAsked(t, 2)
	})
}

// RFC 9111: kept as long as the answer says, but neither asked about all the
// time nor kept for ever.
func TestFreshness(t *testing.T) {
	for cache, want := range map[string]time.Duration{
		"":                            defaultFresh,
		"public":                      defaultFresh,
		"max-age=600":                 10 * time.Minute,
		"public, Max-Age=1200":        20 * time.Minute,
		`max-age="120"`:               2 * time.Minute,
		"max-age=1":                   minFresh,
		"max-age=0":                   minFresh,
		"max-age=-5":                  minFresh,
		"no-store":                    minFresh,
		"no-cache, max-age=600":       minFresh,
		"max-age=86400":               maxFresh,
		"max-age=9999999999999999999": maxFresh,
	} {
		if got := freshness(cache); got != want {
			t.Errorf("%q: %s, want %s", cache, got, want)
		}
	}
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		p.cache = "max-age=600"
		expect(t, a, p.token("a"), "")
		time.Sleep(10*time.Minute - time.Second)
		expect(t, a, p.token("a"), "")
		p.expectAsked(t, 1)
		time.Sleep(2 * time.Second)
		expect(t, a, p.token("a"), "") // with the old keys, while the new ones come
		p.expectAsked(t, 2)
	})
}

// After Close nothing is begun that nobody would wait for.
func TestNothingIsFetchedAfterClose(t *testing.T) {
	withProvider(t, func(t *testing.T, p *provider, a *Authorizer) {
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		expect(t, a, p.token("a"), fault.Unavailable)
		p.expectAsked(t, 0)
	})
}

func TestTokenAlgorithmsAreThoseOfTheKeys(t *testing.T) {
	if slices.Contains(algorithms, "none") || len(algorithms) != 10 {
		t.Errorf("%v", algorithms)
	}
}
