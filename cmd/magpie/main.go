// Command magpie carries what is published in Redis to every screen.
//
// Exit codes: 0 done, 1 it could not be done, 2 the command line or a setting
// is wrong; 130 and 143 after a second SIGINT or SIGTERM.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"magpie/internal/build"
	"magpie/internal/config"
	"magpie/internal/spelling"
)

// The exit codes, as docs/configuration.md has them.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitSignals = 128 // and the number of the signal
)

func main() {
	c := command{args: os.Args[1:], environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(c.run())
}

// command is one call of the program with all that it may touch.
type command struct {
	args    []string
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// exit is an error that asks for its own exit code. Without a text nothing is
// printed: what there was to say has been said.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return exit{exitUsage, fmt.Sprintf(format, args...)}
}

func (c *command) run() int {
	root := c.root()
	root.SetArgs(c.args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	return c.report(root.Execute())
}

// report prints an error once and turns it into an exit code.
func (c *command) report(err error) int {
	if err == nil {
		return exitOK
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, p := range problems {
			fmt.Fprintln(c.err, p)
		}
		return exitUsage
	}
	code := exitFailed
	if e, ok := errors.AsType[exit](err); ok {
		code = e.code
	}
	if err.Error() != "" {
		fmt.Fprintln(c.err, "magpie: "+err.Error())
	}
	return code
}

func (c *command) root() *cobra.Command {
	serve := c.serveCommand()
	root := &cobra.Command{
		Use:           "magpie",
		Short:         "Carry what is published in Redis to every screen",
		Long:          "Magpie carries what is published in Redis to every screen, over WebSocket and SSE.\n\nWithout a command it serves, as \"magpie serve\" does.",
		Version:       build.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	// "magpie --addr :80" is "magpie serve --addr :80": same flags, same run.
	root.Args, root.RunE, root.FParseErrWhitelist = c.rootArgs(root), serve.RunE, serve.FParseErrWhitelist
	serve.Flags().VisitAll(func(f *pflag.Flag) { root.Flags().AddFlag(f) })
	root.SetVersionTemplate(build.Line() + "\n")
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(usage)
	root.Annotations = map[string]string{helpSettings: "addr,redis,token-secret,api-key,rules"}
	root.Flags().SortFlags = false
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serve, c.pubCommand(), c.subCommand(), c.tokenCommand(), c.configCommand(), c.doctorCommand(), c.benchCommand(), c.versionCommand())
	return root
}

// rootArgs refuses a word that is no command, and names the one that was meant.
func (c *command) rootArgs(root *cobra.Command) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var known []string
		for _, sub := range root.Commands() {
			known = append(append(known, sub.Name()), sub.Aliases...)
		}
		if near := spelling.Nearest(args[0], known); near != "" {
			return usagef("there is no command %q; did you mean magpie %s?", args[0], near)
		}
		return usagef("there is no command %q; see magpie --help", args[0])
	}
}

// flagError names the nearest flag of a command that has none of that name.
func flagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usagef("%s; see %s --help", err, cmd.CommandPath())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	name := strings.TrimLeft(unknown.GetSpecifiedName(), "-")
	if near := spelling.Nearest(name, known); near != "" {
		return usagef("there is no flag --%s; did you mean --%s?", name, near)
	}
	return usagef("there is no flag --%s; see %s --help", name, cmd.CommandPath())
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print which Magpie this is", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.out, build.Line())
			return err
		},
	}
}
