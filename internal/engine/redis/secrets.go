package redis

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/wire"
)

const (
	// putBackTime is how long a node that finds no secret waits for another
	// to put back the one that it has. A loss of data is noticed within a probe
	// or two, and within two seconds when Redis was away.
	putBackTime  = 2 * time.Second
	putBackPause = 100 * time.Millisecond
	// secretRetry is the pause after a failure.
	secretRetry = time.Second
)

// secrets are what the nodes share and Redis keeps. Each node has them, too, and
// puts them back when Redis has lost them: else the next node would make another
// one, and the nodes would go on with two.
type secrets struct {
	script.Env
	kick chan struct{}

	mu    sync.Mutex // guards known
	known map[string]secret
}

type secret struct {
	value   []byte
	changed func([]byte)
}

func newSecrets(e script.Env) *secrets {
	return &secrets{Env: e, kick: make(chan struct{}, 1), known: map[string]secret{}}
}

// Secret implements engine.Secrets: the first node to set the key wins.
func (s *secrets) Secret(ctx context.Context, name string, fresh []byte, changed func([]byte)) ([]byte, error) {
	kept, err := s.present(ctx, name)
	if err == nil && kept == nil {
		kept, err = s.set(ctx, name, fresh)
	}
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", name, err)
	}
	s.mu.Lock()
	s.known[name] = secret{kept, changed}
	s.mu.Unlock()
	return bytes.Clone(kept), nil
}

// present returns the secret that is there, or that another node puts back in
// time, or nil.
func (s *secrets) present(ctx context.Context, name string) (kept []byte, err error) {
	limit := time.NewTimer(putBackTime)
	defer limit.Stop()
	tick := time.NewTicker(putBackPause)
	defer tick.Stop()
	key := s.Names.Secret(name)
	for {
		err = s.Redis.Read(ctx, key, func(ctx context.Context) (err error) {
			kept, err = s.Redis.Client().Do(ctx, s.Redis.Client().B().Get().Key(key).Build()).AsBytes()
			return err
		})
		if err != nil || kept != nil || !s.others(ctx) {
			return kept, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit.C:
			return nil, nil
		case <-tick.C:
		}
	}
}

// others tells whether other nodes are there, as far as can be seen.
func (s *secrets) others(ctx context.Context) bool {
	reply, err := s.Scripts.Eval(ctx, s.Scripts.Listeners, []string{s.Names.Bus("")})
	if err != nil {
		return false
	}
	n, err := reply.AsInt64()
	return err == nil && n > 1
}

// set returns the secret that is in Redis from now on.
func (s *secrets) set(ctx context.Context, name string, value []byte) (kept []byte, err error) {
	key := s.Names.Secret(name)
	err = s.Redis.Do(ctx, key, func(ctx context.Context) (err error) {
		b := s.Redis.Client().B
		kept, err = s.Redis.Client().DoMulti(ctx,
			b().Set().Key(key).Value(wire.String(value)).Nx().Build(),
			b().Get().Key(key).Build())[1].AsBytes()
		return err
	})
	return kept, err
}

// check has run look soon whether the secrets are still there, without waiting.
func (s *secrets) check() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// run puts back what is gone, when check asks for it, until ctx ends.
func (s *secrets) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
		s.mu.Lock()
		known := maps.Clone(s.known)
		s.mu.Unlock()
		for name, mine := range known {
			if err := s.putBack(ctx, name, mine); err != nil {
				time.AfterFunc(secretRetry, s.check) // Redis is away, and says so elsewhere
			}
		}
	}
}

// putBack sets a secret again where there is none. Where there is another one,
// that holds: all nodes see the same.
func (s *secrets) putBack(ctx context.Context, name string, mine secret) error {
	kept, err := s.set(ctx, name, mine.value)
	if err != nil || len(kept) == 0 || bytes.Equal(kept, mine.value) {
		return err
	}
	s.mu.Lock()
	s.known[name] = secret{kept, mine.changed}
	s.mu.Unlock()
	s.Log.Warn("Redis has another secret than this node had; this node follows", "secret", name)
	mine.changed(bytes.Clone(kept))
	return nil
}
