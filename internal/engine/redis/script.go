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

// script is one Lua program, called by its digest and sent in full only to a
// Redis that does not know it.
type script struct{ text, sha string }

func newScript(text string) *script {
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

// load makes the script known, for pipelines: there a NOSCRIPT in the middle
// would let later calls overtake.
func (s *script) load(ctx context.Context, c rueidis.Client) error {
	return c.Do(ctx, c.B().ScriptLoad().Script(s.text).Build()).Error()
}

func isNoScript(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && e.IsNoScript()
}
