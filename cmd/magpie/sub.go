package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"magpie/internal/channel"
	"magpie/internal/message"
)

func (c *command) subCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sub CHANNEL...", Aliases: []string{"subscribe"},
		Short: "Print the messages of channels, one line of JSON each",
		Long:  "Print the messages of channels until SIGINT. After a lost connection it comes back and first prints what it missed;\nwhen that cannot be had it says so on standard error.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to listen to: magpie sub CHANNEL...")
			}
			for _, name := range args {
				if err := channel.Check(name); err != nil {
					return usagef("%q: %s", name, err)
				}
			}
			return nil
		},
	}
	open := c.clientFlags(cmd)
	since := cmd.Flags().String("since", "", "start after this `EPOCH.OFFSET` (one channel only)")
	plain := cmd.Flags().Bool("plain", false, "print payloads alone")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cl, err := open()
		if err != nil {
			return err
		}
		start, err := parseSince(*since, len(args))
		if err != nil {
			return err
		}
		ctx, stop := untilSignal()
		defer stop()
		l := listener{client: cl, plain: *plain, out: c.out, err: c.err}
		return l.listen(ctx, args, start)
	}
	return cmd
}

func parseSince(since string, channels int) (*message.Position, error) {
	if since == "" {
		return nil, nil
	}
	if channels > 1 {
		return nil, usagef("--since is the position in one channel; name only that one")
	}
	p, err := message.ParsePosition(since)
	if err != nil {
		return nil, usagef("--since: %s", err)
	}
	return &p, nil
}

// listener prints what comes in on any number of channels. Each has a
// connection of its own, because ?since= is the position in one channel.
type listener struct {
	client *client
	plain  bool

	mu  sync.Mutex // one line at a time
	out io.Writer
	err io.Writer
}

// listen blocks until ctx ends, which is no error, or until the server refuses
// a channel. It waits for what it started.
func (l *listener) listen(ctx context.Context, channels []string, start *message.Position) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, name := range channels {
		all.Go(func() {
			s := stream{listener: l, channel: name, since: start}
			if err := s.run(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	all.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (l *listener) print(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.out.Write(append(line, '\n'))
	return err
}

func (l *listener) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.err, "magpie: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
}
