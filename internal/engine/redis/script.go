package redis

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"

	"github.com/redis/rueidis"
)

//go:embed lua/*.lua
var luaFiles embed.FS

func lua(name string) string {
	b, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // the file is compiled in; its name is a constant here
	}
	return string(b)
}

// What scripts call the commands that a cluster has of its own.
const (
	luaSingle  = "local PUBLISH, NUMSUB = 'PUBLISH', 'NUMSUB'\n"
	luaCluster = "local PUBLISH, NUMSUB = 'SPUBLISH', 'SHARDNUMSUB'\n"
)

// script is one Lua program, called by its digest and sent in full only to a
// Redis that does not know it.
type script struct {
	text, sha string
	cluster   *script // the same for a cluster
}

func newScript(text string) *script {
	s := newProgram(luaSingle + text)
	s.cluster = newProgram(luaCluster + text)
	return s
}

func newProgram(text string) *script {
	sum := sha1.Sum([]byte(text)) // what EVALSHA wants; no secret hangs on it
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

// withCore puts the shared part in front.
func withCore(name string) *script { return newScript(lua("core") + "\n" + lua(name)) }

var (
	publishScript     = withCore("publish")
	plainScript       = withCore("plain")
	readScript        = withCore("read")
	positionsScript   = withCore("positions")
	removeScript      = withCore("remove")
	probeScript       = withCore("probe")
	ingestScript      = withCore("ingest")
	signalScript      = newScript(lua("signal"))
	takeScript        = newScript(lua("take"))
	releaseScript     = newScript(lua("release"))
	streamLeaseScript = newScript(lua("stream_lease"))
	freeLeaseScript   = newScript(lua("free_lease"))
)

// script is s as this engine's Redis wants it.
func (e *Engine) script(s *script) *script {
	if e.cluster != nil {
		return s.cluster
	}
	return s
}

func (s *script) call(b rueidis.Builder, keys []string, args ...string) rueidis.Completed {
	return b.Evalsha().Sha1(s.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}

// eval runs the script. A Redis that lost it gets it again: EVALSHA without
// the script has done nothing, so the second call is the only one that acts.
func (s *script) eval(ctx context.Context, c rueidis.Client, keys []string, args ...string) rueidis.RedisResult {
	res := c.Do(ctx, s.call(c.B(), keys, args...))
	if !isNoScript(res.Error()) {
		return res
	}
	return c.Do(ctx, c.B().Eval().Script(s.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
}

// load makes scripts known to all masters that answer, for pipelines: there a
// NOSCRIPT in the middle would let later calls overtake. It fails when none
// takes them.
func (e *Engine) load(ctx context.Context, all ...*script) (err error) {
	loaded := false
	for _, m := range e.masters() {
		if err = m.silence(); err == nil {
			err = m.load(ctx, all)
		}
		loaded = loaded || err == nil
	}
	if loaded {
		return nil
	}
	return err
}

func (m *master) load(ctx context.Context, all []*script) error {
	for _, s := range all {
		if err := m.client.Do(ctx, m.client.B().ScriptLoad().Script(m.e.script(s).text).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

func isNoScript(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && e.IsNoScript()
}
