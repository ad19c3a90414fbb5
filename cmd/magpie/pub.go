package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/channel"
	"magpie/internal/message"
)

const (
	publishAttempts = 4
	// maxPayload bounds what is read from standard input; no server takes more.
	maxPayload = 64 << 20
)

func (c *command) pubCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pub CHANNEL [PAYLOAD|-]", Aliases: []string{"publish"},
		Short: "Publish a message (payload from the argument or standard input)",
		Long:  "Publish a message over HTTP and print its offset and epoch. A try whose answer is lost is repeated under the same\nidempotency key, so the message is published once.",
		Example: "  magpie pub chat '{\"content\":\"hi\"}'\n" +
			"  date | magpie pub chat",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("say where and what: magpie pub CHANNEL [PAYLOAD|-]")
			}
			if err := channel.Check(args[0]); err != nil {
				return usagef("%s", err)
			}
			return nil
		},
	}
	open := c.clientFlags(cmd)
	key := cmd.Flags().String("idempotency-key", "", "`key` under which a repeat is the same message (default: a random one)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cl, err := open()
		if err != nil {
			return err
		}
		payload, err := c.input(args[1:], maxPayload+1, "say what to publish: magpie pub CHANNEL PAYLOAD, or - to type it in")
		if err != nil {
			return err
		}
		if len(payload) > maxPayload {
			return usagef("standard input is longer than 64 MB, which is more than any server takes")
		}
		ctx, stop := untilSignal()
		defer stop()
		p := publication{channel: args[0], payload: payload, key: cmp.Or(*key, rand.Text())}
		return p.publish(ctx, cl, c.out)
	}
	return cmd
}

type publication struct {
	channel string
	payload []byte
	key     string // idempotency key: makes a repeat safe (D4)
}

// publish prints the position of the accepted message. It tries again when the
// answer was lost, and when the server may accept the message later.
func (p publication) publish(ctx context.Context, cl *client, out io.Writer) error {
	for attempt := 0; ; attempt++ {
		at, err := p.post(ctx, cl)
		if err == nil {
			return json.NewEncoder(out).Encode(struct {
				Offset uint64 `json:"offset"`
				Epoch  string `json:"epoch"`
			}{at.Offset, at.Epoch})
		}
		if attempt+1 == publishAttempts || !worthRetrying(err) {
			return reachable(cl, err)
		}
		if err := pause(ctx, backoff(attempt, 5*time.Second)); err != nil {
			return err
		}
	}
}

func (p publication) post(ctx context.Context, cl *client) (at message.Position, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cl.url(nil, "publish", p.channel), bytes.NewReader(p.payload))
	if err != nil {
		return at, err
	}
	req.Header.Set("Idempotency-Key", p.key)
	req.Header.Set("Content-Type", "application/octet-stream")
	return at, cl.send(req, &at)
}
