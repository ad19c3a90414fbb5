// Command magpie carries what is published in Redis to every screen.
//
// Exit codes: 0 done, 1 it could not be done, 2 the command line or a setting
// is wrong; 130 and 143 after a second SIGINT or SIGTERM.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"magpie/internal/build"
	"magpie/internal/config"
	"magpie/internal/logqueue"
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
	queues  []*logqueue.Queue // in front of out and err, while a server runs
}

// exit is an error with an exit code of its own. Without a text nothing is
// printed.
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
	defer c.flush()
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
	root.RunE, root.FParseErrWhitelist = serve.RunE, serve.FParseErrWhitelist
	root.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(root, args[0], "")
		}
		return nil
	}
	serve.Flags().VisitAll(func(f *pflag.Flag) { root.Flags().AddFlag(f) })
	root.SetVersionTemplate(build.Line() + "\n")
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(usage)
	root.Annotations = map[string]string{helpSettings: "addr,redis,token-secret,api-key,rules"}
	root.Flags().SortFlags = false
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serve, c.pubCommand(), c.subCommand(), c.revokeCommand(), c.tokenCommand(), c.configCommand(), c.doctorCommand(), c.benchCommand(), c.versionCommand())
	return root
}

// unknownCommand refuses a word that is no command below cmd, and names the one
// that was meant; fallback, where it is not empty, when none is near.
func unknownCommand(cmd *cobra.Command, word, fallback string) error {
	var known []string
	for _, sub := range cmd.Commands() {
		known = append(append(known, sub.Name()), sub.Aliases...)
	}
	if near := cmp.Or(spelling.Nearest(word, known), fallback); near != "" {
		return usagef("there is no command %q; did you mean %s %s?", word, cmd.CommandPath(), near)
	}
	return usagef("there is no command %q; see %s --help", word, cmd.CommandPath())
}

// group makes a command that does nothing but have others below it.
func group(name, short, missing string, below ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: name, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s", missing)
			}
			return unknownCommand(cmd, args[0], below[0].Name())
		},
	}
	g.AddCommand(below...)
	return g
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

// input returns the argument, or standard input (most bytes of it) when there
// is none or a dash. Where a person would have to guess that they are to type,
// it says what is missing instead.
func (c *command) input(args []string, most int64, missing string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	if len(args) == 0 && isTerminal(c.in) {
		return nil, usagef("%s", missing)
	}
	text, err := io.ReadAll(io.LimitReader(c.in, most))
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	return text, nil
}

// isTerminal counts every character device as a terminal, /dev/null too, where
// the form of the output does not matter.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
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
