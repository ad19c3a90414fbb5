package auth

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"magpie/internal/fault"
	"magpie/internal/tokenkey"
)

// How a key set is fetched.
const (
	fetchTimeout = 3 * time.Second
	maxKeySet    = 64 << 10 // bytes; a set of a hundred keys has less
	minFresh     = time.Minute
	maxFresh     = time.Hour
	defaultFresh = 10 * time.Minute // for an answer that does not say how long it is good
	// Tokens with made-up kids must not make us a flood against the key server;
	// without any key, every client waits for the next try.
	betweenFetches = 10 * time.Second
	betweenFirst   = time.Second
	// Whoever waits may hold a worker that others need. A quarter of those that
	// read WebSockets may wait here; the others' clients come again.
	maxWaiting = 256
)

// JWKS is a key set at a URL (RFC 7517), fetched when it is first needed, when
// it is no longer fresh and when a token names a key that it lacks. While it
// cannot be fetched the keys that are here stay good.
//
// A fetch runs on a goroutine of its own; there is never more than one, and
// Authorizer.Close ends it and waits for it.
type JWKS struct {
	// Set at construction.
	url      string
	client   *http.Client
	log      *slog.Logger
	lifetime context.Context
	end      context.CancelFunc
	waiting  chan struct{} // holds one for each caller that waits for a fetch

	mu       sync.Mutex // guards what follows; memory only
	keys     []tokenkey.Key
	stale    time.Time     // when keys are to be fetched again
	last     time.Time     // when the last fetch ended
	failed   bool          // it brought nothing
	fetching chan struct{} // closed at the fetch's end; nil when there is none
	closed   bool
}

// NewJWKS returns a key set that has not been fetched yet. The URL is https,
// or http to this machine, and holds no user or password. log may be nil.
func NewJWKS(address string, log *slog.Logger) (*JWKS, error) {
	if err := tokenkey.CheckURL(address); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &JWKS{url: address, log: log, waiting: make(chan struct{}, maxWaiting)}
	s.lifetime, s.end = context.WithCancel(context.Background())
	s.client = &http.Client{
		Timeout: fetchTimeout,
		// A redirect could lead anywhere, to this machine's own network too.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true, // one request in minutes needs no idle connection
			DisableCompression:     true, // what is counted is what is read
			MaxResponseHeaderBytes: 16 << 10,
		},
	}
	return s, nil
}

var (
	errWhichKey   = badToken("token_jwks", "it names no key (kid) and the key set of token_jwks has several")
	errUnknownKey = badToken("token_jwks", "the key that it names (kid) is not in the key set of token_jwks")
	errFailing    = tryAgain("the key set of token_jwks does not answer")
	errBusy       = tryAgain("the key set of token_jwks is being fetched")
	errFresh      = tryAgain("the key that it names (kid) is not in the key set of token_jwks, which was fetched just now")
)

// tryAgain is for a token that cannot be checked now and may pass in a moment.
func tryAgain(why string) *fault.Fault {
	return &fault.Fault{Kind: fault.Unavailable, Setting: "token_jwks", Wait: time.Second,
		Message: "token cannot be checked now: " + why + "; try again in a moment"}
}

// find returns the keys of this id that are for this algorithm. It waits for a
// fetch when none of the keys at hand fits, no longer than ctx. A token
// without an id is for the only key.
func (s *JWKS) find(ctx context.Context, kid, algorithm string) ([]tokenkey.Key, error) {
	s.mu.Lock()
	found, err := selectKeys(s.keys, kid, algorithm)
	var fetched <-chan struct{}
	if err != nil || time.Now().After(s.stale) {
		fetched = s.fetchLocked()
	}
	failing := s.failed || s.closed
	s.mu.Unlock()
	switch {
	case err == nil, err == errWhichKey:
		return found, err // a stale set is good while a new one is fetched
	case fetched == nil && failing:
		return nil, errFailing
	case fetched == nil:
		return nil, errFresh
	}
	if err := s.wait(ctx, fetched); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, err = selectKeys(s.keys, kid, algorithm); err != nil && s.failed {
		return nil, errFailing
	}
	return found, err
}

// wait returns when the fetch has ended, or with an error when it is not
// worth waiting for.
func (s *JWKS) wait(ctx context.Context, fetched <-chan struct{}) error {
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return errBusy
	}
	select {
	case <-fetched:
		return nil
	case <-ctx.Done():
		return errFailing
	}
}

// prepare starts the first fetch, so that no client has to wait for it.
func (s *JWKS) prepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetchLocked()
}

// selectKeys takes the keys of this id; without an id, the one key for the
// algorithm.
func selectKeys(keys []tokenkey.Key, kid, algorithm string) (found []tokenkey.Key, err error) {
	for _, k := range keys {
		if kid != "" && k.ID == kid || kid == "" && slices.Contains(k.Algorithms, algorithm) {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 0:
		return nil, errUnknownKey
	case len(found) > 1 && kid == "":
		return nil, errWhichKey
	}
	return found, nil
}

// fetchLocked starts a fetch, joins the one that runs, or returns nil when the
// last one was too short a time ago.
func (s *JWKS) fetchLocked() chan struct{} {
	gap := betweenFetches
	if len(s.keys) == 0 {
		gap = betweenFirst
	}
	switch {
	case s.fetching != nil:
		return s.fetching
	case s.closed, !s.last.IsZero() && time.Since(s.last) < gap:
		return nil
	}
	s.fetching = make(chan struct{})
	go s.run()
	return s.fetching
}

func (s *JWKS) run() {
	keys, fresh, err := s.fetch()
	if err != nil && s.lifetime.Err() == nil {
		s.log.Warn("token_jwks was not fetched; the keys at hand stay good", "error", err)
	}
	s.mu.Lock()
	s.last, s.failed = time.Now(), err != nil
	if err == nil {
		s.keys, s.stale = keys, s.last.Add(fresh)
	}
	close(s.fetching)
	s.fetching = nil
	s.mu.Unlock()
}

func (s *JWKS) fetch() ([]tokenkey.Key, time.Duration, error) {
	req, err := http.NewRequestWithContext(s.lifetime, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %d; redirects are not followed", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > maxKeySet {
		return nil, 0, fmt.Errorf("the answer is longer than %d bytes", maxKeySet)
	}
	keys, err := tokenkey.ParseSet(body)
	return keys, freshness(resp.Header.Get("Cache-Control")), err
}

// freshness reads how long an answer may be kept (RFC 9111 section 5.2.2),
// within our own bounds.
func freshness(cacheControl string) time.Duration {
	for d := range strings.SplitSeq(strings.ToLower(cacheControl), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch name {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			seconds, err := strconv.Atoi(strings.Trim(value, `"`))
			if err != nil || seconds > int(maxFresh/time.Second) {
				return maxFresh
			}
			return max(minFresh, time.Duration(seconds)*time.Second)
		}
	}
	return defaultFresh
}

// close ends the fetch that runs and waits for it.
func (s *JWKS) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	wait := s.fetching
	s.mu.Unlock()
	s.end()
	if wait == nil {
		return nil
	}
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close token_jwks: %w", ctx.Err())
	}
}
