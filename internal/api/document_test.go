package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"magpie/internal/api"
)

// openapi is the document as far as tests look into it.
type openapi struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]*schema
	}
}

type operation struct {
	RequestBody struct {
		Content map[string]media
	}
	Responses map[string]struct {
		Content map[string]media
	}
}

type media struct{ Schema *schema }

func (o operation) body() *schema { return o.RequestBody.Content["application/json"].Schema }
func (o operation) response(status string) *schema {
	return o.Responses[status].Content["application/json"].Schema
}

// schema is the part of JSON Schema that the document uses. A word that is
// not here fails the decoder, so that none goes unchecked.
type schema struct {
	Ref           string             `json:"$ref"`
	Type          string             `json:"type"`
	Properties    map[string]*schema `json:"properties"`
	Required      []string           `json:"required"`
	Additional    json.RawMessage    `json:"additionalProperties"`
	Items         *schema            `json:"items"`
	Enum          []any              `json:"enum"`
	Minimum       *float64           `json:"minimum"`
	Maximum       *float64           `json:"maximum"`
	MinLength     int                `json:"minLength"`
	MaxLength     *int               `json:"maxLength"`
	MinItems      int                `json:"minItems"`
	MaxItems      *int               `json:"maxItems"`
	MinProperties int                `json:"minProperties"`
	MaxProperties *int               `json:"maxProperties"`
	Encoding      string             `json:"contentEncoding"`
	Description   string             `json:"description"`
	Default       any                `json:"default"`
}

func (s *schema) UnmarshalJSON(b []byte) error {
	type plain schema
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(s))
}

var document = func() openapi {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	var d openapi
	if err := json.Unmarshal(b, &d); err != nil {
		panic(err)
	}
	return d
}()

func (d openapi) operation(t testing.TB, path, method string) operation {
	t.Helper()
	o, ok := d.Paths[path][method]
	if !ok {
		t.Fatalf("the document has no %s %s", method, path)
	}
	return o
}

// check holds JSON to a schema.
func (d openapi) check(s *schema, text string) error {
	if s == nil {
		return errors.New("the document has no schema for it")
	}
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return d.value(s, v, "")
}

func (d openapi) value(s *schema, v any, at string) error {
	if s.Ref != "" {
		to := d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
		if to == nil {
			return fmt.Errorf("%s: no schema %s", at, s.Ref)
		}
		return d.value(to, v, at)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s: %v is none of %v", at, v, s.Enum)
	}
	wrong := fmt.Errorf("%s: %v is no %s", at, v, s.Type)
	switch s.Type {
	case "":
		return nil
	case "object":
		o, ok := v.(map[string]any)
		if !ok {
			return wrong
		}
		return d.object(s, o, at)
	case "array":
		list, ok := v.([]any)
		if !ok || len(list) < s.MinItems || s.MaxItems != nil && len(list) > *s.MaxItems {
			return wrong
		}
		for i, item := range list {
			if err := d.value(s.Items, item, fmt.Sprintf("%s/%d", at, i)); err != nil {
				return err
			}
		}
		return nil
	case "string":
		text, ok := v.(string)
		if n := utf8.RuneCountInString(text); !ok || n < s.MinLength || s.MaxLength != nil && n > *s.MaxLength {
			return wrong
		}
		return nil
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong
		}
		return nil
	case "integer":
		n, ok := v.(float64)
		if !ok || n != float64(int64(n)) || s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum {
			return wrong
		}
		return nil
	}
	return fmt.Errorf("%s: unknown type %s", at, s.Type)
}

func (d openapi) object(s *schema, o map[string]any, at string) error {
	if len(o) < s.MinProperties || s.MaxProperties != nil && len(o) > *s.MaxProperties {
		return fmt.Errorf("%s has %d members", at, len(o))
	}
	for _, name := range s.Required {
		if _, ok := o[name]; !ok {
			return fmt.Errorf("%s/%s is missing", at, name)
		}
	}
	var others *schema
	if len(s.Additional) > 0 && string(s.Additional) != "false" {
		if err := json.Unmarshal(s.Additional, &others); err != nil {
			return err
		}
	}
	for name, v := range o {
		member, at := s.Properties[name], at+"/"+name
		switch {
		case member == nil && string(s.Additional) == "false":
			return fmt.Errorf("%s is not in the document", at)
		case member == nil:
			member = others
		}
		if member == nil {
			continue
		}
		if err := d.value(member, v, at); err != nil {
			return err
		}
	}
	return nil
}

// Every method of the server API is in the document, and it has no others.
func TestTheDocumentHasEveryMethod(t *testing.T) {
	if !strings.HasPrefix(document.OpenAPI, "3.1.") {
		t.Errorf("version %s", document.OpenAPI)
	}
	var inDocument []string
	for path, operations := range document.Paths {
		if name, ok := strings.CutPrefix(path, "/api/"); ok {
			inDocument = append(inDocument, name)
			if names := slices.Sorted(maps.Keys(operations)); !slices.Equal(names, []string{"post"}) {
				t.Errorf("%s has %v", path, names)
			}
		}
	}
	slices.Sort(inDocument)
	methods := api.Methods()
	slices.Sort(methods)
	if !slices.Equal(inDocument, methods) {
		t.Errorf("in the document %v\nin the server  %v", inDocument, methods)
	}
}

// No schema is left over, and none is missing.
func TestTheDocumentUsesItsSchemas(t *testing.T) {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for name := range document.Components.Schemas {
		if !bytes.Contains(b, []byte(`"#/components/schemas/`+name+`"`)) {
			t.Errorf("nothing uses %s", name)
		}
	}
	for _, part := range strings.Split(string(b), `"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); document.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
}

// The answers of the other paths are what the document says, refusals too.
func TestOtherAnswersAreAsDocumented(t *testing.T) {
	f := setup(t, false, newKey)
	for _, c := range []struct{ method, url, path, body, status string }{
		{"POST", "/publish/chat", "/publish/{channel}", "hello", "200"},
		{"POST", "/publish/bad%20name", "/publish/{channel}", "hello", "400"},
		{"POST", "/publish/shut", "/publish/{channel}", "hello", "403"},
		{"POST", "/publish/chat", "/publish/{channel}", strings.Repeat("x", maxPayload+1), "413"},
		{"GET", "/history/chat?limit=1", "/history/{channel}", "", "200"},
		{"GET", "/history/chat?since=00000000.9", "/history/{channel}", "", "200"},
		{"GET", "/history/chat?limit=x", "/history/{channel}", "", "400"},
		{"GET", "/livez", "/livez", "", "200"},
		{"GET", "/readyz", "/readyz", "", "200"},
		{"GET", "/openapi.json", "/openapi.json", "", "200"},
		{"POST", "/api/info", "/api/info", "{}", "415"},
	} {
		r := httptest.NewRequest(c.method, "http://localhost"+c.url, strings.NewReader(c.body))
		r.Header.Set("X-API-Key", newKey)
		w := httptest.NewRecorder()
		f.mux.ServeHTTP(w, r)
		if fmt.Sprint(w.Code) != c.status {
			t.Errorf("%s %s: %d %.200s", c.method, c.url, w.Code, w.Body)
			continue
		}
		o := document.operation(t, c.path, strings.ToLower(c.method))
		if err := document.check(o.response(c.status), w.Body.String()); err != nil {
			t.Errorf("%s %s: %v\n%.300s", c.method, c.url, err, w.Body)
		}
	}
	if err := f.Memory.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/readyz", http.NoBody))
	if err := document.check(document.operation(t, "/readyz", "get").response("503"), w.Body.String()); w.Code != 503 || err != nil {
		t.Errorf("not ready: %d %s %v", w.Code, w.Body, err)
	}
}

// The check above must be able to fail.
func TestTheCheckOfAnswersCanFail(t *testing.T) {
	s := document.operation(t, "/api/presence_stats", "post").response("200")
	for _, broken := range []string{
		`{"result":{"num_clients":1}}`, `{"result":{"num_clients":-1,"num_users":0}}`, `{"result":{"num_clients":"1","num_users":0}}`,
		`{"result":{"num_clients":1,"num_users":0,"more":1}}`, `{"error":{"code":99,"message":""}}`, `{"error":{"code":100}}`, `[]`, `{} {}`, `{`,
	} {
		if document.check(s, broken) == nil {
			t.Errorf("took %s", broken)
		}
	}
	if err := document.check(s, `{"result":{"num_clients":1,"num_users":0}}`); err != nil {
		t.Error(err)
	}
}
