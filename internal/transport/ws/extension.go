package ws

import (
	"net/http"
	"strconv"
	"strings"
)

// extensionName is the one extension that is spoken here (RFC 7692 section 7).
const extensionName = "permessage-deflate"

// Deflates tells whether a connection that r begins will have permessage-deflate.
func (s *Server) Deflates(r *http.Request) bool { return s.agree(r) != "" }

// agree returns the value of Sec-WebSocket-Extensions in the answer to r, "" for
// none. The first offer that can be kept is taken (RFC 7692 section 5.1). Neither
// side keeps a window from one message to the next: a connection would cost it for
// as long as it lives, and one text could be guessed by its effect on another.
func (s *Server) agree(r *http.Request) string {
	if !s.cfg.Deflate {
		return ""
	}
	for _, line := range r.Header["Sec-Websocket-Extensions"] {
		for rest := line; rest != ""; {
			var offer extension
			var ok bool
			if offer, rest, ok = parseExtension(rest); !ok {
				break // where the next one begins is not known
			}
			if answer, ok := offer.answer(); ok {
				return answer
			}
		}
	}
	return ""
}

// extension is one of a header field's (RFC 6455 section 9.1).
type extension struct {
	name   string
	params []param
}

type param struct {
	name, value string
	valued      bool
}

// answer is what accepts an offer. Windows are of 32 KB here, so that an offer
// that wants smaller ones from the server is not.
func (e extension) answer() (text string, ok bool) {
	if !strings.EqualFold(e.name, extensionName) {
		return "", false
	}
	text = extensionName + "; server_no_context_takeover; client_no_context_takeover"
	seen := map[string]bool{}
	for _, p := range e.params {
		if seen[p.name] {
			return "", false
		}
		seen[p.name] = true
		switch p.name {
		case "server_no_context_takeover", "client_no_context_takeover":
			ok = !p.valued
		case "client_max_window_bits":
			ok = !p.valued || windowBits(p.value) != 0
		case "server_max_window_bits":
			ok = windowBits(p.value) == 15
			text += "; server_max_window_bits=15"
		default:
			ok = false
		}
		if !ok {
			return "", false
		}
	}
	return text, true
}

// windowBits reads a number from 8 to 15 without leading zeros; 0: it is none.
func windowBits(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 8 || n > 15 || s != strconv.Itoa(n) {
		return 0
	}
	return n
}

// parseExtension reads the first extension of a list, and returns the others. Linear
// in what it reads.
func parseExtension(s string) (e extension, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t,") // a list may have empty elements
	if s == "" {
		return e, "", true
	}
	if e.name, s = cutToken(s); e.name == "" {
		return e, "", false
	}
	for strings.HasPrefix(s, ";") {
		var p param
		if p, s, ok = parseParam(strings.TrimLeft(s[1:], " \t")); !ok {
			return e, "", false
		}
		e.params = append(e.params, p)
	}
	if s != "" && s[0] != ',' {
		return e, "", false
	}
	return e, s, true
}

func parseParam(s string) (p param, rest string, ok bool) {
	if p.name, s = cutToken(s); p.name == "" {
		return p, "", false
	}
	if !strings.HasPrefix(s, "=") {
		return p, s, true
	}
	p.valued = true
	s = strings.TrimLeft(s[1:], " \t")
	quoted := strings.HasPrefix(s, `"`)
	p.value, s = cutToken(strings.TrimPrefix(s, `"`))
	if quoted {
		if !strings.HasPrefix(s, `"`) {
			return p, "", false // what is in quotes must be a token, too
		}
		s = strings.TrimLeft(s[1:], " \t")
	}
	return p, s, p.value != ""
}

// cutToken cuts a token (RFC 9110 section 5.6.2) and the white space behind it off.
func cutToken(s string) (token, rest string) {
	n := 0
	for n < len(s) && isTokenByte(s[n]) {
		n++
	}
	return s[:n], strings.TrimLeft(s[n:], " \t")
}

func isTokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
