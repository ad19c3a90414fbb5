package plain

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/script"
	"magpie/internal/message"
)

const (
	// batchSize commands go out in one round trip, batchEach of one channel at most.
	batchSize = 1024
	batchEach = 256
)

// op is one thing that a batch asks Redis for. The order of the commands is the
// order of the queues, and one connection keeps it.
type op struct {
	kind   opKind
	queue  *queue
	entry  *entry        // opAppend
	token  string        // opAppend, opTake
	seq    uint64        // opAppend
	words  string        // opTake: what is said of this node
	age    time.Duration // opTake: of the oldest entry
	missed bool          // opRelease: something may have been missed
}

type opKind int

const (
	opAppend opKind = iota
	opTake
	opRelease
)

// batch is what is to be done next.
type batch struct {
	ops     []op
	replays []*queue
	ended   []string      // channels that have nothing to wait for any more
	lost    int           // entries discarded since the last batch
	wait    time.Duration // how long nothing will be due if nobody kicks
}

// plan collects a batch.
func (a *Appender) plan(now time.Time) (b batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b.wait, b.lost, a.uncertain = idleTime/4, a.uncertain, 0
	for q := range a.active {
		if len(b.ops) >= batchSize {
			b.wait = 0
			return b
		}
		if !q.leaving && a.Redis.Silence(q.channel) != nil {
			b.wait = min(b.wait, leasePatience)
			continue // it must not hold up what lies on other masters
		}
		if q.unsure && q.role != holder && len(q.entries) > 0 {
			left := q.replayDue(now)
			if b.wait = min(b.wait, max(left, 0)); left <= 0 {
				b.replays = append(b.replays, q)
				continue
			}
		}
		var due time.Duration
		if b.ops, due = a.planLocked(q, now, b.ops); due == 0 {
			b.ended = append(b.ended, q.channel)
			continue
		}
		b.wait = min(b.wait, due)
	}
	return b
}

// planLocked plans one queue and returns when to look at it again; 0: it has
// ended.
func (a *Appender) planLocked(q *queue, now time.Time, ops []op) ([]op, time.Duration) {
	if q.leaving && len(q.entries) > 0 && now.Sub(q.used) > leavePatience {
		a.popLocked(q, len(q.entries)) // no node took it: docs/redis.md
	}
	if q.role == fencing {
		if left := fencePatience - now.Sub(q.since); left > 0 {
			return ops, left
		}
		q.role = follower
	}
	if q.release && q.last == nil && (len(q.entries) == 0 || !q.leaving) {
		q.release = false
		if q.token != "" {
			return append(ops, op{kind: opRelease, queue: q, missed: q.missed}), idleTime
		}
	}
	if len(q.entries) == 0 {
		delete(a.active, q)
		if q.leaving {
			a.endLocked(q)
			return ops, 0
		}
		return ops, idleTime
	}
	if q.role == holder {
		return a.appendLocked(q, ops), idleTime
	}
	if left := q.takeDue(now); left > 0 {
		return ops, left
	}
	return append(ops, a.takeLocked(q, now)), idleTime
}

func (a *Appender) appendLocked(q *queue, ops []op) []op {
	q.sent = q.token
	for i, e := range q.entries {
		if i >= batchEach {
			break
		}
		q.seq++
		e.seq = q.seq
		ops = append(ops, op{kind: opAppend, queue: q, entry: e, token: q.token, seq: e.seq})
		if e == q.last {
			break
		}
	}
	return ops
}

// perform sends a batch and applies the answers.
func (a *Appender) perform(ctx context.Context, ops []op) {
	var replies []rueidis.RedisResult
	err := a.Redis.Finish(ctx, "", func(ctx context.Context) error {
		replies = a.Redis.Client().DoMulti(ctx, a.commands(ops)...)
		return nil
	})
	a.loadMissing(ctx, replies)
	a.tell(a.apply(ops, replies, err))
}

// apply applies the answers to a batch; without any, err says why. It returns
// one of the channels whose entries wait because Redis failed, and why.
func (a *Appender) apply(ops []op, replies []rueidis.RedisResult, err error) (channel string, failed error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, op := range ops {
		reply := script.Reply{}
		switch {
		case replies == nil:
			reply = script.Failed(err)
		case op.kind == opTake:
			reply = script.ReplyOf(replies[i], 2)
		case op.kind == opRelease:
			reply = script.Failed(replies[i].Error())
		default:
			reply = script.ReplyOf(replies[i], -1)
		}
		switch op.kind {
		case opAppend:
			done, err := a.appendedLocked(op, reply)
			if done || err != nil {
				a.failedLocked(op.queue, err != nil)
			}
			if err != nil {
				channel, failed = op.queue.channel, err
			}
		case opTake:
			a.takenLocked(op, reply)
			if err := reply.Err(); err != nil && !script.Missing(err) {
				a.failedLocked(op.queue, true)
				channel, failed = op.queue.channel, err
			}
		case opRelease:
			a.releasedLocked(op.queue, reply)
		}
	}
	return channel, failed
}

// failedLocked notes whether a queue's entries wait because Redis failed.
func (a *Appender) failedLocked(q *queue, failed bool) {
	switch {
	case failed && !q.failing:
		a.failing++
	case !failed && q.failing:
		a.failing--
	}
	q.failing = failed
}

// tell says in the log when entries begin to wait, and when none does any more.
func (a *Appender) tell(channel string, err error) {
	a.mu.Lock()
	over := a.failing == 0
	a.mu.Unlock()
	switch {
	case err != nil && a.refused.Allow():
		a.Log.Warn("cannot append plain PUBLISHes now; they wait", "channel", channel, "times", a.refused.Times(), "error", err)
	case over:
		if text := a.refused.End(); text != "" {
			a.Log.Info("cannot append plain PUBLISHes: " + text)
		}
	}
}

// loadMissing makes the scripts known again to a Redis that forgot them.
func (a *Appender) loadMissing(ctx context.Context, replies []rueidis.RedisResult) {
	for i := range replies {
		if script.Missing(replies[i].Error()) {
			// When that fails, too, the next batch says so.
			_ = a.Redis.Finish(ctx, "", func(ctx context.Context) error {
				return a.Scripts.Load(ctx, a.Scripts.Plain, a.Scripts.PlainTake, a.Scripts.PlainRelease)
			})
			return
		}
	}
}

func (a *Appender) commands(ops []op) rueidis.Commands {
	b := a.Redis.Client().B
	cmds := make(rueidis.Commands, len(ops))
	for i, op := range ops {
		ch := op.queue.channel
		of := a.Names.Of(ch)
		switch op.kind {
		case opAppend:
			size, age, bytes := a.Limits(ch)
			cmds[i] = a.Scripts.Plain.Call(b(), []string{of.Log(), of.Meta(), of.Lease()},
				of.Live(), a.Node, size, age, bytes, op.entry.payload,
				a.Node, op.token, strconv.FormatUint(op.seq, 10), script.Millis(leaseTime))
		case opTake:
			cmds[i] = a.Scripts.PlainTake.Call(b(), []string{of.Lease(), of.Meta()}, of.Live(), a.Node, op.token, script.Millis(leaseTime), op.words, script.Millis(op.age))
		case opRelease:
			cmds[i] = a.Scripts.PlainRelease.Call(b(), []string{of.Lease(), of.Meta()}, of.Live(), a.Node, digit(op.missed))
		}
	}
	return cmds
}

// digit is a truth as the scripts take it.
func digit(is bool) string {
	if is {
		return "1"
	}
	return "0"
}

// What the script plain.lua answers first.
const (
	appendDone   = 1 // then offset and epoch
	appendBefore = 2 // it was done before
)

// appendedLocked applies the answer to one append. What is unclear ends the
// tenure: the next one learns from the log's meta what was done. An error is one
// that keeps the entries waiting.
func (a *Appender) appendedLocked(op op, r script.Reply) (done bool, _ error) {
	q := op.queue
	code := r.Number()
	err := r.Err()
	done = err == nil && (code == appendDone || code == appendBefore)
	if done {
		if code == appendDone {
			q.own = message.Position{Offset: r.Number(), Epoch: r.Text()}
			q.seenLocked(q.own)
		}
		a.removeLocked(q, op.entry)
	}
	if done || q.role != holder || q.token != op.token {
		return done, nil // in the last case an answer or a fence before has ended the tenure
	}
	a.demoteLocked(q)
	q.tried = time.Time{}
	if err != nil && !script.Missing(err) {
		q.tried = time.Now()
		return false, err
	}
	return false, nil
}
