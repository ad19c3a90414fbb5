package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// client is what pub and sub know about the server that they talk to.
type client struct {
	base  *url.URL
	key   string // API key
	token string
	http  *http.Client
}

// show adds to a request's header who asks.
func (cl *client) show(h http.Header) {
	if cl.token != "" {
		h.Set("Authorization", "Bearer "+cl.token)
	}
	if cl.key != "" {
		h.Set("X-API-Key", cl.key)
	}
}

// tokenFlag adds --token to cmd and returns what gives it to a client. Who
// says --token means it: an API key that only the environment has stays there,
// where it would have been the one that counts.
func (c *command) tokenFlag(cmd *cobra.Command) func(*client) {
	token := cmd.Flags().String("token", "", "`token` of a user to show, as magpie token new makes one (MAGPIE_TOKEN)")
	return func(cl *client) {
		cl.token = either(*token, c.getenv("MAGPIE_TOKEN"))
		if *token != "" && !cmd.Flags().Changed("api-key") {
			cl.key = ""
		}
	}
}

// clientFlags adds --url and --api-key to cmd and returns what reads them.
func (c *command) clientFlags(cmd *cobra.Command) func() (*client, error) {
	base := cmd.Flags().String("url", "", "the server's `URL` (MAGPIE_URL; default http://localhost:8080)")
	key := cmd.Flags().String("api-key", "", "API `key`, where the server asks for one (MAGPIE_API_KEY)")
	return func() (*client, error) {
		first, _, _ := strings.Cut(c.getenv("MAGPIE_API_KEY"), ",")
		u, err := parseBase(either(*base, c.getenv("MAGPIE_URL"), "http://localhost:8080"))
		if err != nil {
			return nil, err
		}
		return &client{base: u, key: either(*key, first), http: &http.Client{Timeout: 30 * time.Second}}, nil
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

// url returns the address of a path below the server's own; parts are escaped.
func (cl *client) url(query url.Values, parts ...string) string {
	u := cl.base.JoinPath() // a copy
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	text := strings.TrimSuffix(u.String(), "/") + "/" + strings.Join(escaped, "/")
	if len(query) > 0 {
		text += "?" + query.Encode()
	}
	return text
}

func (c *command) getenv(name string) string {
	for _, line := range c.environ {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func either(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// backoff is full jitter: anything from nothing to a bound that doubles with
// each attempt, so that many clients do not come back at one moment.
func backoff(attempt int, most time.Duration) time.Duration {
	bound := most
	if attempt < 16 {
		bound = min(most, 250*time.Millisecond<<attempt)
	}
	return rand.N(bound)
}

// refusal is an HTTP answer that is not the one asked for.
type refusal struct {
	status     int
	code, text string
	ways       string // to say who one is, in this command
}

// newRefusal reads {"error":{"code":…,"message":…}}, and else takes the first
// line of what came.
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
	case r.code == "bad_token", r.code == "token_expired":
		return r.text + "; give a good --token (MAGPIE_TOKEN)"
	case r.status == http.StatusUnauthorized:
		return "the server asks who you are: give " + r.ways
	case r.status == http.StatusNotFound:
		return "there is no Magpie at this address: " + r.text + "; check --url (MAGPIE_URL)"
	}
	return fmt.Sprintf("the server refused (%d): %s", r.status, r.text)
}
