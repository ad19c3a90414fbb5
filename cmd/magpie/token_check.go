package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/app"
	"magpie/internal/auth"
	"magpie/internal/config"
)

func (c *command) tokenCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [TOKEN|-]",
		Short: "Print what a token holds and whether the settings accept it",
		Long: "Print what a token holds and whether this server's settings take it, with the reason when they do not; exit code 1 then.\n" +
			"Without TOKEN, or with -, it is read from standard input, where no list of processes shows it.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("check one token at a time: magpie token check TOKEN")
			}
			return nil
		},
	}
	return c.withSettings(cmd, tokenSettings, func(cfg *config.Config, args []string) error {
		text, err := c.input(args, auth.MaxToken+2, "give the token: magpie token check TOKEN, or - to type it in")
		if err != nil {
			return err
		}
		a, err := app.NewAuthorizer(cfg, nil, nil)
		if err != nil {
			return err
		}
		return c.checkToken(a, strings.TrimPrefix(strings.TrimSpace(string(text)), "Bearer "))
	})
}

// checkTimeout bounds a check that has to fetch keys.
const checkTimeout = 5 * time.Second

func (c *command) checkToken(a *auth.Authorizer, token string) error {
	if token == "" {
		return errors.New("there is no token; without one a client is a guest")
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	defer a.Close(ctx)
	if i, err := auth.Inspect(token); err == nil {
		c.show(i)
	}
	id, grant, err := a.Check(ctx, token)
	if err != nil {
		return err
	}
	verdict := fmt.Sprintf("good: a connection token of a %s, until %s", id.Kind, until(id.Expires))
	if grant != nil {
		verdict = "good: a subscription token, until " + until(grant.Expires)
	}
	_, err = fmt.Fprintln(c.out, verdict)
	return err
}

func until(t time.Time) string {
	if t.IsZero() {
		return "ever (expire_at is 0)"
	}
	return t.UTC().Format(time.RFC3339)
}

// show prints the token's claims, one a line, with times as dates beside their
// numbers.
func (c *command) show(i auth.Inspection) {
	fmt.Fprintf(c.out, "algorithm: %s\n", printable(i.Algorithm))
	if i.KeyID != "" {
		fmt.Fprintf(c.out, "kid: %s\n", printable(i.KeyID))
	}
	for _, name := range slices.Sorted(maps.Keys(i.Claims)) {
		fmt.Fprintf(c.out, "%s: %s%s\n", printable(name), compact(i.Claims[name]), when(name, i.Claims[name]))
	}
}

func compact(value json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return "?"
	}
	return printable(b.String())
}

// printable replaces control characters, which a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, s)
}

func when(name string, value json.RawMessage) string {
	switch name {
	case "exp", "nbf", "iat", "expire_at":
	default:
		return ""
	}
	var seconds float64
	if json.Unmarshal(value, &seconds) != nil || seconds <= 0 || seconds > 253402300799 {
		return ""
	}
	at := time.Unix(int64(seconds), 0)
	distance := time.Until(at).Round(time.Second)
	if distance < 0 {
		return fmt.Sprintf(" (%s, %s ago)", at.UTC().Format(time.RFC3339), -distance)
	}
	return fmt.Sprintf(" (%s, in %s)", at.UTC().Format(time.RFC3339), distance)
}
