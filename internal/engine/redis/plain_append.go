package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/message"
)

// What one round asks Redis for. The order of the commands is the order of the
// queues, and one connection keeps it.
type plainOp struct {
	kind  plainOpKind
	hold  *hold
	entry *heldPlain // opAppend
	token string     // opAppend, opTake
	seq   uint64     // opAppend
}

type plainOpKind int

const (
	opAppend plainOpKind = iota
	opTake
	opRelease
)

// run appends until ctx ends. One round is in flight at a time: at the start
// of a round nothing is on its way.
func (p *plainAppender) run(ctx context.Context) {
	timer := time.NewTimer(idleHold)
	defer timer.Stop()
	swept := time.Now()
	for {
		ops, over, wait := p.plan(time.Now())
		for _, ch := range over {
			for _, m := range p.e.masters() {
				m.subscriber.released(ch)
			}
		}
		if len(ops) > 0 {
			p.perform(ctx, ops)
			wait = 0
		}
		if time.Since(swept) > idleHold/4 {
			p.sweep()
			swept = time.Now()
		}
		if wait == 0 && ctx.Err() == nil {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
		case <-timer.C:
		}
	}
}

// plan collects a round. over are channels that ended; wait is how long
// nothing will be due if nobody kicks.
func (p *plainAppender) plan(now time.Time) (ops []plainOp, over []string, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait = idleHold / 4
	for h := range p.active {
		if len(ops) >= appendRound {
			return ops, over, 0
		}
		if p.e.cluster != nil && !h.leaving && p.e.silence(h.channel) != nil {
			wait = min(wait, plainPatience)
			continue // it must not hold up what lies on other masters
		}
		due := p.planLocked(h, now, &ops, &over)
		wait = min(wait, due)
	}
	return ops, over, wait
}

// planLocked plans one hold and returns when to look at it again.
func (p *plainAppender) planLocked(h *hold, now time.Time, ops *[]plainOp, over *[]string) time.Duration {
	const idle = idleHold
	if h.leaving && len(h.queue) > 0 && now.Sub(h.used) > leavePatience {
		p.popLocked(h, len(h.queue)) // no node took it: docs/redis.md
	}
	if h.role == fencing {
		if left := fencePatience - now.Sub(h.since); left > 0 {
			return left
		}
		h.role = follower
	}
	if h.release && h.last == nil && (len(h.queue) == 0 || h.role == holder && !h.leaving) {
		h.release = false
		if h.token != "" {
			*ops = append(*ops, plainOp{kind: opRelease, hold: h})
			return idle
		}
	}
	if len(h.queue) == 0 {
		delete(p.active, h)
		if h.leaving {
			p.endLocked(h)
			*over = append(*over, h.channel)
		}
		return idle
	}
	if h.role == holder {
		p.appendLocked(h, ops)
		return idle
	}
	if left := h.takeDue(now); left > 0 {
		return left
	}
	h.role, h.token, h.fence, h.tried, h.since = taking, p.newToken(), false, now, now
	*ops = append(*ops, plainOp{kind: opTake, hold: h, token: h.token})
	return idle
}

// takeDue returns how long to wait before asking for the lease.
func (h *hold) takeDue(now time.Time) time.Duration {
	left := plainPatience - now.Sub(h.tried)
	if h.other {
		left = max(left, plainPatience-now.Sub(h.queue[0].at))
	}
	return left
}

func (p *plainAppender) appendLocked(h *hold, ops *[]plainOp) {
	h.sent = h.token
	for i, entry := range h.queue {
		if i >= appendEach {
			return
		}
		h.seq++
		entry.seq = h.seq
		*ops = append(*ops, plainOp{kind: opAppend, hold: h, entry: entry, token: h.token, seq: entry.seq})
		if entry == h.last {
			return
		}
	}
}

// newToken names a tenure uniquely among all nodes: the node's random part
// and a counter.
func (p *plainAppender) newToken() string {
	p.tenures++
	return p.e.node[len(p.e.node)-8:] + "." + strconv.FormatUint(p.tenures, 36)
}

func (p *plainAppender) endLocked(h *hold) {
	if p.holds[h.channel] == h {
		delete(p.holds, h.channel)
	}
	delete(p.active, h)
	close(p.ended)
	p.ended = make(chan struct{})
}

// sweep forgets channels that have been quiet for long.
func (p *plainAppender) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.holds {
		if len(h.queue) == 0 && h.role != taking && h.role != fencing && !h.release && time.Since(h.used) > idleHold {
			p.endLocked(h)
		}
	}
}

// perform sends a round and applies the answers.
func (p *plainAppender) perform(ctx context.Context, ops []plainOp) {
	var replies []rueidis.RedisResult
	err := p.e.doAny(ctx, "", func(ctx context.Context) error {
		replies = p.e.client.DoMulti(ctx, p.commands(ops)...)
		return nil
	})
	if err == nil {
		err = p.loadLost(ctx, replies)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, op := range ops {
		if replies == nil {
			p.applyLocked(op, rueidis.RedisMessage{}, fmt.Errorf("not sent: %w", err))
			continue
		}
		m, err := replies[i].ToMessage()
		p.applyLocked(op, m, err)
	}
}

// loadLost makes the scripts known again to a Redis that forgot them.
func (p *plainAppender) loadLost(ctx context.Context, replies []rueidis.RedisResult) error {
	for i := range replies {
		if !isNoScript(replies[i].Error()) {
			continue
		}
		return p.e.doAny(ctx, "", func(ctx context.Context) error {
			return p.e.load(ctx, plainScript, takeScript, releaseScript)
		})
	}
	return nil
}

func (p *plainAppender) commands(ops []plainOp) rueidis.Commands {
	e, b := p.e, p.e.client.B()
	cmds := make(rueidis.Commands, 0, len(ops))
	for _, op := range ops {
		ch := op.hold.channel
		switch op.kind {
		case opAppend:
			log := e.cfg.Rules.For(ch).Log
			cmds = append(cmds, e.script(plainScript).call(b, []string{e.keys.log(ch), e.keys.meta(ch), e.keys.lease(ch)},
				e.keys.live(ch), e.node, strconv.Itoa(log.Size), millis(log.Age), op.entry.payload,
				e.node, op.token, strconv.FormatUint(op.seq, 10), millis(plainLease)))
		case opTake:
			cmds = append(cmds, e.script(takeScript).call(b, []string{e.keys.lease(ch), e.keys.meta(ch)},
				e.keys.live(ch), e.node, op.token, millis(plainLease)))
		case opRelease:
			cmds = append(cmds, e.script(releaseScript).call(b, []string{e.keys.lease(ch)}, e.keys.live(ch), e.node))
		}
	}
	return cmds
}

func (p *plainAppender) applyLocked(op plainOp, m rueidis.RedisMessage, err error) {
	switch op.kind {
	case opAppend:
		p.appendedLocked(op, m, err)
	case opTake:
		p.takenLocked(op, m, err)
	case opRelease:
		// Without an answer the lease ends by itself.
		if op.hold.role == holder {
			p.demoteLocked(op.hold)
		}
		op.hold.tried = time.Now() // others first: they may have received more
		p.activeLocked(op.hold)
	}
}

// appendedLocked applies the answer to one append. What is unclear ends the
// tenure: the next one learns from the log's meta what was done.
func (p *plainAppender) appendedLocked(op plainOp, m rueidis.RedisMessage, err error) {
	h := op.hold
	if h.role != holder || h.token != op.token {
		// Ended by an answer or a fence before. What is in is in all the same.
		if err == nil {
			h.removeDone(p, op, m)
		}
		return
	}
	if err != nil {
		p.demoteLocked(h)
		h.tried = time.Now()
		if isNoScript(err) {
			h.tried = time.Time{}
		} else if p.e.lostPlain.allow() {
			p.e.cfg.Log.Warn("cannot append plain PUBLISHes now; they wait", "channel", h.channel, "error", err)
		}
		return
	}
	if !h.removeDone(p, op, m) {
		p.demoteLocked(h)
		h.tried = time.Time{}
	}
}

// removeDone drops an entry that is in the log. It returns false when Redis
// refused to append it.
func (h *hold) removeDone(p *plainAppender, op plainOp, m rueidis.RedisMessage) bool {
	list, err := m.ToArray()
	if err != nil || len(list) == 0 {
		return false
	}
	code, err := list[0].AsInt64()
	if err != nil || code != 1 && code != 2 {
		return false
	}
	if code == 1 && len(list) == 3 {
		offset, err1 := list[1].AsInt64()
		epoch, err2 := list[2].ToString()
		if err1 == nil && err2 == nil {
			h.own = message.Position{Epoch: epoch, Offset: uint64(offset)}
		}
	}
	for i, entry := range h.queue {
		if entry == op.entry {
			p.removeLocked(h, i)
			break
		}
	}
	return true
}

func (p *plainAppender) removeLocked(h *hold, i int) {
	if i == 0 {
		p.popLocked(h, 1)
		return
	}
	p.bytes -= len(h.queue[i].payload)
	if h.queue[i] == h.last {
		h.last = nil
	}
	h.queue = append(h.queue[:i:i], h.queue[i+1:]...)
}

// takenLocked applies the answer to a request for the lease.
func (p *plainAppender) takenLocked(op plainOp, m rueidis.RedisMessage, err error) {
	h := op.hold
	if h.role != taking || h.token != op.token {
		return // the subscriber connection was cut meanwhile
	}
	h.role, h.since = follower, time.Now()
	list, _ := m.ToArray()
	if err != nil || len(list) != 2 {
		if isNoScript(err) {
			h.tried = time.Time{}
		}
		return
	}
	if granted, _ := list[0].AsInt64(); granted != 1 {
		h.other = true
		return
	}
	h.other = false
	text, _ := list[1].ToString()
	token, count, _ := strings.Cut(text, " ")
	if token != "" && token == h.sent {
		// Nobody appended since this node did: the count says how far it got.
		done, _ := strconv.ParseUint(count, 10, 64)
		p.resolveLocked(h, done)
		h.promoteLocked()
		return
	}
	if h.fence {
		h.promoteLocked()
		return
	}
	h.role = fencing
}

// resolveLocked drops what was appended in the last tenure, up to count.
func (p *plainAppender) resolveLocked(h *hold, count uint64) {
	for len(h.queue) > 0 && h.queue[0].seq > 0 && h.queue[0].seq <= count {
		p.popLocked(h, 1)
	}
}
