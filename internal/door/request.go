package door

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"magpie/internal/fault"
	"magpie/internal/problem"
	"magpie/internal/spelling"
)

// Query returns the request's parameters and refuses one that nobody knows: a
// slip of the keyboard would otherwise join another channel than the one that
// was meant. A name that ends with ... may be given more than once, others may
// not. Names that begin with _ are left alone, because pages add them against
// caches.
func Query(r *http.Request, known ...string) (url.Values, error) {
	values, err := ParseQuery(r)
	if err != nil {
		return nil, err
	}
	for name, given := range values {
		switch {
		case strings.HasPrefix(name, "_"), slices.Contains(known, name+"..."):
		case !slices.Contains(known, name):
			return nil, unknownParameter(name, known)
		case len(given) > 1:
			return nil, fault.Newf(fault.BadParameter, "the parameter %s is given %d times; give it once", name, len(given))
		}
	}
	return values, nil
}

// ParseQuery returns the request's parameters, whatever their names. A query
// that cannot be read in whole is refused: the library leaves out a pair with a
// semicolon or a broken escape in silence, and what is left means something else.
func ParseQuery(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		return values, nil
	}
	return nil, fault.New(fault.BadParameter, "the query cannot be read: write ; as %3B, % as %25, & as %26 and # as %23 in names and values")
}

func unknownParameter(name string, known []string) error {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = strings.TrimSuffix(k, "...")
	}
	shown := name[:min(len(name), 64)]
	rest := "those there are: " + strings.Join(names, ", ")
	if near := spelling.Nearest(shown, names); near != "" {
		rest = "did you mean " + near + "?"
	}
	return fault.Newf(fault.BadParameter, "unknown parameter %q; %s", shown, rest)
}

// Envelope reads the parameter format: messages in envelopes, or bare payloads.
func Envelope(values url.Values) (bool, error) {
	switch values.Get("format") {
	case "":
		return false, nil
	case "envelope":
		return true, nil
	}
	return false, problem.New(http.StatusBadRequest, "bad_format", "The format is envelope, or is left out for bare payloads.")
}

// bodyTimeout is how long a body may take; one that comes slower is given up.
const bodyTimeout = 10 * time.Second

// Body reads a request's body within limit bytes and a time. tooBig is the
// error for a longer one. The deadline ends with a body that is here: it would
// end the request's context, and those of all later requests on the connection.
// A body that breaks off keeps it, so that nobody waits for the rest.
func Body(w http.ResponseWriter, r *http.Request, limit int64, tooBig error) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooBig
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // tests' writers have none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooBig
	}
	if err != nil {
		return nil, problem.New(http.StatusBadRequest, "bad_body", "The body broke off or came too slowly; nothing was done.")
	}
	_ = control.SetReadDeadline(time.Time{})
	return body, nil
}

// TooBig is the fault for a request over a limit that no setting names.
func TooBig(format string, limit int) error {
	return fault.New(fault.TooBig, fmt.Sprintf(format, limit))
}

// Type returns the media type of a request's body, "" when there is none that
// can be read.
func Type(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// CheckEncoding refuses a body that is compressed: it would be taken as it is.
func CheckEncoding(r *http.Request) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return problem.New(http.StatusUnsupportedMediaType, "bad_encoding", "Send the body as it is, without Content-Encoding.")
	}
	return nil
}
