package door_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/problem"
)

func TestAParameterThatNobodyKnowsIsRefused(t *testing.T) {
	const broken = "the query cannot be read: write ; as %3B, % as %25, & as %26 and # as %23 in names and values"
	long := strings.Repeat("x", 100)
	for query, want := range map[string]string{
		"":                    "",
		"channel=a":           "",
		"_=1&_t=2":            "",
		"chanel=a":            `unknown parameter "chanel"; did you mean channel?`,
		"q=1":                 `unknown parameter "q"; those there are: channel, since`,
		long + "=1":           `unknown parameter "` + long[:64] + `"; those there are: channel, since`,
		"channel=a&Channel=b": `unknown parameter "Channel"; did you mean channel?`,
		"channel=a&channel=b": "",
		"since=a&since=b":     "the parameter since is given 2 times; give it once",
		"channel=secret;1":    broken,
		"channel=100%":        broken,
		"channel=a%3B1":       "",
		"token=T;x":           broken,
	} {
		_, err := door.Query(httptest.NewRequest("GET", "/?"+query, nil), "channel...", "since")
		if err == nil && want != "" || err != nil && (err.Error() != want || fault.KindOf(err) != fault.BadParameter) {
			t.Errorf("%q: %v, want %q", query, err, want)
		}
	}
}

// A body is read up to its limit, said or not, and refused beyond it.
func TestBody(t *testing.T) {
	tooBig := fault.New(fault.TooBig, "at most 4")
	for body, want := range map[string]fault.Kind{"": "", "1234": "", "12345": fault.TooBig} {
		for _, chunked := range []bool{false, true} {
			r := httptest.NewRequest("POST", "/", strings.NewReader(body))
			if chunked {
				r.ContentLength = -1
			}
			got, err := door.Body(httptest.NewRecorder(), r, 4, tooBig)
			if fault.KindOf(err) != want || err == nil && string(got) != body {
				t.Errorf("%q, chunked %v: %q, %v", body, chunked, got, err)
			}
		}
	}
	r := httptest.NewRequest("POST", "/", iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := door.Body(httptest.NewRecorder(), r, 4, tooBig); err == nil || problem.Of(err).Code != "bad_body" {
		t.Errorf("a body that breaks off: %v", err)
	}
}

func TestFormat(t *testing.T) {
	for query, want := range map[string]string{"": "false", "format=envelope": "true", "format=xml": "bad_format"} {
		values, err := door.Query(httptest.NewRequest("GET", "/?"+query, nil), "format")
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := door.Envelope(values)
		got := fmt.Sprint(envelope)
		if err != nil {
			got = problem.Of(err).Code
		}
		if got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// Whatever a query is, what is read of it is all that it says: written down again
// it is read as the same.
func FuzzParseQuery(f *testing.F) {
	f.Add("channel=a&channel=b%3B&since=")
	f.Add("channel=secret;1")
	f.Add("%=%zz&&&=&+")
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Header: http.Header{}, URL: &url.URL{RawQuery: query}}
		values, err := door.ParseQuery(r)
		if err != nil {
			if fault.KindOf(err) != fault.BadParameter {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		if strings.Contains(query, ";") {
			t.Errorf("%q is read as %v", query, values)
		}
		given := 0
		for pair := range strings.SplitSeq(query, "&") {
			if pair != "" {
				given++
			}
		}
		read := 0
		for _, list := range values {
			read += len(list)
		}
		r.URL.RawQuery = values.Encode()
		again, err := door.ParseQuery(r)
		if err != nil || read != given || !reflect.DeepEqual(again, values) {
			t.Errorf("%q: %d of %d, %v, then %v, %v", query, read, given, values, again, err)
		}
		if _, err := door.Token(r); err != nil {
			t.Errorf("%q: %v", query, err)
		}
	})
}
