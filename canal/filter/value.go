package filter

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/kithdb/kith/canal/binlog"
)

// value is what a row has of a column, or of what is computed from one.
type value struct {
	name    string // for messages
	as      string // its type
	kind    Kind
	boolean bool
	labels  []string
	of      func(row []Cell) Cell
}

// test makes a condition of a test that NULL neither passes nor fails.
func (v *value) test(holds func(Cell) bool) condition {
	return func(row []Cell) truth {
		cell := v.of(row)
		if cell.State == binlog.Null {
			return unknown
		}
		return truthOf(holds(cell))
	}
}

func (v *value) isNull(operator string) (condition, error) {
	if operator != "==" && operator != "!=" {
		return nil, fmt.Errorf("%s: nothing is less or more than nil: compare with it by == and !=", v.name)
	}
	return func(row []Cell) truth { return truthOf((v.of(row).State == binlog.Null) == (operator == "==")) }, nil
}

// value binds a node that is a column, or computed from one.
func (b *binder) value(node ast.Node) (*value, error) {
	if name, ok := columnName(node); ok {
		return b.column(name)
	}
	switch n := node.(type) {
	case *ast.BinaryNode:
		if n.Operator == "%" {
			return b.computed("%", n.Left, n.Right)
		}
		return nil, fmt.Errorf("%s cannot be computed exactly here: compare columns with constants", n.Operator)
	case *ast.BuiltinNode:
		switch {
		case n.Name == "bitand" && len(n.Arguments) == 2:
			return b.computed("bitand", n.Arguments[0], n.Arguments[1])
		case n.Name == "len" && len(n.Arguments) == 1:
			return b.size(n.Arguments[0])
		}
		return nil, fmt.Errorf("there is no function %s here: there are bitand and len", n.Name)
	}
	if not, ok := node.(*ast.UnaryNode); ok && (not.Operator == "not" || not.Operator == "!") {
		return nil, fmt.Errorf("%s belongs to what is next to it: write %[1]s (a == b), or a != b", not.Operator)
	}
	if isConstant(node) {
		return nil, errors.New("a constant stands where a column is wanted")
	}
	return nil, errors.New("it uses what expr has and a where has not: compare columns with constants, and join that by and, or, not")
}

func (b *binder) column(name string) (*value, error) {
	i := slices.Index(b.expression.columns, name)
	c := &b.columns[i]
	if c.Kind == Unreadable {
		return nil, fmt.Errorf("column %s is %s, whose values are not the same bytes everywhere or cannot be compared: "+
			"use a column of integers, DECIMAL, text, ENUM, SET, dates or times", name, c.Type)
	}
	if !comparable(c.Charset) {
		return nil, fmt.Errorf("column %s is of character set %s, and kith compares text of ascii, latin1, utf8mb3 and utf8mb4: "+
			"use another column, or alter this one", name, c.Charset)
	}
	return &value{name: "column " + name, as: c.Type, kind: c.Kind, boolean: c.Boolean, labels: c.Labels,
		of: func(row []Cell) Cell { return row[i] }}, nil
}

// computed binds an operation of a column and a whole number.
func (b *binder) computed(operation string, left, right ast.Node) (*value, error) {
	v, err := b.value(left)
	if err != nil {
		return nil, err
	}
	n, ok := right.(*ast.IntegerNode)
	if v.kind != Integer || !ok || n.Value < 0 || operation == "%" && n.Value == 0 {
		return nil, fmt.Errorf("%s wants a column of integers and a whole number above zero, and %s is %s", operation, v.name, v.as)
	}
	by, of := uint64(n.Value), v.of
	compute := func(x binlog.Value) binlog.Value { return binlog.Value{Bits: x.Bits & by, State: binlog.Present} }
	if operation == "%" {
		compute = func(x binlog.Value) binlog.Value { return remainder(x, by) }
	}
	return &value{name: operation + " of " + v.name, as: "a whole number", kind: Integer, of: func(row []Cell) Cell {
		cell := of(row)
		if cell.State != binlog.Null {
			cell.Value = compute(cell.Value)
		}
		return cell
	}}, nil
}

// remainder has the sign of x, as in SQL.
func remainder(x binlog.Value, by uint64) binlog.Value {
	if x.State != binlog.Negative {
		return binlog.Value{Bits: x.Bits % by, State: binlog.Present}
	}
	n := -x.Bits % by
	if n == 0 {
		return binlog.Value{State: binlog.Present}
	}
	return binlog.Value{Bits: -n, State: binlog.Negative}
}

// size binds len.
func (b *binder) size(node ast.Node) (*value, error) {
	v, err := b.value(node)
	if err != nil {
		return nil, err
	}
	count := utf8.RuneCount
	switch v.kind {
	case Text:
	case Binary:
		count = func(b []byte) int { return len(b) }
	default:
		return nil, fmt.Errorf("len wants text, and %s is %s", v.name, v.as)
	}
	of := v.of
	return &value{name: "len of " + v.name, as: "a whole number", kind: Integer, of: func(row []Cell) Cell {
		cell := of(row)
		if cell.State != binlog.Null {
			cell.Bits = uint64(count(cell.Bytes))
		}
		return cell
	}}, nil
}

// textTest binds what asks for a part of text.
func (b *binder) textTest(operator string, left, right ast.Node) (condition, error) {
	v, err := b.value(left)
	if err != nil {
		return nil, err
	}
	text, ok := right.(*ast.StringNode)
	if !ok || v.kind != Text && v.kind != Binary {
		hint := ""
		if v.kind == Set {
			hint = `; a label of a SET is asked for by "label" in ` + strings.TrimPrefix(v.name, "column ")
		}
		return nil, fmt.Errorf("%s wants text before it and a constant behind it, and %s is %s%s", operator, v.name, v.as, hint)
	}
	part := []byte(text.Value)
	switch operator {
	case "contains":
		return v.test(func(cell Cell) bool { return bytes.Contains(cell.Bytes, part) }), nil
	case "startsWith":
		return v.test(func(cell Cell) bool { return bytes.HasPrefix(cell.Bytes, part) }), nil
	case "endsWith":
		return v.test(func(cell Cell) bool { return bytes.HasSuffix(cell.Bytes, part) }), nil
	}
	pattern, err := regexp.Compile(text.Value)
	if err != nil {
		return nil, fmt.Errorf("matches: %w", err)
	}
	return v.test(func(cell Cell) bool { return pattern.Match(cell.Bytes) }), nil
}

// mask returns the bit of a label of a SET.
func (v *value) mask(label string) (uint64, error) {
	i := slices.Index(v.labels, label)
	if i < 0 {
		return 0, v.noLabel(label)
	}
	return 1 << i, nil
}

func (v *value) noLabel(label string) error {
	return fmt.Errorf("%s has no label %q: it has %s", v.name, label, strings.Join(v.labels, ", "))
}

// constant returns a constant as a cell of the value's kind.
func (b *binder) constant(v *value, node ast.Node) (cell Cell, err error) {
	wrong := func(want string) (Cell, error) {
		return Cell{}, fmt.Errorf("%s is %s: compare it with %s", v.name, v.as, want)
	}
	number, isNumber := b.number(node)
	text, isText := node.(*ast.StringNode)
	switch v.kind {
	case Integer:
		if cell.Value, err = ParseInteger([]byte(number)); !isNumber || err != nil {
			return wrong("a whole number of 64 bits (in quotes from 9223372036854775808 on)")
		}
	case Decimal:
		if !isNumber {
			return wrong("a number")
		}
		cell.Bytes, cell.State = []byte(number), binlog.Present
	case Moment, Clock:
		parse, want := parseMoment, `a date in quotes, such as "2024-01-31" or "2024-01-31 12:34:56"`
		if v.kind == Clock {
			parse, want = parseClock, `a time in quotes, such as "12:34:56"`
		}
		if !isText {
			return wrong(want)
		}
		if cell.Value, err = parse([]byte(text.Value)); err != nil {
			return wrong(want)
		}
	default:
		cell.State = binlog.Present
		raw, isBytes := node.(*ast.BytesNode)
		switch {
		case isText:
			cell.Bytes = []byte(text.Value)
		case isBytes && v.kind == Binary:
			cell.Bytes = raw.Value
		default:
			return wrong("text in quotes")
		}
	}
	return cell, nil
}

var plainNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// number returns a constant as SQL writes numbers, exactly as it was written: a
// number, or one in quotes.
func (b *binder) number(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return strconv.Itoa(n.Value), true
	case *ast.FloatNode: // whose value is rounded
		at := n.Location()
		text := strings.ReplaceAll(string(b.expression.runes[at.From:at.To]), "_", "")
		if strings.HasPrefix(text, ".") {
			text = "0" + text
		}
		return text, plainNumber.MatchString(text)
	case *ast.StringNode:
		return n.Value, plainNumber.MatchString(n.Value)
	case *ast.UnaryNode:
		text, ok := b.number(n.Node)
		if _, quoted := n.Node.(*ast.StringNode); !ok || quoted || strings.HasPrefix(text, "-") {
			return "", false
		}
		if n.Operator == "-" {
			text = "-" + text
		}
		return text, true
	}
	return "", false
}
