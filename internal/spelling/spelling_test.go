package spelling

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"addr", "api_key", "allowed_origins", "max_payload"}
	for in, want := range map[string]string{
		"adr": "addr", "adress": "addr", "addresses": "addr", "api-key": "api_key", "apikey": "api_key", "MAX_PAYLOAD": "max_payload", "dadr": "addr",
		"allowed.origin": "allowed_origins", "origins": "allowed_origins", "address": "addr", "kangaroo": "", "x": "",
	} {
		if got := Nearest(in, known); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Whatever somebody writes, there is an answer and it is a known word.
func FuzzNearest(f *testing.F) {
	f.Add("adress", "addr")
	f.Add("\xff", "")
	f.Fuzz(func(t *testing.T, written, known string) {
		if got := Nearest(written, []string{known}); got != "" && got != known {
			t.Fatalf("%q: %q", written, got)
		}
	})
}
