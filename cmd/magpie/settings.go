package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"magpie/internal/config"
	"magpie/internal/engine/redis"
	"magpie/internal/spelling"
)

// withSettings gives cmd a flag for each setting and returns what loads them.
// Unknown flags are left to Load, which reports them with everything else.
// Its --help lists the settings named only, or all of them when it is "all".
func (c *command) withSettings(cmd *cobra.Command, listed string) func() (*config.Config, error) {
	if listed != "all" {
		cmd.Annotations = map[string]string{helpSettings: listed}
	}
	cmd.Flags().SortFlags = false
	cmd.FParseErrWhitelist.UnknownFlags = true
	flags := config.Bind(cmd.Flags())
	flags.CheckRedis = redis.CheckURL
	return func() (*config.Config, error) {
		flags.Scan(c.args)
		return config.Load(flags, c.environ)
	}
}

func (c *command) configCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "config", Short: "Check, show or document the settings",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to do with the settings: magpie config check, show or doc")
			}
			near := spelling.Nearest(args[0], []string{"check", "show", "doc"})
			if near == "" {
				near = "check"
			}
			return usagef("there is no command %q; did you mean magpie config %s?", args[0], near)
		},
	}
	group.AddCommand(c.configCheck(), c.configShow(), &cobra.Command{
		Use: "doc", Short: "Print the reference page of all settings (Markdown)", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return config.Reference(c.out) },
	})
	return group
}

func (c *command) configCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Args: noArgs,
		Short: "Check the settings without starting; exit code 2 when something is wrong",
	}
	load := c.withSettings(cmd, "")
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		for _, w := range cfg.Warnings() {
			fmt.Fprintf(c.err, "warning: %s\n", w)
		}
		verdict := "the settings are fine"
		if len(cfg.Warnings()) > 0 {
			verdict = "the settings can be used, but see the warnings"
		}
		_, err = fmt.Fprintln(c.out, verdict)
		return err
	}
	return cmd
}

func (c *command) configShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Args: noArgs,
		Short: "Print the settings that hold and where each came from, without secrets",
	}
	load := c.withSettings(cmd, "")
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return cfg.Show(c.out)
	}
	return cmd
}
