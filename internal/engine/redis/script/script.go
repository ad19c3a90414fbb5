// Package script has the programs that run inside Redis, lua/, and calls them.
//
// A script is called by its digest and sent in full only to a Redis that does
// not know it. The Redis Function, which users call with FCALL, is made of the
// same pieces (function.go).
//
// It starts no goroutine.
package script

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine/redis/topology"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// lua joins files of lua/ into one program.
func lua(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		text, err := luaFiles.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // the file is compiled in; its name is a constant here
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.String()
}

// header is what scripts call the commands that differ with the topology.
func header(sharded bool) string {
	if sharded {
		return "local PUBLISH, NUMSUB = 'SPUBLISH', 'SHARDNUMSUB'\n"
	}
	return "local PUBLISH, NUMSUB = 'PUBLISH', 'NUMSUB'\n"
}

// guard makes a call without keys do nothing: where SCRIPT LOAD is missing it
// makes the program known.
const guard = "if #KEYS == 0 then return 0 end\n"

// The pieces that programs are made of, each on top of those before.
var (
	timeline   = []string{"base", "timeline"}
	reading    = slices.Concat(timeline, []string{"log"})
	appending  = slices.Concat(reading, []string{"bytes", "append"})
	publishing = slices.Concat(appending, []string{"idempotency"})
)

// Scripts are all programs, as one topology wants them. There are many because
// each is one thing that happens at once.
type Scripts struct {
	redis *topology.Redis

	Publish, Read, Positions, Remove              *Script // of logs
	Plain, PlainTake, PlainRelease                *Script // of plain PUBLISHes, and of a channel's lease
	Ingest, IngestJoin, IngestTake, IngestRelease *Script // of streams, and of a stream's lease
	Keep, News                                    *Script // of notes
	Probe, Signal, Listeners                      *Script
}

// Script is one program.
type Script struct{ text, sha string }

// New prepares the scripts. They are sent when they are called.
func New(r *topology.Redis) *Scripts {
	program := func(pieces []string, name string) *Script {
		text := guard + header(r.Sharded) + lua(slices.Concat(pieces, []string{name})...)
		sum := sha1.Sum([]byte(text)) // what EVALSHA wants; no secret hangs on it
		return &Script{text: text, sha: hex.EncodeToString(sum[:])}
	}
	return &Scripts{
		redis:   r,
		Publish: program(publishing, "publish"), Read: program(reading, "read"), Positions: program(reading, "positions"), Remove: program(timeline, "remove"),
		Plain: program(appending, "plain"), PlainTake: program([]string{"base"}, "plain_take"), PlainRelease: program(nil, "plain_release"),
		Ingest: program(publishing, "ingest"), IngestJoin: program(nil, "ingest_join"), IngestTake: program(nil, "ingest_take"), IngestRelease: program(nil, "ingest_release"),
		Probe: program(timeline, "probe"), Signal: program(nil, "signal"), Listeners: program(nil, "listeners"),
		Keep: program([]string{"base"}, "keep"), News: program([]string{"base"}, "news"),
	}
}

// Call is the command that runs the script. keys[0] says where.
func (s *Script) Call(b rueidis.Builder, keys []string, args ...string) rueidis.Completed {
	return b.Evalsha().Sha1(s.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}

// Digest names the script to Redis.
func (s *Script) Digest() string { return s.sha }

// Eval runs the script. A Redis that lost it gets it again: EVALSHA without
// the script has done nothing, so the second call is the only one that acts.
func (s *Script) Eval(ctx context.Context, c rueidis.Client, keys []string, args ...string) rueidis.RedisResult {
	res := c.Do(ctx, s.Call(c.B(), keys, args...))
	if !Missing(res.Error()) {
		return res
	}
	return c.Do(ctx, c.B().Eval().Script(s.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
}

// Eval runs a script under the gate and the bounds of topology.Redis.
func (s *Scripts) Eval(ctx context.Context, script *Script, keys []string, args ...string) (res rueidis.RedisResult, err error) {
	err = s.redis.Do(ctx, keys[0], func(ctx context.Context) error {
		res = script.Eval(ctx, s.redis.Client(), keys, args...)
		return res.Error()
	})
	return res, err
}

// Load makes scripts known to all masters that answer, for pipelines: there a
// NOSCRIPT in the middle would let later calls overtake. It fails when none
// takes them.
func (s *Scripts) Load(ctx context.Context, all ...*Script) (err error) {
	loaded := false
	for _, m := range s.redis.Topology.Masters() {
		if err = m.Silence(); err == nil {
			err = load(ctx, m.Client, all)
		}
		loaded = loaded || err == nil
	}
	if loaded {
		return nil
	}
	return err
}

func load(ctx context.Context, c rueidis.Client, all []*Script) error {
	for _, s := range all {
		err := c.Do(ctx, c.B().ScriptLoad().Script(s.text).Build()).Error()
		if topology.NoCommand(err) {
			err = c.Do(ctx, c.B().Eval().Script(s.text).Numkeys(0).Build()).Error()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Missing tells whether Redis does not know the script that was called.
func Missing(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && e.IsNoScript()
}

// Millis is a duration as scripts take it.
func Millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
