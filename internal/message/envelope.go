package message

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// WireSize is at least what a message takes in the byte form of any door, but
// for some hundred bytes around its payload. JSON writes a control character as
// six, and what is no text in base64.
func (m *Message) WireSize() int {
	size := len(m.Payload) + len(m.Payload)/3
	for _, b := range m.Payload {
		if b < ' ' {
			size += 5
		}
	}
	if m.By != nil {
		size += len(m.By.ConnInfo) + len(m.By.ChanInfo)
	}
	return size + wireOverhead
}

// wireOverhead is what a form adds to a payload: names, offset, epoch, time.
const wireOverhead = 256

// AppendEnvelope appends the message as one JSON object: channel, offset and
// epoch (both only in a channel with a log), the payload as data (as it is
// when it is JSON, else as a string) or, when it is not UTF-8, as b64 in
// base64, then time, via, info and tags. The JSON of data keeps its own white
// space.
func AppendEnvelope(dst []byte, m *Message) []byte {
	dst = append(dst, `{"channel":`...)
	dst = appendString(dst, m.Channel)
	if m.Logged() {
		dst = append(dst, `,"offset":`...)
		dst = strconv.AppendUint(dst, m.Offset, 10)
		dst = append(dst, `,"epoch":`...)
		dst = appendString(dst, m.Epoch)
	}
	dst = appendData(dst, m.Payload)
	if m.Time != 0 {
		dst = append(dst, `,"time":`...)
		dst = strconv.AppendInt(dst, m.Time, 10)
	}
	if m.Via != "" {
		dst = append(dst, `,"via":`...)
		dst = appendString(dst, string(m.Via))
	}
	if m.By != nil {
		dst = append(dst, `,"info":`...)
		dst = m.By.append(dst)
	}
	if len(m.Tags) > 0 {
		dst = append(dst, `,"tags":`...)
		tags, _ := json.Marshal(m.Tags) // strings: cannot fail
		dst = append(dst, tags...)
	}
	return append(dst, '}')
}

// appendData appends ,"data":… or ,"b64":… for a payload.
func appendData(dst, payload []byte) []byte {
	if !utf8.Valid(payload) {
		dst = append(dst, `,"b64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, payload)
		return append(dst, '"')
	}
	dst = append(dst, `,"data":`...)
	if json.Valid(payload) {
		return append(dst, payload...)
	}
	return appendString(dst, string(payload))
}

// append writes the publisher as the Centrifuge protocol's ClientInfo does.
func (p *Publisher) append(dst []byte) []byte {
	dst = append(dst, `{"user":`...)
	dst = appendString(dst, p.User)
	dst = append(dst, `,"client":`...)
	dst = appendString(dst, p.Session)
	dst = appendRaw(dst, `,"conn_info":`, p.ConnInfo)
	dst = appendRaw(dst, `,"chan_info":`, p.ChanInfo)
	return append(dst, '}')
}

func appendRaw(dst []byte, key string, value []byte) []byte {
	if !json.Valid(value) {
		return dst
	}
	return append(append(dst, key...), value...)
}

// AppendJSON appends the gap as one JSON object.
func (g Gap) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"channel":`...)
	dst = appendString(dst, g.Channel)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, string(g.Reason))
	dst = append(dst, `,"from":`...)
	dst = g.From.AppendJSON(dst)
	dst = append(dst, `,"now":`...)
	dst = g.Now.AppendJSON(dst)
	return append(dst, '}')
}

// AppendJSON appends {"epoch":…,"offset":…}.
func (p Position) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"epoch":`...)
	dst = appendString(dst, p.Epoch)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendUint(dst, p.Offset, 10)
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // a string: cannot fail
	return append(dst, b...)
}
