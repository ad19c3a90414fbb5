package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"magpie/internal/spelling"
)

// maxFile is far above what ninety settings and a long list of rules need; a
// larger file is the wrong file.
const maxFile = 1 << 20

func readFile(name string) (map[string]raw, Problems) {
	text, err := readAtMost(name, maxFile+1)
	if err != nil {
		var p Problems
		p.addf(name, "the file cannot be read (%s); check the path given with --config or MAGPIE_CONFIG", err)
		return nil, p
	}
	return parseFile(name, text)
}

// readAtMost returns the first bytes of a file. Its errors leave out the
// file's name.
func readAtMost(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(f, most)); err == nil {
			return text, nil
		}
	}
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	return nil, err
}

// parseFile reads YAML into one raw per setting and reports every key that
// is unknown or written twice. name is only for the messages.
func parseFile(name string, text []byte) (map[string]raw, Problems) {
	d := fileReader{name: name, found: make(map[string]raw)}
	if len(text) > maxFile {
		d.problems.addf(name, "the file is longer than 1MB; this is hardly a file of settings")
		return nil, d.problems
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // a file of nothing but comments is fine
			d.broken(err)
		}
		return d.found, d.problems
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.problems.addf(name, "the file holds more than one YAML document; keep one")
	}
	d.mapping("", doc.Content[0])
	return d.found, d.problems
}

type fileReader struct {
	name     string
	found    map[string]raw
	problems Problems
}

// broken reports an error of the YAML library: "yaml: line 3: what".
func (d *fileReader) broken(err error) {
	source, what := d.name, strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, found := strings.CutPrefix(what, "line "); found {
		line, text, _ := strings.Cut(rest, ": ")
		source, what = source+":"+line, text
	}
	d.problems.addf(source, "this is not YAML (%s); mend this line or the one above it", what)
}

func (d *fileReader) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", d.name, n.Line) }

// mapping reads the keys below path. Only ingest nests, so it goes two deep.
func (d *fileReader) mapping(path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.problems.addf(d.at(n), "the file's top level is not a list of settings; write lines such as addr: localhost:8080")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		d.entry(path+n.Content[i].Value, n.Content[i], n.Content[i+1])
	}
}

func (d *fileReader) entry(key string, k, v *yaml.Node) {
	group := inGroup(key)
	switch {
	case lookup(key) != nil:
		d.setting(key, k, v)
	case len(group) > 0 && v.Kind == yaml.MappingNode:
		d.mapping(key+".", v)
	case len(group) > 0:
		d.problems.addf(d.at(k), "%s holds no settings; write %s below it, indented", key, strings.Join(group, " and "))
	default:
		d.problems.addf(d.at(k), "there is no setting %q; %s", key, suggestion("", spelling.Nearest(key, names(func(s *setting) string { return s.key }))))
	}
}

func (d *fileReader) setting(key string, k, v *yaml.Node) {
	if before, twice := d.found[key]; twice {
		d.problems.addf(d.at(k), "%s is set twice, first in %s; keep one", key, before.source)
		return
	}
	if v.Kind == yaml.ScalarNode && v.ShortTag() == "!!null" {
		return // "redis:" with nothing behind it: not set
	}
	r := raw{source: d.at(k), node: v}
	plain := true
	switch v.Kind {
	case yaml.ScalarNode:
		r.texts = []string{v.Value}
	case yaml.SequenceNode:
		for _, e := range v.Content {
			r.texts = append(r.texts, e.Value)
			plain = plain && e.Kind == yaml.ScalarNode
		}
	default:
		plain = false
	}
	if !plain && key != "rules" { // whose entries have a reader of their own
		d.problems.addf(d.at(k), "%s holds something other than plain values; write %s: value", key, key)
		return
	}
	d.found[key] = r
}

func inGroup(key string) (keys []string) {
	for _, s := range settings {
		if rest, ok := strings.CutPrefix(s.key, key+"."); ok {
			keys = append(keys, rest)
		}
	}
	return keys
}
