package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const tokenSecret = "0123456789abcdef0123456789abcdef"

func newToken(t *testing.T, args ...string) string {
	t.Helper()
	r := magpie(t, []string{"MAGPIE_TOKEN_SECRET=" + tokenSecret}, append([]string{"token", "new"}, args...)...)
	if r.code != 0 || r.errOut != "" || strings.Count(r.out, ".") != 2 || strings.Count(r.out, "\n") != 1 {
		t.Fatalf("token new %q: %d\n%s%s", args, r.code, r.out, r.errOut)
	}
	return strings.TrimSpace(r.out)
}

// What new prints, check takes, from the command line and from a pipe.
func TestTokenNewAndCheck(t *testing.T) {
	env := []string{"MAGPIE_TOKEN_SECRET=" + tokenSecret, "MAGPIE_TOKEN_AUDIENCE=here", "MAGPIE_TOKEN_ISSUER=me"}
	for want, args := range map[string][]string{
		"good: a connection token of a user":  {"--user", "42", "--info", `{"name":"Ann"}`, "--channels", "news,sport"},
		"good: a connection token of a guest": {},
		"good: a subscription token":          {"--user=42", "--channel=$team", "--ttl=1d12h"},
	} {
		made := magpie(t, env, append([]string{"token", "new"}, args...)...)
		token := strings.TrimSpace(made.out)
		for what, r := range map[string]result{
			"argument":       magpie(t, env, "token", "check", token),
			"with Bearer":    magpie(t, env, "token", "check", "Bearer "+token),
			"standard input": magpieWith(t, made.out, env, "token", "check"),
			"a dash":         magpieWith(t, token, env, "token", "check", "-"),
		} {
			if r.code != 0 || !strings.Contains(r.out, want) || r.errOut != "" {
				t.Errorf("%q, %s: %d\n%s%s", args, what, r.code, r.out, r.errOut)
			}
		}
	}
	r := magpie(t, env, "token", "check", strings.TrimSpace(magpie(t, env, "token", "new", "--user", "42", "--info", `{"name":"王芳"}`, "--channels=a,b").out))
	for _, want := range []string{"algorithm: HS256\n", `sub: "42"`, `info: {"name":"王芳"}`, `channels: ["a","b"]`, `aud: "here"`, `iss: "me"`, "Z, in "} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the report lacks %s:\n%s", want, r.out)
		}
	}
}

// A token that fails says what it holds and why, and never what it was checked
// with.
func TestTokenCheckSaysWhy(t *testing.T) {
	token := newToken(t, "--user", "42")
	parts := strings.Split(token, ".")
	for what, c := range map[string]struct {
		token string
		env   []string
		out   string // standard output has it
		want  string
	}{
		"another secret": {token, []string{"MAGPIE_TOKEN_SECRET=another " + tokenSecret}, `sub: "42"`, "no key of this server signed it"},
		"no keys":        {token, nil, `sub: "42"`, "no token_secret, token_public_keys or token_jwks"},
		"no audience":    {token, []string{"MAGPIE_TOKEN_SECRET=" + tokenSecret, "MAGPIE_TOKEN_AUDIENCE=x"}, "", "aud claim"},
		"cut short":      {parts[0] + "." + parts[1], []string{"MAGPIE_TOKEN_SECRET=" + tokenSecret}, "", "three parts"},
		"no signature":   {parts[0] + "." + parts[1] + ".", []string{"MAGPIE_TOKEN_SECRET=" + tokenSecret}, `sub: "42"`, "no key of this server signed it"},
		"none":           {"", []string{"MAGPIE_TOKEN_SECRET=" + tokenSecret}, "", "there is no token"},
	} {
		r := magpieWith(t, c.token, c.env, "token", "check")
		if r.code != 1 || !strings.Contains(r.errOut, c.want) || !strings.Contains(r.out, c.out) || strings.Contains(r.out, "good") {
			t.Errorf("%s: %d\n%s%s", what, r.code, r.out, r.errOut)
		}
		if strings.Contains(r.out+r.errOut, tokenSecret) {
			t.Errorf("%s: the secret is printed", what)
		}
	}
}

// A token's makers are not the terminal's masters.
func TestTokenCheckPrintsNoControlCharacters(t *testing.T) {
	r := magpie(t, nil, "token", "check", "eyJhbGciOiJcdTAwMWJbMkoiLCJraWQiOiJhXHUwMDFiXG4ifQ.eyJzdWIiOiJcdTIwMmVhIiwiXHUwMDFiWzMxbSI6MX0.AA")
	if strings.ContainsAny(r.out+r.errOut, "\x1b\u202e") || !strings.Contains(r.out, "kid: a") {
		t.Errorf("%q %q", r.out, r.errOut)
	}
}

func TestTokenCheckWithPublicKeys(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	r := magpie(t, nil, "token", "check", newToken(t), "--token-public-keys", file)
	if r.code != 1 || !strings.Contains(r.errOut, "no key of this server is for the token's algorithm") {
		t.Errorf("%d\n%s%s", r.code, r.out, r.errOut)
	}
	r = magpie(t, nil, "token", "new", "--token-public-keys", file)
	if r.code != 2 || !strings.Contains(r.errOut, "no token_secret to sign with") {
		t.Errorf("%d\n%s%s", r.code, r.out, r.errOut)
	}
}

// A key set that is away is no reason to call a token bad.
func TestTokenCheckAsksTheKeySet(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	es256 := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiI0MiJ9.AA"
	r := magpie(t, nil, "token", "check", es256, "--token-jwks", s.URL)
	if r.code != 1 || !strings.Contains(r.errOut, "cannot be checked now") || !strings.Contains(r.out, "kid: a") {
		t.Errorf("%d\n%s%s", r.code, r.out, r.errOut)
	}
}

func TestTokenUsage(t *testing.T) {
	secret := []string{"MAGPIE_TOKEN_SECRET=" + tokenSecret}
	for want, args := range map[string][]string{
		"say what to do":                              {"token"},
		"did you mean magpie token check?":            {"token", "chek", "x"},
		"one token at a time":                         {"token", "check", "a", "b"},
		"takes no \"42\"":                             {"token", "new", "42"},
		"is good for 1s to":                           {"token", "new", "--ttl", "100ms"},
		"366d":                                        {"token", "new", "--ttl", "9000h"},
		"has no unit":                                 {"token", "new", "--ttl", "10"},
		"the info is not JSON":                        {"token", "new", "--info", "{"},
		"channel name not allowed":                    {"token", "new", "--channel", "a b"},
		"leave the list of channels out":              {"token", "new", "--channel", "a", "--channels", "b"},
		"there is no such flag; did you mean --user?": {"token", "new", "--usr", "42"},
	} {
		if r := magpie(t, secret, args...); r.code != 2 || !strings.Contains(r.errOut, want) || r.out != "" {
			t.Errorf("%q: %d\n%s%s", args, r.code, r.out, r.errOut)
		}
	}
	if r := magpie(t, nil, "token", "new"); r.code != 2 || !strings.Contains(r.errOut, "openssl rand -hex 32") {
		t.Errorf("without a secret: %d\n%s%s", r.code, r.out, r.errOut)
	}
}

// Attack row T12: what can be reached without credentials is on record.
func TestServeSaysWhatIsOpenToGuests(t *testing.T) {
	for want, args := range map[string][]string{
		`open_to_guests="typing:* *"`: nil,
		"open_to_guests=nothing":      {"--token-secret", tokenSecret},
		"open_to_guests=lobby":        {"--token-secret", tokenSecret, "--rules", "[{match: lobby, subscribe: anyone}]"},
	} {
		p := start(t, nil, append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "text"}, args...)...)
		if line := p.err.wait(t, p.done, "msg=serving"); !strings.Contains(line, want) {
			t.Errorf("%q: %s", args, line)
		}
	}
}

// The page's commands do what it says; only where the secret comes from is
// ours.
func TestCommandsOfTheIdentityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/identity.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```sh\n")
	script, _, found := strings.Cut(rest, "```")
	script = strings.Replace(script, "$(openssl rand -hex 32)", tokenSecret, 1)
	if !found || !strings.Contains(script, tokenSecret) {
		t.Fatalf("no commands in the page:\n%s", script)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", script)
	cmd.Env = append(cleanEnviron(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "good: a connection token of a user") || strings.Count(string(out), "eyJhbGci") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}
