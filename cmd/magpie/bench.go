package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"magpie/internal/bench"
)

func (c *command) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a server and measure what comes back",
		Long: "Open connections, publish at a steady rate, and measure every delivery: latency, and what was lost, repeated or\n" +
			"reordered. Latency counts from the moment at which a message was due, so a client that cannot keep up shows as\n" +
			"latency. Exit code 1 when something was lost, repeated, reordered or refused, or a connection ended.",
		Example: "  magpie bench                                    # 100 connections, 10 messages a second, 10 s\n" +
			"  magpie bench --connections 5000 --channels 50 --rate 500 --door centrifuge\n" +
			"  magpie bench --duration 30s --pid $(pgrep -x magpie) --json > result.json",
		Args: noArgs,
	}
	open := c.clientFlags(cmd)
	flags := cmd.Flags()
	var p bench.Plan
	flags.IntVarP(&p.Connections, "connections", "n", 100, "connections, one subscription each")
	flags.IntVar(&p.Channels, "channels", 1, "channels that the connections are spread over")
	flags.IntVar(&p.Publishers, "publishers", 1, "connections of each channel that publish")
	flags.Float64Var(&p.Rate, "rate", 10, "messages a second, all publishers together; 0: only hold the connections")
	flags.IntVar(&p.Size, "size", 128, "bytes of a payload")
	flags.DurationVar(&p.Duration, "duration", 10*time.Second, "how long to publish")
	flags.DurationVar(&p.Quiet, "settle", time.Second, "quiet time before the first message")
	flags.IntVar(&p.Dialing, "dialing", 100, "connections that are being opened at a time")
	flags.StringVar(&p.Name, "channel", "", "`NAME` of the channels, followed by - and a number (default: a new one)")
	flags.IntVar(&p.PID, "pid", 0, "process of the server on this machine, to tell its CPU time and memory (Linux)")
	flags.StringVar(&p.Target.Door, "door", "raw", "door to come in by: "+strings.Join(bench.Doors, ", "))
	flags.BoolVar(&p.Target.Recoverable, "recoverable", false, "ask for subscriptions that can be resumed (door centrifuge)")
	asJSON := flags.Bool("json", false, "print the result as JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		cl, err := open()
		if err != nil {
			return err
		}
		p.Target.URL, p.Target.APIKey, p.Target.Token = cl.base.String(), cl.key, cl.token
		if err := checkBench(&p); err != nil {
			return err
		}
		ctx, stop := untilSignal()
		defer stop()
		r := benchRun{plan: p, client: cl, json: *asJSON, out: c.out, err: c.err, live: isTerminal(c.err)}
		return r.run(ctx)
	}
	return cmd
}

// checkBench refuses what cannot be meant before anything is opened. A rate
// of nothing has no use for a duration; with one it holds the connections.
func checkBench(p *bench.Plan) error {
	if math.IsNaN(p.Rate) || math.IsInf(p.Rate, 0) {
		return usagef("the rate is a number of messages a second")
	}
	if p.Rate == 0 {
		p.Quiet, p.Duration = p.Quiet+p.Duration, 0
	}
	if err := p.Check(); err != nil {
		return usagef("%s", err)
	}
	return nil
}

// benchRun is one run and what it prints.
type benchRun struct {
	plan     bench.Plan
	client   *client
	json     bool
	live     bool // err is a terminal: one line that is written over
	out, err io.Writer

	told time.Time
	last bench.Progress
}

func (b *benchRun) run(ctx context.Context) error {
	p := b.plan
	fmt.Fprintf(b.err, "%d connections in %d channels by the %s door of %s, %g messages/s of %d bytes\n",
		p.Connections, p.Channels, p.Target.Door, p.Target.URL, p.Rate, p.Size)
	result, err := bench.Run(ctx, p, b.progress)
	if b.live {
		io.WriteString(b.err, "\r\x1b[K")
	}
	interrupted := errors.Is(err, context.Canceled) && result.Joined > 0
	if err != nil && !interrupted {
		return reachable(b.client, err)
	}
	if b.json {
		encoder := json.NewEncoder(b.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(result)
	} else {
		err = pages.ExecuteTemplate(b.out, "bench.tmpl", result)
	}
	if err != nil {
		return err
	}
	if result.Lost+result.Repeated+result.Reordered+result.Refused+result.Disconnected > 0 {
		return exit{code: exitFailed} // the result says why
	}
	return nil
}

// progress writes one line twice a second on a terminal, and every five
// seconds into a file.
func (b *benchRun) progress(p bench.Progress) {
	if !b.live && time.Since(b.told) < 5*time.Second {
		return
	}
	b.told = time.Now()
	line := benchLine(p, b.last, b.plan)
	b.last = p
	if b.live {
		fmt.Fprintf(b.err, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(b.err, line)
	}
}

// benchLine is a run at one moment; rates are those since the last line.
func benchLine(now, last bench.Progress, plan bench.Plan) string {
	line := fmt.Sprintf("%5.1fs %-10s %d/%d connected", now.Elapsed.Seconds(), now.Phase, now.Joined, plan.Connections)
	if now.Disconnected > 0 {
		line += fmt.Sprintf(", %d gone", now.Disconnected)
	}
	since := (now.Elapsed - last.Elapsed).Seconds()
	if now.Sent > 0 && since > 0 {
		line += fmt.Sprintf(" | sent %d, received %d (%.0f/s) | p50 %s p99 %s", now.Sent, now.Received, float64(now.Received-last.Received)/since, short(now.P50), short(now.P99))
	}
	if plan.PID != 0 && last.Elapsed > 0 && since > 0 {
		line += fmt.Sprintf(" | server %.0f%% CPU, %.1f MB", 100*(now.Usage.CPU-last.Usage.CPU).Seconds()/since, float64(now.Usage.RSS)/(1<<20))
	}
	return line
}

// short writes a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
