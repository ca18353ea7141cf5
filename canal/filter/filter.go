// Package filter decides which rows of a table belong to a relation: it reads
// the relation's `where`, checks it against the table's columns, and tells of a
// row whether it passes.
//
// A `where` is written in the expr language (github.com/expr-lang/expr), in the
// part of it whose meaning is exact for columns of SQL:
//
//	column                        of a BOOLEAN: it is not 0
//	== != < <= > >=               of a column and a constant, or of two columns of one kind
//	in [..], not in [..]          a column among constants
//	in 1..9                       a whole number, both ends included
//	"label" in column             of a SET
//	contains startsWith endsWith  of text and a constant
//	matches                       of text and a regular expression (RE2)
//	and or not && || !            of all of these
//	column % 4, bitand(column, 4) of whole numbers
//	len(column)                   of text in characters, of bytes in bytes
//	$env["odd name"]              a column whose name is no identifier
//
// nil is NULL: `deleted_at == nil` and `deleted_at != nil` are IS NULL and IS NOT
// NULL. Any other comparison with a NULL is neither true nor false, as in SQL, and
// a row passes only when the whole is true.
//
// Only the grammar is expr's. Its machine computes with int and float64, which
// are not exact for BIGINT UNSIGNED and DECIMAL, and fails at run time where SQL
// does not. What is built here is total: it has an answer for every row.
package filter

import (
	"errors"
	"fmt"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// Expression is a `where` that can be read, not checked against columns yet. It
// is immutable.
type Expression struct {
	text    string
	runes   []rune
	root    ast.Node
	columns []string
}

// Parse reads a `where`.
func Parse(text string) (*Expression, error) {
	tree, err := parser.Parse(text)
	if at, ok := errors.AsType[*file.Error](err); ok {
		return nil, fmt.Errorf("where %s: %s (character %d)", text, at.Message, at.From+1)
	}
	if err != nil {
		return nil, fmt.Errorf("where %s: %w", text, err)
	}
	e := &Expression{text: text, runes: []rune(text), root: tree.Node}
	ast.Walk(&e.root, e)
	return e, nil
}

// String returns the text.
func (e *Expression) String() string { return e.text }

// Columns returns the names of the columns that it speaks of, each once, in the
// order of their appearance.
func (e *Expression) Columns() []string { return e.columns }

// Visit collects the columns; see ast.Visitor.
func (e *Expression) Visit(node *ast.Node) {
	name, ok := columnName(*node)
	if !ok {
		return
	}
	for _, known := range e.columns {
		if known == name {
			return
		}
	}
	e.columns = append(e.columns, name)
}

// environment is expr's word for all names together.
const environment = "$env"

// columnName returns the column that a node names, if it does.
func columnName(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return n.Value, n.Value != environment
	case *ast.MemberNode:
		whole, ok := n.Node.(*ast.IdentifierNode)
		property, isName := n.Property.(*ast.StringNode)
		if ok && isName && whole.Value == environment {
			return property.Value, true
		}
	}
	return "", false
}

// Filter is an Expression bound to columns. It is immutable, and safe for
// concurrent use.
type Filter struct{ condition condition }

// Bind checks the expression against the columns that it speaks of, which are in
// the order of Columns. An error names what does not fit, and the cure.
func (e *Expression) Bind(columns []Column) (*Filter, error) {
	b := binder{expression: e, columns: columns}
	c, err := b.condition(e.root)
	if err != nil {
		return nil, fmt.Errorf("where %s: %w", e.text, err)
	}
	return &Filter{c}, nil
}

// Passes says whether a row passes. It has a cell for each column, in the order
// of Columns, none of them Absent.
func (f *Filter) Passes(row []Cell) bool { return f.condition(row) == yes }

// truth is what a condition is: that of SQL.
type truth uint8

const (
	no truth = iota
	yes
	unknown
)

type condition func(row []Cell) truth

func truthOf(holds bool) truth {
	if holds {
		return yes
	}
	return no
}

func negation(c condition) condition {
	return func(row []Cell) truth {
		switch c(row) {
		case yes:
			return no
		case no:
			return yes
		}
		return unknown
	}
}

// both is AND: no if one of them is, else unknown if one of them is.
func both(l, r condition) condition {
	return func(row []Cell) truth {
		left := l(row)
		if left == no {
			return no
		}
		if right := r(row); right != yes {
			return right
		}
		return left
	}
}

// either is OR.
func either(l, r condition) condition { return negation(both(negation(l), negation(r))) }
