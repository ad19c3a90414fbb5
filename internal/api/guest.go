package api

import (
	"encoding/json"
	"mime"
	"net/http"

	"magpie/internal/problem"
)

// maxGuestBody bounds a request for a guest token: a token and a name.
const maxGuestBody = 16 << 10

// Guest answers POST /guest with {"name":…,"token":…}, both optional: a token
// for a new guest, or for the one whose token is shown, with a new name or
// more time. The answer is {"token","user","name","color","expires"}.
func (a *API) Guest(w http.ResponseWriter, r *http.Request) error {
	a.allow(w, r)
	if err := a.Origins.Check(r); err != nil {
		return err
	}
	// No form and no page without permission can send this type.
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return problem.New(http.StatusUnsupportedMediaType, "bad_type", "Send JSON, with Content-Type: application/json.")
	}
	body, err := readAll(w, r, maxGuestBody)
	if err != nil {
		return problem.New(http.StatusRequestEntityTooLarge, "too_big", "A request for a guest token has at most 16 KB.")
	}
	var ask struct{ Name, Token string }
	if len(body) > 0 {
		if err := json.Unmarshal(body, &ask); err != nil {
			return problem.New(http.StatusBadRequest, "bad_body", `Send {"name":"…","token":"…"}; both may be left out.`)
		}
	}
	guest, err := a.Auth.NewGuest(ask.Token, ask.Name)
	if err != nil {
		return err
	}
	return answer(w, guest)
}
