package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"magpie/internal/fault"
)

// Guests carry a token of their own kind, so that they stay the same guest
// over reconnects and on every node, and so that the name beside a message is
// the server's word. The token's header names its kind (typ) and its key is
// used for nothing else: it is never taken for a user's token, nor the other
// way round.
const (
	guestType   = "guest+jwt"
	guestPrefix = "g:" // every guest's user name starts with it; names of other users should not
	guestTTL    = 30 * 24 * time.Hour
	maxName     = 40 // characters of a guest's name
	colors      = 12
)

// GuestToken is what a guest gets and keeps.
type GuestToken struct {
	Token   string `json:"token"`
	User    string `json:"user"`
	Name    string `json:"name"`
	Color   int    `json:"color"`   // 0 to 11, the same for a user always
	Expires int64  `json:"expires"` // Unix seconds
}

// guestInfo is stamped on what a guest publishes.
type guestInfo struct {
	Name  string `json:"name"`
	Color int    `json:"color"`
	Guest bool   `json:"guest"`
}

var guestParser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())

type guestClaims struct {
	jwt.RegisteredClaims
	Name  string `json:"name"`
	proof *Proof // of the token that held the claims
}

// SetGuestKey says with which key guests' tokens are signed; all nodes need
// the same one. Call it before the first guest comes. A later call gives a new
// one; tokens of the one before are still taken. Where there are token secrets
// the keys are made of those and no call is needed.
func (a *Authorizer) SetGuestKey(key []byte) {
	keys := &jwt.VerificationKeySet{Keys: []jwt.VerificationKey{key}}
	if old := a.guestKeys.Load().Keys; len(old) > 0 {
		keys.Keys = append(keys.Keys, old[0])
	}
	a.guestKeys.Store(keys)
}

// guestKey derives the guests' key from a token secret.
func guestKey(secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("magpie guest tokens 1"))
	return mac.Sum(nil)
}

// NewGuest makes a guest, or gives the one whose token is shown a new name and
// more time. An empty name keeps the old one, or lets the server choose.
func (a *Authorizer) NewGuest(old, name string) (GuestToken, error) {
	if len(a.guestKeys.Load().Keys) == 0 || !a.guests {
		return GuestToken{}, refuse(fault.Forbidden, "rules", "not allowed: no rule of this server lets guests in; connect with a token")
	}
	g := guestClaims{}
	if old != "" {
		// A token that no longer passes makes a new guest: nothing else can help.
		if known, err := a.readGuest(old); err == nil {
			g = *known
		}
	}
	if g.Subject == "" {
		var b [5]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		g.Subject = guestPrefix + hex.EncodeToString(b[:])
	}
	if name != "" {
		g.Name = name
	}
	if g.Name == "" {
		g.Name = defaultName(g.Subject)
	}
	if err := checkGuestName(g.Name); err != nil {
		return GuestToken{}, err
	}
	return a.signGuest(g)
}

func (a *Authorizer) signGuest(g guestClaims) (GuestToken, error) {
	ends := time.Now().Add(guestTTL)
	g.ExpiresAt, g.IssuedAt = jwt.NewNumericDate(ends), nil
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, g)
	t.Header["typ"] = guestType
	text, err := t.SignedString(a.guestKeys.Load().Keys[0])
	if err != nil {
		return GuestToken{}, fmt.Errorf("sign a guest's token: %w", err)
	}
	return GuestToken{Token: text, User: g.Subject, Name: g.Name, Color: guestColor(g.Subject), Expires: ends.Unix()}, nil
}

func (a *Authorizer) readGuest(token string) (*guestClaims, error) {
	if !wellFormed(token) {
		return nil, errForm
	}
	var g guestClaims
	_, err := guestParser.ParseWithClaims(token, &g, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != guestType {
			return nil, errTyp
		}
		return *a.guestKeys.Load(), nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, expired("ask for a new guest token")
	case err != nil || !strings.HasPrefix(g.Subject, guestPrefix):
		return nil, badToken("", "this guest token is not of this server; ask for a new one")
	}
	g.proof = proofOf(token, g.ID, nil)
	return &g, a.revoked.Check(g.Subject, g.proof)
}

// isGuest tells whether the token's header says that it is a guest's, without
// trusting it.
func isGuest(token string) bool {
	head, _, found := strings.Cut(token, ".")
	if !found || len(head) > 256 {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(head)
	return err == nil && strings.Contains(string(b), `"`+guestType+`"`)
}

// guest is the identity of whoever shows a guest's token.
func (a *Authorizer) guest(token string) (Identity, error) {
	if !a.guests {
		return Identity{}, badToken("rules", "no rule of this server lets guests in (anyone); send a user's token")
	}
	g, err := a.readGuest(token)
	if err != nil {
		return Identity{}, err
	}
	info, err := json.Marshal(guestInfo{g.Name, guestColor(g.Subject), true})
	if err != nil {
		return Identity{}, fmt.Errorf("write a guest's info: %w", err)
	}
	return Identity{Kind: Guest, User: g.Subject, Info: info, Expires: g.ExpiresAt.Time, Proof: g.proof}, nil
}

func checkGuestName(name string) error {
	if n := utf8.RuneCountInString(name); n > maxName || !utf8.ValidString(name) || strings.TrimSpace(name) != name || n == 0 {
		return fault.Newf(fault.BadName, "name not allowed: a name has 1 to %d characters and no space at its ends", maxName)
	}
	if strings.Contains(name, "  ") || invisible(name) {
		return fault.New(fault.BadName, "name not allowed: a name has no control characters, no invisible ones, and one space between words")
	}
	if !readable(name) {
		return fault.Newf(fault.BadName, "name not allowed: it begins with a mark, or more than %d marks stand on one character", maxMarks)
	}
	return nil
}

// maxMarks is how many combining marks one character may carry. Thai, Hebrew and
// Tibetan need up to four.
const maxMarks = 4

// blank has the characters that count as printable and show nothing: fillers of
// Hangul, the empty Braille pattern, the grapheme joiner, two vowels of Khmer, a
// note without a head, blanks among hieroglyphs, the place of an object.
const blank = "\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4\u17b5\U0001d159\U00013441\U00013442\ufffc"

// invisible tells whether a name has something that nobody sees. Selectors of a
// glyph are of that kind, but for the one that makes an emoji of a symbol.
func invisible(name string) bool {
	var before rune
	for _, r := range name {
		emoji := r == '\ufe0f' && unicode.IsSymbol(before)
		if !unicode.IsPrint(r) || strings.ContainsRune(blank, r) || unicode.Is(unicode.Variation_Selector, r) && !emoji {
			return true
		}
		before = r
	}
	return false
}

// readable tells whether marks stand where a script has them, and not in towers
// that reach into the lines above.
func readable(name string) bool {
	marks := maxMarks // none at the beginning
	for _, r := range name {
		if !unicode.IsMark(r) {
			marks = 0
		} else if marks++; marks > maxMarks {
			return false
		}
	}
	return true
}

func guestColor(user string) int { return int(hash(user) % colors) }

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

var birds = []string{"Wren", "Robin", "Swift", "Heron", "Finch", "Jay", "Crane", "Lark", "Plover", "Starling", "Swallow", "Kestrel",
	"Oriole", "Thrush", "Linnet", "Osprey", "Puffin", "Siskin", "Curlew", "Dipper", "Egret", "Hoopoe", "Martin", "Nuthatch"}

// birdName is the name of a guest who has not chosen one.
func defaultName(user string) string {
	h := hash(user)
	return fmt.Sprintf("%s %d", birds[h%uint32(len(birds))], 10+h/uint32(len(birds))%90)
}
