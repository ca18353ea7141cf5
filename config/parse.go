package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// notYAML is text that is not one YAML document. It never quotes the text,
// which may be a secret.
type notYAML struct {
	line    int // 0: unknown
	problem string
}

func (e notYAML) Error() string { return e.problem }

// parse returns the root of the one document that text must be.
func parse(text []byte) (*yaml.Node, error) {
	var doc, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) || (err == nil && len(doc.Content) == 0) {
		return nil, notYAML{problem: "is empty; at least relations must be set"}
	}
	if err != nil {
		return nil, explain(err, text)
	}
	switch err := d.Decode(&second); {
	case err == nil:
		return nil, notYAML{second.Line, "a second YAML document starts here, and only one is read; remove it"}
	case !errors.Is(err, io.EOF):
		return nil, explain(err, text)
	}
	return doc.Content[0], nil
}

// explain turns an error of the YAML parser into ours.
func explain(err error, text []byte) notYAML {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	// The one case in which the parser quotes the text: an alias without an
	// anchor, which is what an unquoted password that starts with * looks like.
	if name, ok := strings.CutPrefix(problem, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		return notYAML{lineWith(text, "*"+name), "an alias (*) without its anchor (&); put text that starts with * in quotes"}
	}
	if line := tabbedLine(text); line > 0 && (strings.Contains(problem, "cannot start any token") || strings.Contains(problem, "tab character")) {
		return notYAML{line, "a tab in front of the line; indent by spaces"}
	}
	// The parser names no line when it means the first, and counts some from 0.
	line := 1
	if _, err := fmt.Sscanf(problem, "line %d:", &line); err == nil {
		_, problem, _ = strings.Cut(problem, ": ")
	}
	return notYAML{line, "not YAML near here: " + problem + "; check quotes, colons and indentation"}
}

// tabbedLine returns the number of the first line that has a tab in the white
// space in front of it, 0 if there is none.
func tabbedLine(text []byte) int {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.Contains(indent, []byte("\t")) {
			return number
		}
	}
	return 0
}

// lineWith returns the number of the first line that has s, 0 if there is none.
func lineWith(text []byte, s string) int {
	before, _, found := bytes.Cut(text, []byte(s))
	if !found {
		return 0
	}
	return 1 + bytes.Count(before, []byte("\n"))
}
