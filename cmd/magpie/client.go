package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/config"
)

// client is what a command knows about the server that it talks to.
type client struct {
	base  *url.URL
	key   string // API key
	token string
	http  *http.Client
}

// clientFlags adds --url, --api-key and --token to cmd and returns what reads
// them. Servers ask for the key before the token, so a token that was given as
// a flag takes the place of a key that only the environment has.
func (c *command) clientFlags(cmd *cobra.Command) func() (*client, error) {
	base := cmd.Flags().String("url", "", "the server's `URL` (MAGPIE_URL; default http://localhost:8080)")
	key := cmd.Flags().String("api-key", "", "API `key`, where the server asks for one (MAGPIE_API_KEY)")
	token := cmd.Flags().String("token", "", "`token` of a user to show, as magpie token new makes one (MAGPIE_TOKEN)")
	return func() (*client, error) {
		u, err := parseBase(cmp.Or(*base, c.getenv("MAGPIE_URL"), "http://localhost:8080"))
		if err != nil {
			return nil, err
		}
		cl := &client{base: u, key: *key, token: cmp.Or(*token, c.getenv("MAGPIE_TOKEN")), http: &http.Client{Timeout: 30 * time.Second}}
		if *token == "" && *key == "" {
			cl.key, _, _ = strings.Cut(c.getenv("MAGPIE_API_KEY"), ",")
		}
		return cl, nil
	}
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usagef("%q is not the URL of a server; write http://host:port", s)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

func (c *command) getenv(name string) string { return config.Getenv(c.environ, name) }

// untilSignal returns a context that ends with SIGINT or SIGTERM.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// url returns the address of a path below the server's own; parts are escaped.
func (cl *client) url(query url.Values, parts ...string) string {
	u := cl.base.JoinPath() // a copy
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	text := strings.TrimSuffix(u.String(), "/") + "/" + strings.Join(parts, "/")
	if len(query) > 0 {
		text += "?" + query.Encode()
	}
	return text
}

// authorize adds to a request's header who asks.
func (cl *client) authorize(h http.Header) {
	if cl.token != "" {
		h.Set("Authorization", "Bearer "+cl.token)
	}
	if cl.key != "" {
		h.Set("X-API-Key", cl.key)
	}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// send sends one request and reads its answer, a JSON object, into to. An
// answer other than 2xx is a refusal.
func (cl *client) send(req *http.Request, to any) error {
	cl.authorize(req.Header)
	resp, err := cl.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return newRefusal(resp, body, "--api-key (MAGPIE_API_KEY) or --token (MAGPIE_TOKEN)")
	}
	if json.Unmarshal(body, to) != nil {
		return errors.New("what answered is no Magpie; check --url (MAGPIE_URL)")
	}
	return nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// backoff is full jitter: anything up to a bound that doubles with each
// attempt, so that many clients do not come back at the same moment.
func backoff(attempt int, most time.Duration) time.Duration {
	return rand.N(min(most, 250*time.Millisecond<<min(attempt, 16)))
}

// worthRetrying tells whether the same request may succeed later.
func worthRetrying(err error) bool {
	if r, ok := errors.AsType[refusal](err); ok {
		return r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests || r.status == http.StatusBadGateway || r.status == http.StatusGatewayTimeout
	}
	// A refused connection is an answer: nothing listens there.
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, context.Canceled)
}

// reachable turns a failed connection into a sentence.
func reachable(cl *client, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens at %s; start magpie serve, or name another server with --url (MAGPIE_URL)", cl.base.Redacted())
	}
	return err
}

// refusal is an HTTP answer that is not the one asked for.
type refusal struct {
	status     int
	code, text string
	ways       string // flags with which this command says who asks
}

// newRefusal reads {"error":{"code":…,"message":…}}. When the body is something
// else, its first line is the text.
func newRefusal(resp *http.Response, body []byte, ways string) refusal {
	r := refusal{status: resp.StatusCode, text: resp.Status, ways: ways}
	var e struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &e) == nil && e.Error.Message != "" {
		r.code, r.text = e.Error.Code, e.Error.Message
		return r
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line != "" && len(line) <= 200 && line[0] != '<' && line[0] != '{' {
		r.text = line
	}
	return r
}

func (r refusal) Error() string {
	switch {
	case r.code == "bad_key":
		return r.text + "; give the right --api-key (MAGPIE_API_KEY)"
	case r.code == "bad_token", r.code == "token_expired", r.code == "token_revoked":
		return r.text + "; give a good --token (MAGPIE_TOKEN)"
	case r.status == http.StatusUnauthorized:
		return "the server asks who you are: give " + r.ways
	case r.status == http.StatusNotFound:
		return "there is no Magpie at this address: " + r.text + "; check --url (MAGPIE_URL)"
	}
	return fmt.Sprintf("the server refused (%d): %s", r.status, r.text)
}
