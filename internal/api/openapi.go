package api

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openapi []byte

// openAPI answers GET /openapi.json: what this package answers, as an OpenAPI
// 3.1 document. Tests hold it to the handlers.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(openapi) // a client that has gone needs no answer
	return nil
}
