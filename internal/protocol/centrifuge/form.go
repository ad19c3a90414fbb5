package centrifuge

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"magpie/internal/message"
	"magpie/internal/transport/ws"
)

// form is how replies look to one kind of connection: a codec and the framing
// of a transport. There are seven; all are made at start and never change.
type form struct {
	json bool
	op   ws.Op // the type of frames over WebSocket
	// next reads one command of a frame, which is not empty.
	next func(data []byte) (cmd *protocol.Command, rest []byte, err error)
	// wrap puts the framing around one encoded reply, wrapPush around a push of a
	// message: only that is deflated, for replies hold what is for one client alone.
	wrap, wrapPush func(body []byte) []byte
	// ping is an empty reply.
	ping []byte
	// pushes by what the subscription asked for: with joins and leaves or not.
	pushes [2]*message.Encoding
	// deltas by that, too, and by whether the receiver has the payload before
	// the batch.
	deltas [2][2]*message.BatchEncoding
}

var (
	jsonSocket = newForm(true, jsonFrame, jsonFrame)
	jsonStream = newForm(true, line, line)
	jsonEvents = newForm(true, event, event)

	protoSocket = newForm(false, protoFrame, protoFrame)
	protoStream = newForm(false, delimit, delimit)

	// with permessage-deflate
	jsonDeflated  = newForm(true, jsonFrame, func(body []byte) []byte { return ws.DeflatedFrame(ws.Text, body) })
	protoDeflated = newForm(false, protoFrame, func(body []byte) []byte { return ws.DeflatedFrame(ws.Binary, delimit(body)) })
)

func jsonFrame(body []byte) []byte  { return ws.Frame(ws.Text, body) }
func protoFrame(body []byte) []byte { return ws.Frame(ws.Binary, delimit(body)) }
func line(body []byte) []byte       { return append(body, '\n') }

func event(body []byte) []byte {
	return append(append(append(make([]byte, 0, len(body)+8), "data: "...), body...), "\n\n"...)
}

func newForm(asJSON bool, wrap, wrapPush func([]byte) []byte) *form {
	f := &form{json: asJSON, op: ws.Text, next: nextJSON, wrap: wrap, wrapPush: wrapPush}
	if !asJSON {
		f.op, f.next = ws.Binary, nextProtobuf
	}
	f.ping = f.encode(&protocol.Reply{})
	for members := range 2 {
		f.pushes[members] = message.NewEncoding(func(m *message.Message) []byte { return f.push(m, members == 1) })
		for primed := range 2 {
			f.deltas[members][primed] = message.NewBatchEncoding(func(b *message.Batch) []byte {
				return f.pushDeltas(b, members == 1, primed == 1)
			})
		}
	}
	return f
}

// delimit puts a varint of the length before a Protobuf message.
func delimit(body []byte) []byte {
	b := binary.AppendUvarint(make([]byte, 0, len(body)+binary.MaxVarintLen32), uint64(len(body)))
	return append(b, body...)
}

// encode returns a reply as a whole frame.
func (f *form) encode(r *protocol.Reply) []byte { return f.wrap(f.body(r)) }

// encodePush is encode of what was published, for all who get it.
func (f *form) encodePush(p *protocol.Push) []byte {
	return f.wrapPush(f.body(&protocol.Reply{Push: p}))
}

func (f *form) body(r *protocol.Reply) []byte {
	if f.json {
		return r.AppendJSON(make([]byte, 0, 256))
	}
	body, err := r.MarshalCF()
	if err != nil {
		panic("centrifuge: a reply of ours does not encode: " + err.Error()) // the library's sizes and bytes disagree
	}
	return body
}

// push is one message as a frame, nil when this subscription does not get it.
func (f *form) push(m *message.Message, members bool) []byte {
	p := &protocol.Push{Channel: m.Channel}
	switch {
	case m.Kind == message.Published:
		p.Pub = f.publication(m)
	case !members || m.By == nil:
		return nil
	case m.Kind == message.Join:
		p.Join = &protocol.Join{Info: f.clientInfo(m.By)}
	case m.Kind == message.Leave:
		p.Leave = &protocol.Leave{Info: f.clientInfo(m.By)}
	default:
		return nil
	}
	return f.encodePush(p)
}

func (f *form) publication(m *message.Message) *protocol.Publication {
	return &protocol.Publication{Data: f.data(m.Payload), Info: f.clientInfo(m.By), Offset: m.Offset, Tags: cleanTags(m.Tags)}
}

func (f *form) publications(all []*message.Message) []*protocol.Publication {
	list := make([]*protocol.Publication, 0, len(all))
	for _, m := range all {
		list = append(list, f.publication(m))
	}
	return list
}

func (f *form) clientInfo(p *message.Publisher) *protocol.ClientInfo {
	if p == nil {
		return nil
	}
	return &protocol.ClientInfo{User: clean(p.User), Client: clean(p.Session), ConnInfo: f.optional(p.ConnInfo), ChanInfo: f.optional(p.ChanInfo)}
}

// clean makes text of what a publisher may have put into Redis: strings that
// are not UTF-8 make strict Protobuf decoders give up the connection.
func clean(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func cleanTags(tags map[string]string) map[string]string {
	for k, v := range tags {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			cleaned := make(map[string]string, len(tags))
			for k, v := range tags {
				cleaned[clean(k)] = clean(v)
			}
			return cleaned
		}
	}
	return tags
}

// optional is data that may be missing.
func (f *form) optional(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return f.data(b)
}

// data is a payload as this form's clients see it.
func (f *form) data(payload []byte) []byte {
	if f.json {
		return jsonData(payload)
	}
	return payload
}

// jsonData is a payload as clients see it that read JSON: as it is when it is
// JSON, else as a JSON string; {"b64":"…"} when it is not even text. Line ends
// between tokens are left out, for they would end the frame.
func jsonData(payload []byte) []byte {
	switch {
	case !utf8.Valid(payload):
		b := base64.StdEncoding.AppendEncode([]byte(`{"b64":"`), payload)
		return append(b, `"}`...)
	case !json.Valid(payload):
		return cfjson.AppendString(nil, string(payload))
	}
	return withoutLineEnds(payload)
}

func withoutLineEnds(b []byte) []byte {
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte{'\n'}, nil), []byte{'\r'}, nil)
}
