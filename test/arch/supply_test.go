package arch

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// O4: the licences that Magpie may carry in its binary, by words that only they
// have.
var licences = map[string]string{
	"MIT":        "Permission is hereby granted, free of charge",
	"Apache-2.0": "Apache License",
	"BSD":        "Redistribution and use in source and binary forms",
	"ISC":        "Permission to use, copy, modify, and distribute this software",
	"MPL-2.0":    "Mozilla Public License",
}

// licenceOf finds the licence of a module in its folder; "" when it has none of
// those above, or another beside them.
func licenceOf(dir string) (found string) {
	for _, name := range []string{"LICEN[CS]E*", "COPYING*"} {
		files, _ := filepath.Glob(filepath.Join(dir, name)) // the pattern is a good one
		for _, file := range files {
			if found = licenceIn(file); found == "" {
				return ""
			}
		}
	}
	return found
}

func licenceIn(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	plain := strings.Join(strings.Fields(string(text)), " ")
	for licence, words := range licences {
		if strings.Contains(plain, words) && !strings.Contains(plain, "GNU") {
			return licence
		}
	}
	return ""
}

func TestLicences(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}", "./cmd/magpie")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Compact(slices.Sorted(strings.Lines(string(out))))
	if len(modules) < 10 {
		t.Fatalf("%d modules only", len(modules))
	}
	for _, line := range modules {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path != "" && licenceOf(dir) == "" {
			t.Errorf("%s in %s has none of the licences that may be in the binary", path, dir)
		}
	}
	// The check must be able to fail.
	for what, files := range map[string]map[string]string{
		"none":               {},
		"another":            {"LICENSE": "GNU AFFERO GENERAL PUBLIC LICENSE"},
		"another beside one": {"LICENSE": licences["MIT"], "LICENSE.parts": "GNU AFFERO GENERAL PUBLIC LICENSE"},
		"another name":       {"LICENSE": licences["MIT"], "COPYING": "GNU AFFERO GENERAL PUBLIC LICENSE"},
	} {
		strange := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(strange, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := licenceOf(strange); got != "" {
			t.Errorf("%s: passes as %s", what, got)
		}
	}
}

// O3: the list of what is in the binary has what go.sum has, and reads as JSON.
func TestSBOM(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "magpie")
	build := exec.Command("go", "build", "-o", binary, "./cmd/magpie")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(root, "scripts", "sbom"), binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string
		Metadata   struct{ Component struct{ Name string } }
		Components []struct {
			Name, Version, Purl string
			Properties          []struct{ Value string }
		}
	}
	if err := json.Unmarshal(out, &bom); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Name != "magpie" || len(bom.Components) < 10 || bom.Components[0].Name != "std" {
		t.Errorf("%s", out)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range bom.Components[1:] {
		if len(c.Properties) != 1 || !strings.Contains(string(sums), c.Name+" "+c.Version+" "+c.Properties[0].Value+"\n") || c.Purl != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("%+v is not in go.sum", c)
		}
	}
	if out, err := exec.Command(filepath.Join(root, "scripts", "sbom"), "/bin/sh").CombinedOutput(); err == nil {
		t.Errorf("what is no Go binary has a list: %s", out)
	}
}
