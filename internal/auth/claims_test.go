package auth

import "testing"

// RFC 7519 section 4: claims have names to the letter. A token whose issuer
// writes SUB beside sub must not be read as somebody else's.
func TestClaimNamesAreMatchedExactly(t *testing.T) {
	c, err := decodeClaims(payload{text: []byte(`{"sub":"42","SUB":"43","Exp":1,"exp":2000000000,"CHANNELS":["$all"],"other":{"a":1}}`)})
	if err != nil || c.Subject != "42" || len(c.Channels) != 0 || c.Expires == nil {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = decodeClaims(payload{text: []byte(`{"Sub":"43"}`)}); err != nil || c.Subject != "" {
		t.Errorf("%+v, %v", c, err)
	}
}
