package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/names"
)

// Bounds of what keys asks a Redis for. A walk over all keys slows nobody
// down: each step is short.
const (
	keysFor   = 3 * time.Second
	keysStep  = 1000
	logsShown = 3
)

// keyCount is what keys has counted.
type keyCount struct {
	all, logs, presence, idempotency int
	largest                          []logSize // first; logsShown at most
	partly                           bool      // there was no time for all of them
}

type logSize struct {
	channel string
	bytes   int64 // 0: Redis does not say
}

// keys tells how many keys are ours, of which kinds, and which logs are the
// largest.
func (d *diagnosis) keys(ctx context.Context, own names.Names) {
	ctx, cancel := context.WithTimeout(ctx, keysFor)
	defer cancel()
	n, err := d.countKeys(ctx, own)
	if err != nil {
		d.addf(Notable, "which keys are Magpie's cannot be seen (%v)", err)
		return
	}
	text := fmt.Sprintf("%d keys of it are Magpie's: %d logs, %d of presence, %d idempotency keys, %d others", n.all, n.logs, n.presence, n.idempotency,
		n.all-n.logs-n.presence-n.idempotency)
	if n.partly {
		text = fmt.Sprintf("in %s not all keys could be looked at; at least ", keysFor) + text
	}
	for i, log := range n.largest {
		text += fmt.Sprintf("%s %s (%d KB)", []string{"; the largest logs:", ","}[min(i, 1)], log.channel, log.bytes>>10)
	}
	d.addf(Fine, "%s", text)
}

func (d *diagnosis) countKeys(ctx context.Context, own names.Names) (n keyCount, err error) {
	for cursor := uint64(0); ; {
		page, err := d.client.Do(ctx, d.client.B().Scan().Cursor(cursor).Match(own.Prefix+":*").Count(keysStep).Build()).AsScanEntry()
		if err == nil {
			err = d.countPage(ctx, own, page.Elements, &n)
		}
		switch {
		case ctx.Err() != nil:
			n.partly = true
			return n, nil
		case err != nil:
			return n, err
		case page.Cursor == 0:
			return n, nil
		}
		cursor = page.Cursor
	}
}

// countPage counts keys. A key that SCAN answers twice is counted twice.
func (d *diagnosis) countPage(ctx context.Context, own names.Names, keys []string, n *keyCount) error {
	var logs []logSize
	var ask rueidis.Commands
	for _, key := range keys {
		if !own.Own(key) {
			continue
		}
		n.all++
		channel, what, _ := strings.Cut(strings.TrimPrefix(key, own.Prefix+":{"), "}:")
		switch kind, _, _ := strings.Cut(what, ":"); kind {
		case "log":
			n.logs++
			logs = append(logs, logSize{channel: channel})
			ask = append(ask, d.client.B().MemoryUsage().Key(key).Build())
		case "presence":
			n.presence++
		case "idem", "idem-of":
			n.idempotency++
		}
	}
	for i, reply := range d.client.DoMulti(ctx, ask...) {
		logs[i].bytes, _ = reply.AsInt64() // a Redis that does not say: it has no sizes
	}
	logs = slices.DeleteFunc(logs, func(l logSize) bool { return l.bytes == 0 })
	n.largest = append(n.largest, logs...)
	slices.SortFunc(n.largest, func(a, b logSize) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.channel, b.channel))
	})
	n.largest = slices.Compact(n.largest)
	n.largest = n.largest[:min(len(n.largest), logsShown)]
	return ctx.Err()
}
