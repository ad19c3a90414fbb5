package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/node"
)

// Limits of one call.
const (
	maxBroadcast = 20_000  // channels of one broadcast
	maxTags      = 4 << 10 // bytes of all tags: they travel with every message
)

// publishRequest is the body of publish (Channel) and broadcast (Channels).
type publishRequest struct {
	Channel        string            `json:"channel"`
	Channels       []string          `json:"channels"`
	Data           json.RawMessage   `json:"data"`
	B64Data        string            `json:"b64data"`
	SkipHistory    bool              `json:"skip_history"`
	Tags           map[string]string `json:"tags"`
	IdempotencyKey string            `json:"idempotency_key"`
	// Delta is taken and means nothing: who gets differences is said by the
	// rule and by the subscriber.
	Delta   bool   `json:"delta"`
	Version uint64 `json:"version"`
}

type publishResult struct {
	Offset uint64 `json:"offset,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
}

func (s *Server) publish(ctx context.Context, q publishRequest) (any, error) {
	if q.Channel == "" {
		return nil, bad("channel is missing")
	}
	p, err := q.publication()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	p.Channel = q.Channel
	res, err := s.Gate.Publish(ctx, node.ServerActor, p)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return resultOf(res), nil
}

func resultOf(r engine.Result) publishResult {
	return publishResult{Offset: r.Position.Offset, Epoch: r.Position.Epoch}
}

type broadcastResult struct {
	Responses []reply `json:"responses"`
}

// broadcast publishes to many channels in few round trips. Each channel has
// its own answer; one that fails keeps none of the others back.
func (s *Server) broadcast(ctx context.Context, q publishRequest) (any, error) {
	switch {
	case len(q.Channels) == 0:
		return nil, bad("channels is missing")
	case len(q.Channels) > maxBroadcast:
		return nil, wrong(CodeLimit, fmt.Sprintf("%d channels are the most for one broadcast; make several", maxBroadcast))
	}
	p, err := q.publication()
	if err != nil {
		return nil, err
	}
	all := make([]engine.Publication, len(q.Channels))
	for i, name := range q.Channels {
		all[i] = p
		all[i].Channel = name
	}
	responses := make([]reply, len(all))
	for i, o := range s.Gate.PublishAll(ctx, node.ServerActor, all) {
		if o.Err != nil {
			responses[i].Error = s.told("broadcast", o.Err)
		} else {
			responses[i].Result = resultOf(o.Result)
		}
	}
	return broadcastResult{responses}, nil
}

// publication checks everything but the channel.
func (q *publishRequest) publication() (engine.Publication, error) {
	payload, err := bytesOf("data", q.Data, q.B64Data)
	switch {
	case err != nil:
		return engine.Publication{}, err
	case payload == nil:
		return engine.Publication{}, bad("data or b64data is missing")
	case q.Version != 0:
		return engine.Publication{}, wrong(CodeNotAvailable, "version is not supported; use idempotency_key against repeats")
	case len(q.IdempotencyKey) > maxIdempotency:
		return engine.Publication{}, bad(fmt.Sprintf("idempotency_key has at most %d bytes", maxIdempotency))
	case sizeOf(q.Tags) > maxTags:
		return engine.Publication{}, bad(fmt.Sprintf("tags have at most %d bytes together", maxTags))
	}
	return engine.Publication{
		Payload: payload, Via: message.ViaHTTP, Tags: q.Tags,
		IdempotencyKey: q.IdempotencyKey, SkipLog: q.SkipHistory,
	}, nil
}

func sizeOf(tags map[string]string) int {
	n := 0
	for key, value := range tags {
		n += len(key) + len(value)
	}
	return n
}

// bytesOf is a value that a call gives either as JSON, which is its own text,
// or as bytes in base64. Nil when it gives neither.
func bytesOf(name string, data json.RawMessage, b64 string) ([]byte, error) {
	switch {
	case b64 == "":
		return data, nil
	case given(data) != nil:
		return nil, bad(name + " and b64" + name + " are two ways to say one thing; send one")
	}
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return nil, bad("b64" + name + " is not base64 (RFC 4648, section 4)")
	}
	return b, nil
}

// given is nil for null, too: some libraries write what was left out so.
func given(data json.RawMessage) json.RawMessage {
	if string(data) == "null" {
		return nil
	}
	return data
}
