package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"

	"magpie/internal/message"
)

// Flags win over the environment, and a token that is a flag over a key that
// is not: a server would ask for the key first.
func TestClientFlags(t *testing.T) {
	env := []string{"MAGPIE_URL=http://env:1/base/", "MAGPIE_API_KEY=new,old", "MAGPIE_TOKEN=env"}
	for _, test := range []struct {
		env, args        []string
		base, key, token string
	}{
		{nil, nil, "http://localhost:8080", "", ""},
		{env, nil, "http://env:1/base", "new", "env"},
		{env, []string{"--url=https://flag:2?x=1", "--api-key=k", "--token=t"}, "https://flag:2", "k", "t"},
		{env, []string{"--token=t"}, "http://env:1/base", "", "t"},
		{env, []string{"--api-key=k"}, "http://env:1/base", "k", "env"},
	} {
		c := command{environ: test.env}
		cmd := new(cobra.Command)
		open := c.clientFlags(cmd)
		if err := cmd.ParseFlags(test.args); err != nil {
			t.Fatal(err)
		}
		cl, err := open()
		if err != nil || cl.base.String() != test.base || cl.key != test.key || cl.token != test.token {
			t.Errorf("%q: %v, %+v", test.args, err, cl)
		}
		h := make(http.Header)
		cl.authorize(h)
		if h.Get("X-API-Key") != test.key || (h.Get("Authorization") == "Bearer "+test.token) != (test.token != "") {
			t.Errorf("%q: %v", test.args, h)
		}
		if got, want := cl.url(nil, "publish", "a/b c"), test.base+"/publish/a%2Fb%20c"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Only what may pass by itself is tried again.
func TestWorthRetrying(t *testing.T) {
	for status, want := range map[int]bool{400: false, 401: false, 403: false, 404: false, 413: false, 429: true, 500: false, 502: true, 503: true, 504: true} {
		if got := worthRetrying(refusal{status: status}); got != want {
			t.Errorf("%d: %t", status, got)
		}
	}
	for err, want := range map[error]bool{syscall.ECONNRESET: true, context.DeadlineExceeded: true, syscall.ECONNREFUSED: false, context.Canceled: false} {
		if got := worthRetrying(fmt.Errorf("publish: %w", err)); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}

// A server does not want a client back after a close code from 4500 on, nor
// after those that say that the client is wrong.
func TestFinalCloseCodes(t *testing.T) {
	for code, want := range map[websocket.StatusCode]bool{1001: false, 1002: true, 1008: true, 1009: true, 1012: false, 4000: false, 4499: false, 4500: true} {
		if _, got := errors.AsType[final](closeReason(websocket.CloseError{Code: code})); got != want {
			t.Errorf("%d: final %t", code, got)
		}
	}
}

// A message without an offset (D9) does not move the position.
func TestMessageWithoutOffsetKeepsThePosition(t *testing.T) {
	s := stream{listener: &listener{out: io.Discard, err: io.Discard}, since: &message.Position{Epoch: "e", Offset: 4}}
	if err := s.take([]byte(`{"offset":0,"data":1}`)); err != nil || s.since.String() != "e.4" {
		t.Errorf("%v, %s", err, s.since)
	}
}
