package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"magpie/internal/address"
	"magpie/internal/auth"
	"magpie/internal/build"
	"magpie/internal/config"
	"magpie/internal/engine"
	"magpie/internal/engine/memory"
	"magpie/internal/engine/redis"
	"magpie/internal/hub"
	"magpie/internal/node"
	"magpie/internal/web"
)

// core is what all doors stand on: the engine, this node's channels and
// sessions, and what nodes tell each other.
type core struct {
	engine engine.Engine
	hub    *hub.Hub
	auth   *auth.Authorizer
	node   *node.Node
	gate   *node.Gate
	peers  *node.Peers

	addresses *address.Book
}

func newCore(cfg *config.Config, log *slog.Logger, m *measures) (c core, err error) {
	if c.engine, err = newEngine(cfg, log, m); err != nil {
		return c, err
	}
	revoked := new(auth.Revocations)
	if c.auth, err = NewAuthorizer(cfg, log, revoked); err != nil {
		return c, err
	}
	if c.addresses, err = newAddresses(cfg, log); err != nil {
		return c, err
	}
	limits := limitsOf(cfg)
	c.hub = hub.New(hub.Config{Engine: c.engine, Rules: cfg.Rules, Coalesce: cfg.Times.Coalesce})
	c.node = node.New(c.hub, limits, revoked)
	c.gate = node.NewGate(node.GateConfig{Engine: c.engine, Hub: c.hub, Auth: c.auth, Rules: cfg.Rules, Limits: limits, Node: c.node})
	c.peers = node.NewPeers(node.PeersConfig{Bus: c.engine, Notes: c.engine, Node: c.node, Hub: c.hub, Log: log, Name: cfg.Node})
	return c, nil
}

func limitsOf(cfg *config.Config) node.Limits {
	return node.Limits{Payload: cfg.Limits.MaxPayload, Outbox: cfg.Limits.Outbox, Subscriptions: cfg.Limits.Subscriptions, UserSessions: cfg.Limits.UserSessions, Requests: cfg.Limits.Requests,
		NewChannels: cfg.Limits.NewChannels, IdempotencyKeys: cfg.Limits.IdempotencyKeys, IdempotencyWindow: cfg.Times.IdempotencyWindow}
}

func newAddresses(cfg *config.Config, log *slog.Logger) (*address.Book, error) {
	var proxies address.Proxies
	for _, text := range cfg.Proxies {
		p, err := address.ParseProxy(text)
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies: %w", err)
		}
		proxies = append(proxies, p)
	}
	l := cfg.Limits
	return address.NewBook(proxies, address.Limits{Handshakes: l.AddressHandshakes, AllHandshakes: l.Handshakes, Sessions: l.AddressSessions, Guesses: l.Guesses}, log), nil
}

func newEngine(cfg *config.Config, log *slog.Logger, m *measures) (engine.Engine, error) {
	if cfg.Redis == "" {
		return memory.New(memory.Config{Rules: cfg.Rules, IdempotencyWindow: cfg.Times.IdempotencyWindow}), nil
	}
	e, err := redis.New(redis.Config{
		URL: cfg.Redis, Prefix: cfg.Prefix, Node: cfg.Node, Rules: cfg.Rules,
		MaxPayload: cfg.Limits.MaxPayload, IdempotencyWindow: cfg.Times.IdempotencyWindow,
		Ingest: redis.Ingest{Streams: cfg.Ingest.Streams, Channels: cfg.Ingest.Channels},
		Log:    log, Metrics: m.redis(),
	})
	if err != nil {
		return nil, err
	}
	m.redisEngine(e)
	return e, nil
}

// NewAuthorizer returns what checks tokens and keys by the settings. Close ends
// the fetches of key sets that it starts. log, which may be nil, hears of them and
// of well-signed tokens that are refused; revoked, which may be nil, are others
// that are.
func NewAuthorizer(cfg *config.Config, log *slog.Logger, revoked *auth.Revocations) (*auth.Authorizer, error) {
	c := auth.Config{
		Rules: cfg.Rules, Secrets: cfg.TokenSecrets, Public: cfg.TokenKeys,
		Audience: cfg.TokenAudience, Issuer: cfg.TokenIssuer,
		Keys: cfg.APIKeys, Calls: cfg.Limits.APICalls, Personal: cfg.Personal, Revoked: revoked, Log: log,
	}
	if cfg.TokenJWKS != "" {
		var err error
		if c.JWKS, err = auth.NewJWKS(cfg.TokenJWKS, log); err != nil {
			return nil, fmt.Errorf("token_jwks: %w", err)
		}
	}
	return auth.New(c), nil
}

// shareGuestKey finds the key that signs guests' tokens. Token secrets are one
// already; else the first node makes one and the engine keeps it for all.
func (a *App) shareGuestKey(ctx context.Context) error {
	if len(a.cfg.TokenSecrets) > 0 {
		return nil
	}
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails (crypto/rand)
	key, err := a.core.engine.Secret(ctx, "guest-key", fresh, a.core.auth.SetGuestKey)
	if err != nil {
		return fmt.Errorf("share the guests' key: %w", err)
	}
	a.core.auth.SetGuestKey(key)
	return nil
}

func newPages(cfg *config.Config) http.Handler {
	o := web.Options{Open: cfg.OpenMode(), Personal: cfg.Personal, Version: build.Version(), MaxPayload: cfg.Limits.MaxPayload, Embedders: cfg.AllowedOrigins}
	if cfg.Redis != "" {
		o.RedisCLI = redis.PageCLI(cfg.Redis, o.Open)
	}
	return web.New(o)
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{Control: giveUpOnSilence}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}
