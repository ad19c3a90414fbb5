package main

import (
	"strings"
	"testing"
)

// What is revoked is good no more when the command ends; why it failed is said
// in one line.
func TestRevoke(t *testing.T) {
	_, url := serve(t, "--token-secret", testSecret, "--api-key", "the-key-of-servers")
	token := strings.TrimSpace(magpie(t, nil, "token", "new", "--user", "42", "--token-secret", testSecret).out)
	pub := func() result { return magpie(t, nil, "pub", "--url", url, "--token", token, "chat", "x") }
	if r := pub(); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--user", "42"}, "give the right --api-key"},
		{[]string{"--user", "42", "--api-key", "wrong"}, "give the right --api-key"},
		{[]string{"--client", "nobody", "--api-key", "the-key-of-servers"}, "no session of this name"},
		{[]string{"--user", strings.Repeat("x", 300), "--api-key", "the-key-of-servers"}, "255 bytes"},
	} {
		if r := magpie(t, nil, append([]string{"revoke", "--url", url}, c.args...)...); r.code != exitFailed || !strings.Contains(r.errOut, c.want) || strings.Count(r.errOut, "\n") != 1 {
			t.Errorf("%q: %+v, want one line with %q", c.args, r, c.want)
		}
	}
	if r := magpie(t, []string{"MAGPIE_API_KEY=the-key-of-servers"}, "revoke", "--url", url, "--user", "42", "--ttl", "1h"); r.code != exitOK || r.out != "revoked on all nodes\n" {
		t.Fatalf("%+v", r)
	}
	if r := pub(); r.code != exitFailed || !strings.Contains(r.errOut, "token revoked") {
		t.Errorf("the token is good: %+v", r)
	}
}
