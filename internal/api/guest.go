package api

import (
	"encoding/json"
	"net/http"

	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/problem"
)

// maxGuestBody bounds a request for a guest token: a token and a name.
const maxGuestBody = 16 << 10

// guest answers POST /guest with {"name":…,"token":…}, both optional: a token
// for a new guest, or for the one whose token is shown, with a new name or
// more time. The answer is {"token","user","name","color","expires"}.
func (a *API) guest(w http.ResponseWriter, r *http.Request) error {
	if err := a.Access.Admit(w, r); err != nil {
		return err
	}
	// Who wants a token is about to connect, and nobody wants many.
	if _, err := a.Access.Addresses.Arrive(r); err != nil {
		return err
	}
	// No form and no page without permission can send this type.
	if door.Type(r) != "application/json" {
		return problem.New(http.StatusUnsupportedMediaType, "bad_type", "Send JSON, with Content-Type: application/json.")
	}
	body, err := door.Body(w, r, maxGuestBody, fault.New(fault.TooBig, "A request for a guest token has at most 16 KB."))
	if err != nil {
		return err
	}
	var ask struct{ Name, Token string }
	if len(body) > 0 {
		if err := json.Unmarshal(body, &ask); err != nil {
			return problem.New(http.StatusBadRequest, "bad_body", `Send {"name":"…","token":"…"}; both may be left out.`)
		}
	}
	made, err := a.Access.Auth.NewGuest(ask.Token, ask.Name)
	if err != nil {
		return a.Access.Guessed(r, err)
	}
	return door.Answer(w, made)
}
