package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPagesAnswer(t *testing.T) {
	h := New(Options{})
	for _, path := range []string{"/", "/classic", "/favicon.ico"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("GET %s: %d, %d bytes", path, w.Code, w.Body.Len())
		}
	}
}
