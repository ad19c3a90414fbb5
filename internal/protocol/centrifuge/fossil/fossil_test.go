package fossil_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	fdelta "github.com/shadowspore/fossil-delta"
	"go.uber.org/goleak"

	"magpie/internal/protocol/centrifuge/fossil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

// vector is one case that the official client's decoder reads, too: see
// test/sdk.
type vector struct {
	Name   string `json:"name"`
	Source []byte `json:"source"`
	Target []byte `json:"target"`
	Delta  []byte `json:"delta"`
	Text   bool   `json:"text"`
}

func cases() []vector {
	long := strings.Repeat(`{"id":17,"name":"magpie","state":"on its way"},`, 40)
	noise := make([]byte, 3000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	moved := append(append([]byte{}, noise[1500:]...), noise[:1500]...)
	all := []vector{
		{Name: "both empty"},
		{Name: "from empty", Target: []byte("hello")},
		{Name: "to empty", Source: []byte(long)},
		{Name: "equal", Source: []byte(long), Target: []byte(long)},
		{Name: "one character", Source: []byte(long), Target: []byte(strings.Replace(long, "on its", "off its", 1))},
		{Name: "all different", Source: noise[:1000], Target: noise[1000:2000]},
		{Name: "halves swapped", Source: noise, Target: moved},
		{Name: "one byte repeated", Source: bytes.Repeat([]byte("a"), 5000), Target: bytes.Repeat([]byte("a"), 7001)},
		{Name: "shorter than a block", Source: []byte("0123456789abcde"), Target: []byte("0123456789abcdf")},
		{Name: "one block", Source: []byte("0123456789abcdef+"), Target: []byte("-0123456789abcdef-")},
		{Name: "zero bytes", Source: make([]byte, 100), Target: make([]byte, 99)},
		{Name: "three byte characters", Text: true, Source: []byte(strings.Repeat("鵲橋相會", 20)), Target: []byte(strings.Repeat("鵲橋相望", 20))},
		{Name: "differ inside a character", Text: true,
			Source: []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u00e9bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
			Target: []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u00e8bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")},
		{Name: "emoji", Text: true, Source: []byte(strings.Repeat("🐦🌉", 30)), Target: []byte(strings.Repeat("🐦🌁", 31))},
	}
	for i := range all {
		all[i].Delta = fossil.Delta(all[i].Source, all[i].Target, all[i].Text)
	}
	return all
}

// check applies a delta with an implementation that is not ours.
func check(t *testing.T, source, target []byte, text bool) []byte {
	t.Helper()
	d := fossil.Delta(source, target, text)
	got, err := fdelta.Apply(source, d)
	if err != nil || !bytes.Equal(got, target) {
		t.Fatalf("%q\nto %q\nby %q gives %q, %v", source, target, d, got, err)
	}
	if text && utf8.Valid(source) && utf8.Valid(target) && !utf8.Valid(d) {
		t.Fatalf("the delta of two texts is no text: %q", d)
	}
	return d
}

func TestADeltaTurnsSourceIntoTarget(t *testing.T) {
	for _, v := range cases() {
		t.Run(v.Name, func(t *testing.T) { check(t, v.Source, v.Target, v.Text) })
	}
}

func TestADeltaIsShortWhereLittleChanged(t *testing.T) {
	for _, v := range cases() {
		most := map[string]int{"equal": 20, "one character": 60, "halves swapped": 40, "one byte repeated": 60, "zero bytes": 20}[v.Name]
		if most > 0 && len(v.Delta) > most {
			t.Errorf("%s: %d bytes: %q", v.Name, len(v.Delta), v.Delta)
		}
	}
}

// The vectors are what test/sdk gives to the official client's decoder.
func TestVectorsAreOfThisEncoder(t *testing.T) {
	want, err := json.MarshalIndent(cases(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const name = "testdata/vectors.json"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, append(want, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(bytes.TrimSpace(got), want) {
		t.Fatalf("%s is not what this encoder writes (%v): go test -update", name, err)
	}
}

func FuzzDelta(f *testing.F) {
	for _, v := range cases() {
		f.Add(v.Source, v.Target, v.Text)
	}
	f.Fuzz(func(t *testing.T, source, target []byte, text bool) { check(t, source, target, text) })
}

func BenchmarkDelta(b *testing.B) {
	source := []byte(strings.Repeat(`{"id":17,"name":"magpie","state":"on its way"},`, 40))
	target := []byte(strings.Replace(string(source), "on its", "off its", 1))
	b.SetBytes(int64(len(target)))
	b.ReportAllocs()
	for b.Loop() {
		fossil.Delta(source, target, true)
	}
}
