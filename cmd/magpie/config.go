package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"magpie/internal/config"
	"magpie/internal/engine/redis"
)

// allSettings in the place of a list of flags makes --help list them all.
const allSettings = "all"

// withSettings gives cmd a flag for each setting, and makes it run with the
// settings that hold. Unknown flags are left to config.Load, which reports them
// with everything else that is wrong. --help lists only the settings named in
// listed, which are flags with commas between them.
func (c *command) withSettings(cmd *cobra.Command, listed string, run func(cfg *config.Config, args []string) error) *cobra.Command {
	if listed != allSettings {
		cmd.Annotations = map[string]string{helpSettings: listed}
	}
	cmd.Flags().SortFlags = false
	cmd.FParseErrWhitelist.UnknownFlags = true
	flags := config.Bind(cmd.Flags())
	flags.CheckRedis = redis.CheckURL
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		flags.Scan(c.args)
		cfg, err := config.Load(flags, c.environ)
		if err != nil {
			return err
		}
		return run(cfg, args)
	}
	return cmd
}

func (c *command) configCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check", Args: noArgs,
		Short: "Check the settings without starting; exit code 2 when something is wrong",
	}
	show := &cobra.Command{
		Use: "show", Args: noArgs,
		Short: "Print the settings that hold and where each came from, without secrets",
	}
	doc := &cobra.Command{
		Use: "doc", Short: "Print the reference page of all settings (Markdown)", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return config.Reference(c.out) },
	}
	return group("config", "Check, show or document the settings", "say what to do with the settings: magpie config check, show or doc",
		c.withSettings(check, "", c.checkSettings),
		c.withSettings(show, "", func(cfg *config.Config, _ []string) error { return cfg.Show(c.out) }),
		doc)
}

func (c *command) checkSettings(cfg *config.Config, _ []string) error {
	verdict := "the settings are fine"
	for _, w := range cfg.Warnings() {
		fmt.Fprintf(c.err, "warning: %s\n", w)
		verdict = "the settings can be used, but see the warnings"
	}
	_, err := fmt.Fprintln(c.out, verdict)
	return err
}
