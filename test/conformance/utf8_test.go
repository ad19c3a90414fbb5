package conformance

import (
	"fmt"
	"strings"
)

const greek = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" // κόσμε, with ό of three octets

// utf8Cases is group 6. Groups 6.5 to 6.23 are Markus Kuhn's table of what
// decoders get wrong.
func utf8Cases() []conversation {
	all := []conversation{
		{"6.1.1", []turn{say(text("")).echo("")}, stays},
		{"6.1.2", []turn{say(masked(opText, ""), masked(0, ""), masked(fin, "")).echo("")}, stays},
		{"6.1.3", []turn{say(masked(opText, ""), masked(0, "middle"), masked(fin, "")).echo("middle")}, stays},
		{"6.2.1", []turn{say(text("Hello-µ@ßöäüàá-UTF-8!!")).echo("Hello-µ@ßöäüàá-UTF-8!!")}, stays},
		{"6.2.2", []turn{say(pieces(opText, "Hello-µ@ßöä"+"üàá-UTF-8!!", len("Hello-µ@ßöä"))...).echo("Hello-µ@ßöäüàá-UTF-8!!")}, stays},
		{"6.2.3", []turn{say(pieces(opText, "Hello-µ@ßöäüàá-UTF-8!!", 1)...).echo("Hello-µ@ßöäüàá-UTF-8!!")}, stays},
		{"6.2.4", []turn{say(pieces(opText, greek, 1)...).echo(greek)}, stays},
		{"6.3.1", []turn{say(text(greek + "\xed\xa0\x80edited"))}, 1007},
		{"6.3.2", []turn{say(pieces(opText, greek+"\xed\xa0\x80edited", 1)...)}, 1007},
		// Fail fast: the rest of the message is never sent.
		{"6.4.1", []turn{say(masked(opText, greek), masked(0, "\xf4\x90\x80\x80"))}, 1007},
		{"6.4.2", []turn{say(masked(opText, greek+"\xf4"), masked(0, "\x90"))}, 1007},
		{"6.4.3", []turn{say(half(greek+"\xf4\x90\x80\x80edited", len(greek)+4))}, 1007},
		{"6.4.4", []turn{say(half(greek+"\xf4\x90\x80\x80edited", len(greek)+2))}, 1007},
		{"a character that the end cuts", []turn{say(masked(opText, greek), masked(fin, "\xe2\x82"))}, 1007},
		{"a binary message is no text", []turn{say(bin("\xff\xfe")).echoBinary("\xff\xfe")}, stays},
	}
	for i, s := range []string{"hello$world", "hello¢world", "hello€world", "hello𤭢world", greek} {
		all = append(all, utf8Case(fmt.Sprintf("6.5.%d", i+1), s, true))
	}
	for n := 1; n <= len(greek); n++ {
		all = append(all, utf8Case(fmt.Sprintf("6.6.%d", n), greek[:n], strings.HasPrefix(greek, strings.ToValidUTF8(greek[:n], "?"))))
	}
	for _, group := range kuhn() {
		for i, s := range group.texts {
			all = append(all, utf8Case(fmt.Sprintf("6.%d.%d", group.number, i+1), s, group.valid))
		}
	}
	return all
}

// half is the first n octets of a text frame's payload, with its header.
func half(payload string, n int) []byte {
	whole := text(payload)
	return whole[:len(whole)-len(payload)+n]
}

func utf8Case(id, s string, valid bool) conversation {
	if valid {
		return conversation{id, []turn{say(text(s)).echo(s)}, stays}
	}
	return conversation{id, []turn{say(text(s))}, 1007}
}

type utf8Group struct {
	number int
	valid  bool
	texts  []string
}

func kuhn() []utf8Group {
	lonely := []string{starts(0xc0, 32), starts(0xe0, 16), starts(0xf0, 8), starts(0xf8, 4), starts(0xfc, 2)}
	cut := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	continuations := []string{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", "", "\x81\xbf"}
	for b := 0x80; b <= 0xbf; b++ {
		continuations[7] += string([]byte{byte(b)})
	}
	var nonCharacters, specials, pairs []string
	for plane := rune(0); plane <= 16; plane++ {
		nonCharacters = append(nonCharacters, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	for r := rune(0xfff9); r <= 0xffff; r++ {
		specials = append(specials, string(r))
	}
	for _, high := range []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf"} {
		pairs = append(pairs, high+"\xed\xb0\x80", high+"\xed\xbf\xbf")
	}
	return []utf8Group{
		{7, true, []string{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}},
		{8, false, []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{9, true, []string{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}},
		{10, false, []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf", "\xf4\x90\x80\x80"}},
		{11, true, []string{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf"}},
		{12, false, continuations},
		{13, false, lonely},
		{14, false, cut},
		{15, false, []string{strings.Join(cut, "")}},
		{16, false, []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		{17, false, []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"}},
		{18, false, []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"}},
		{19, false, []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"}},
		{20, false, []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"}},
		{21, false, pairs},
		{22, true, nonCharacters},
		{23, true, specials},
	}
}

// starts are the first octets of sequences, each before a space.
func starts(first byte, n int) string {
	var b strings.Builder
	for i := range n {
		b.Write([]byte{first + byte(i), ' '})
	}
	return b.String()
}
