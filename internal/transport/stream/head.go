package stream

import (
	"bytes"
	"net/http"
	"time"
)

// ownFields are the header fields that say how the body travels.
var ownFields = map[string]bool{"Connection": true, "Transfer-Encoding": true, "Content-Length": true, "Keep-Alive": true, "Date": true}

// head is the answer's head. The connection serves nothing after this answer,
// and says so.
func (c *Conn) head(h http.Header) []byte {
	var b bytes.Buffer
	if c.bare {
		b.WriteString("HTTP/1.0 200 OK\r\n")
	} else {
		b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")
	}
	h.WriteSubset(&b, ownFields) // into memory: cannot fail
	b.WriteString("Connection: close\r\nDate: ")
	b.Write(time.Now().UTC().AppendFormat(nil, http.TimeFormat))
	b.WriteString("\r\n\r\n")
	return b.Bytes()
}
