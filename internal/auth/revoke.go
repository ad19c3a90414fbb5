package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/fault"
)

// Here is known which tokens are good no more although they have not ended, and
// which users are kept away. What the nodes tell each other of it are marks.

// Proof is what is kept of the token behind an identity, by which the token can
// be revoked.
type Proof struct {
	Issued int64  // the token's iat, Unix seconds; 0 when it does not say
	ID     string // its jti; "" when it has none, or one of over MaxID bytes
	// Sum is the hash of what the token's signature signs. The signature is left
	// out: who has one token of an elliptic key can make another one for the
	// same claims.
	Sum [16]byte
}

// MaxID is the longest name of a user, or jti, that can be revoked, in bytes.
const MaxID = maxUser

func proofOf(token, id string, issued *numericDate) *Proof {
	signed := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
	p := &Proof{Sum: [16]byte(signed[:16])}
	if issued != nil {
		p.Issued = int64(*issued)
	}
	if len(id) <= MaxID {
		p.ID = id
	}
	return p
}

// MarkKind says what a Mark names.
type MarkKind string

// The kinds.
const (
	MarkUser  MarkKind = "user"  // tokens of a user that were issued up to a time, and those that do not say when
	MarkAway  MarkKind = "away"  // a user, whatever the token
	MarkID    MarkKind = "jti"   // tokens with this jti
	MarkToken MarkKind = "token" // the token whose Proof has this Sum, in hex
)

// Mark refuses tokens, or a user, until it ends.
type Mark struct {
	Kind   MarkKind
	Name   string
	Issued int64 // of MarkUser: tokens issued up to this time, Unix seconds
	Ends   int64 // Unix seconds
}

// TokenMark is a mark for one token.
func TokenMark(p *Proof) Mark { return Mark{Kind: MarkToken, Name: hex.EncodeToString(p.Sum[:])} }

// Text is the mark without its end, as ParseMark reads it: kind, time, name.
func (m Mark) Text() string { return fmt.Sprintf("%s %d %s", m.Kind, m.Issued, m.Name) }

// ParseMark is the inverse of Text. It fails for what other versions may write.
func ParseMark(text string, ends int64) (m Mark, ok bool) {
	kind, rest, _ := strings.Cut(text, " ")
	issued, name, ok := strings.Cut(rest, " ")
	at, err := strconv.ParseInt(issued, 10, 64)
	return Mark{MarkKind(kind), name, at, ends}, ok && err == nil
}

// Revocations are all marks that a node knows. The zero value has none. All
// methods are safe for concurrent use and memory only.
type Revocations struct {
	some atomic.Bool // while there are none nobody takes mu

	mu     sync.RWMutex // guards what follows
	marks  map[markKey]Mark
	pruned int64 // when ended marks were last taken out, Unix seconds
}

type markKey struct {
	kind MarkKind
	name string
}

// pruneEvery is how often ended marks are looked for, in seconds.
const pruneEvery = 60

// Add takes marks in and returns those that refuse more than was refused before.
// The last end of a mark holds, so that a user who is kept away can be let in
// again; of two of MarkUser, which differ in their time, the later ones of both.
func (r *Revocations) Add(marks ...Mark) (news []Mark) {
	if len(marks) == 0 {
		return nil
	}
	now := time.Now().Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.marks == nil {
		r.marks = map[markKey]Mark{}
	}
	for _, m := range marks {
		key := markKey{m.Kind, m.Name}
		had := r.marks[key]
		if m.Kind == MarkUser {
			m.Issued, m.Ends = max(m.Issued, had.Issued), max(m.Ends, had.Ends)
		}
		switch {
		case m.Ends <= now:
			delete(r.marks, key)
		case m != had:
			r.marks[key] = m
			news = append(news, m)
		}
	}
	if now >= r.pruned+pruneEvery {
		r.pruned = now
		for key, m := range r.marks {
			if m.Ends <= now {
				delete(r.marks, key)
			}
		}
	}
	r.some.Store(len(r.marks) > 0)
	return news
}

// All returns the marks that have not ended.
func (r *Revocations) All() (list []Mark) {
	now := time.Now().Unix()
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.marks {
		if m.Ends > now {
			list = append(list, m)
		}
	}
	return list
}

// Check refuses a user and a token that are marked: Revoked where another token
// helps, Forbidden where only time does. p is nil for who has shown no token.
func (r *Revocations) Check(user string, p *Proof) error {
	if !r.some.Load() {
		return nil
	}
	now := time.Now().Unix()
	r.mu.RLock()
	defer r.mu.RUnlock()
	find := func(kind MarkKind, name string) (Mark, bool) {
		m, ok := r.marks[markKey{kind, name}]
		return m, ok && name != "" && m.Ends > now
	}
	if m, ok := find(MarkAway, user); ok {
		left := time.Duration(min(m.Ends-now, math.MaxInt32)) * time.Second
		return &fault.Fault{Kind: fault.Forbidden, Wait: left, Message: fmt.Sprintf("not allowed: a server keeps this user away; come back in %s", left)}
	}
	if p == nil {
		return nil
	}
	m, byUser := find(MarkUser, user)
	_, byID := find(MarkID, p.ID)
	_, byToken := find(MarkToken, TokenMark(p).Name)
	if byUser && p.Issued <= m.Issued || byID || byToken {
		return fault.New(fault.Revoked, "token revoked: a server took it back; get a new one and connect again")
	}
	return nil
}
