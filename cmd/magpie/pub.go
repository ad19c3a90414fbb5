package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/channel"
)

const (
	publishAttempts = 4
	// maxRead bounds what is read from standard input; no server takes more.
	maxRead = 64 << 20
)

func (c *command) pubCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pub CHANNEL [PAYLOAD|-]", Aliases: []string{"publish"},
		Short: "Publish a message (payload from the argument or standard input)",
		Long:  "Publish a message over HTTP and print its offset and epoch. A try whose answer is lost is repeated under the same\nidempotency key, so the message is published once.",
		Example: "  magpie pub chat '{\"content\":\"hi\"}'\n" +
			"  date | magpie pub chat",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("say where and what: magpie pub CHANNEL [PAYLOAD|-]")
			}
			return nil
		},
	}
	open := c.clientFlags(cmd)
	showToken := c.tokenFlag(cmd)
	key := cmd.Flags().String("idempotency-key", "", "`key` under which a repeat is the same message (default: a random one)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := channel.Check(args[0]); err != nil {
			return usagef("%s", err)
		}
		cl, err := open()
		if err != nil {
			return err
		}
		showToken(cl)
		payload, err := c.payload(args[1:])
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		p := publication{channel: args[0], payload: payload, key: either(*key, rand.Text())}
		return p.send(ctx, cl, c.out)
	}
	return cmd
}

func (c *command) payload(args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	if len(args) == 0 && isTerminal(c.in) {
		return nil, usagef("say what to publish: magpie pub CHANNEL PAYLOAD, or - to type it in")
	}
	payload, err := io.ReadAll(io.LimitReader(c.in, maxRead+1))
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	if len(payload) > maxRead {
		return nil, usagef("standard input is longer than 64 MB, which is more than any server takes")
	}
	return payload, nil
}

type publication struct {
	channel string
	payload []byte
	key     string // idempotency key: makes trying again safe (D4)
}

// send publishes and prints the answer. It tries again when nobody knows
// whether the message arrived, and when the server says "not now".
func (p publication) send(ctx context.Context, cl *client, out io.Writer) error {
	for attempt := 0; ; attempt++ {
		answer, err := p.post(ctx, cl)
		if err == nil {
			_, err = fmt.Fprintln(out, answer)
			return err
		}
		if attempt+1 == publishAttempts || !worthTrying(err) {
			return reachable(cl, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backoff(attempt, 5*time.Second)):
		}
	}
}

func worthTrying(err error) bool {
	if r, ok := errors.AsType[refusal](err); ok {
		return r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests || r.status == http.StatusBadGateway || r.status == http.StatusGatewayTimeout
	}
	// Refused is an answer: nobody is there.
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, context.Canceled)
}

// reachable turns a failed connection into a sentence.
func reachable(cl *client, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens at %s; start magpie serve, or name another server with --url (MAGPIE_URL)", cl.base.Redacted())
	}
	return err
}

func (p publication) post(ctx context.Context, cl *client) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cl.url(nil, "publish", p.channel), bytes.NewReader(p.payload))
	if err != nil {
		return "", err
	}
	req.Header.Set("Idempotency-Key", p.key)
	req.Header.Set("Content-Type", "application/octet-stream")
	cl.show(req.Header)
	resp, err := cl.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return readAnswer(resp)
}

// readAnswer returns the offset and epoch of an accepted message as a line of
// JSON, or a refusal with the server's own words.
func readAnswer(resp *http.Response) (string, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if resp.StatusCode/100 != 2 {
		return "", newRefusal(resp, body, "--api-key (MAGPIE_API_KEY) or --token (MAGPIE_TOKEN)")
	}
	var answer struct {
		Offset uint64 `json:"offset"`
		Epoch  string `json:"epoch"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", errors.New("what answered is no Magpie; check --url (MAGPIE_URL)")
	}
	line, err := json.Marshal(answer)
	return string(line), err
}
