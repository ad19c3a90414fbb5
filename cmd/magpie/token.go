package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/app"
	"magpie/internal/auth"
	"magpie/internal/config"
)

// tokenSettings are those that matter to tokens.
const tokenSettings = "token-secret,token-public-keys,token-jwks,token-audience,token-issuer"

// lifetime is a flag that takes durations as settings do.
type lifetime struct{ time.Duration }

func (l *lifetime) Type() string { return "duration" }

func (l *lifetime) Set(s string) (err error) {
	l.Duration, err = config.ParseDuration(s)
	return err
}

func (l *lifetime) String() string { return config.FormatDuration(l.Duration) }

// longestTTL keeps a typing error from making a token that never expires.
const longestTTL = 366 * 24 * time.Hour

func (c *command) tokenCommand() *cobra.Command {
	return group("token", "Make a token, or say why one fails", "say what to do: magpie token new --user NAME, or magpie token check TOKEN",
		c.tokenNew(), c.tokenCheck())
}

func (c *command) tokenNew() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new", Args: noArgs,
		Short: "Print a token signed with the newest token_secret (HS256)",
		Long: "Print a token signed with the newest token_secret (HS256), with the token_audience and token_issuer that the settings ask for.\n" +
			"With --channel it is a subscription token for that channel, else a connection token. It is for trying things out and for\n" +
			"scripts; an application makes its users' tokens itself, with any JWT library.",
		Example: "  magpie token new --user 42 --token-secret \"$SECRET\"\n" +
			"  magpie token new --user 42 --channel '$team' --ttl 10m",
	}
	var d auth.Draft
	var info string
	ttl := lifetime{time.Hour}
	flags := cmd.Flags()
	flags.StringVar(&d.User, "user", "", "`name` of the user (sub); without it the token is a guest's")
	flags.StringVar(&d.Channel, "channel", "", "make a subscription token for this `channel`")
	flags.Var(&ttl, "ttl", "how long the token is good, such as 10m or 1d")
	flags.StringVar(&info, "info", "", "`JSON` that others see of the user, such as '{\"name\":\"Ann\"}'")
	flags.StringSliceVar(&d.Channels, "channels", nil, "`channels` that the session is subscribed to by its token")
	return c.withSettings(cmd, tokenSettings, func(cfg *config.Config, _ []string) error {
		if ttl.Duration < time.Second || ttl.Duration > longestTTL {
			return usagef("a token is good for 1s to %s; %s is outside", config.FormatDuration(longestTTL), &ttl)
		}
		d.Expires = time.Now().Add(ttl.Duration)
		if info != "" {
			d.Info = []byte(info)
		}
		return c.printToken(cfg, d)
	})
}

func (c *command) printToken(cfg *config.Config, d auth.Draft) error {
	a, err := app.NewAuthorizer(cfg, nil, nil)
	if err != nil {
		return err
	}
	token, err := a.Sign(d)
	if errors.Is(err, auth.ErrNoSecret) {
		return usagef("%s; give the server's with --token-secret (MAGPIE_TOKEN_SECRET), or make one with: openssl rand -hex 32", err)
	}
	if err != nil {
		return usagef("%s", err)
	}
	_, err = fmt.Fprintln(c.out, token)
	return err
}
