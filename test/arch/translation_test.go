package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

// asciiPunctuation finds punctuation of English beside a Chinese character.
var asciiPunctuation = regexp.MustCompile(`\p{Han}[,:;?!()]|[,:;?!(]\p{Han}|[)]\p{Han}`)

// misplaced returns what stands beside a Chinese character as in English: links
// end with an ASCII bracket and do not count.
func misplaced(text string) []string {
	return asciiPunctuation.FindAllString(link.ReplaceAllString(text, "]"), -1)
}

// The Chinese page leads where the English one does, and is set as Chinese is.
func TestTheChinesePageIsAsGoodAsTheEnglishOne(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	english, chinese := read("README.md"), read("README.zh-CN.md")
	for _, m := range link.FindAllStringSubmatch(english, -1) {
		if m[1] != "README.zh-CN.md" && !strings.Contains(chinese, "]("+m[1]+")") {
			t.Errorf("the Chinese page has no link to %s", m[1])
		}
	}
	if found := misplaced(chinese); found != nil {
		t.Errorf("punctuation of English: %q", found)
	}
}

func TestPunctuationOfEnglishIsFound(t *testing.T) {
	for text, want := range map[string]int{"你好,世界": 1, "看(这里)吧": 2, "见 [文档](docs/a.md)。": 0, "好，(喜鹊": 1, "1,000 条": 0} {
		if got := misplaced(text); len(got) != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}
