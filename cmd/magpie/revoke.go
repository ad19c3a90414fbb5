package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/config"
)

func (c *command) revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke", Args: noArgs,
		Short: "Take tokens back before their end",
		Long: "Take tokens back before their end, on all nodes: connections that showed them are closed, and no door takes them any more.\n" +
			"Say whose: all that a user got so far, those with a jti, or that of one connection.",
		Example: "  magpie revoke --user 42\n" +
			"  magpie revoke --jti 7f3a --ttl 1d",
	}
	open := c.clientFlags(cmd)
	flags := cmd.Flags()
	names := map[string]*string{
		"user":    flags.String("user", "", "all tokens that this `user` got so far"),
		"jti":     flags.String("jti", "", "tokens with this jti `claim`"),
		"client":  flags.String("client", "", "the token of the connection with this `id`, as presence shows it"),
		"session": flags.String("session", "", "the token of the connection with this secret `name`, as its Centrifuge client knows it"),
	}
	ttl := lifetime{30 * 24 * time.Hour}
	flags.Var(&ttl, "ttl", "for how long: until the last of these tokens ends, such as 1h or 90d")
	cmd.RunE = func(*cobra.Command, []string) error {
		body := map[string]any{"expire_at": time.Now().Add(ttl.Duration).Unix()}
		for name, value := range names {
			if *value != "" {
				body[name] = *value
			}
		}
		if len(body) != 2 {
			return usagef("say whose tokens, with one of --user, --jti, --client and --session")
		}
		cl, err := open()
		if err != nil {
			return err
		}
		if ttl.Duration < time.Second || ttl.Duration > longestTTL {
			return usagef("tokens are refused for 1s to %s; %s is outside", config.FormatDuration(longestTTL), &ttl)
		}
		if err := cl.call("revoke", body); err != nil {
			return reachable(cl, err)
		}
		_, err = fmt.Fprintln(c.out, "revoked on all nodes")
		return err
	}
	return cmd
}

// call makes a call of the server API, which answers failures with status 200.
func (cl *client) call(method string, params map[string]any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, cl.url(nil, "api", method), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	var answer struct{ Error *struct{ Message string } }
	if err := cl.send(req, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("the server refused: %s", answer.Error.Message)
	}
	return nil
}
