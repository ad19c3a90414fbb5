package stream

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// headTimeout bounds the writing of the head. It fits any socket's empty send
// buffer; only a broken one needs the bound.
const headTimeout = 5 * time.Second

// takeOver answers on a connection that net/http has handed over.
func (s *Server) takeOver(nc net.Conn, rw *bufio.ReadWriter, h http.Header, r *http.Request, client Client) (*Conn, error) {
	c := &Conn{srv: s, client: client, bare: r.ProtoMinor == 0, discarded: uint32(rw.Reader.Buffered())}
	if s.conns.Closing() {
		nc.Close()
		return nil, ErrClosed
	}
	if err := c.answer(nc, rw.Writer, h); err != nil {
		nc.Close()
		return nil, err
	}
	if !s.conns.Add((*watched)(c), nc) {
		return nil, ErrClosed
	}
	s.conns.Read((*watched)(c))
	return c, nil
}

// ours are the fields that say how the body travels.
var ours = map[string]bool{"Connection": true, "Transfer-Encoding": true, "Content-Length": true, "Keep-Alive": true, "Date": true}

// answer writes the head. The connection serves nothing after this answer, and
// says so.
func (c *Conn) answer(nc net.Conn, w *bufio.Writer, h http.Header) error {
	nc.SetDeadline(time.Now().Add(c.srv.cfg.headTimeout))
	if c.bare {
		w.WriteString("HTTP/1.0 200 OK\r\n")
	} else {
		w.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")
	}
	if err := h.WriteSubset(w, ours); err != nil {
		return err
	}
	w.WriteString("Connection: close\r\nDate: ")
	w.Write(time.Now().UTC().AppendFormat(nil, http.TimeFormat))
	w.WriteString("\r\n\r\n")
	if err := w.Flush(); err != nil {
		return err
	}
	return nc.SetDeadline(time.Time{}) // the server's limits for requests end here
}
