package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/kithdb/kith/canal/binlog"
)

// binder makes conditions of the nodes of an expression.
type binder struct {
	expression *Expression
	columns    []Column
}

// condition binds a node that is true or false.
func (b *binder) condition(node ast.Node) (condition, error) {
	switch n := node.(type) {
	case *ast.BoolNode:
		holds := truthOf(n.Value)
		return func([]Cell) truth { return holds }, nil
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			c, err := b.condition(n.Node)
			if err != nil {
				return nil, err
			}
			return negation(c), nil
		}
	case *ast.BinaryNode:
		return b.binary(n)
	}
	v, err := b.value(node)
	if err != nil {
		return nil, err
	}
	if !v.boolean {
		return nil, fmt.Errorf("%s is %s, which is neither true nor false: compare it with something", v.name, v.as)
	}
	return v.test(func(cell Cell) bool { return cell.Bits != 0 }), nil
}

func (b *binder) binary(n *ast.BinaryNode) (condition, error) {
	switch n.Operator {
	case "and", "&&", "or", "||":
		left, err := b.condition(n.Left)
		right, rightErr := b.condition(n.Right)
		if err := errors.Join(err, rightErr); err != nil {
			return nil, err
		}
		if n.Operator == "and" || n.Operator == "&&" {
			return both(left, right), nil
		}
		return either(left, right), nil
	case "==", "!=", "<", "<=", ">", ">=":
		return b.comparison(n.Operator, n.Left, n.Right)
	case "in":
		return b.membership(n.Left, n.Right)
	case "contains", "startsWith", "endsWith", "matches":
		return b.textTest(n.Operator, n.Left, n.Right)
	}
	return nil, fmt.Errorf("%s cannot be used for true and false", n.Operator)
}

// constant says whether a node is one: what else could be compared is a value.
func isConstant(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.BytesNode, *ast.NilNode, *ast.ArrayNode:
		return true
	case *ast.UnaryNode:
		return (n.Operator == "-" || n.Operator == "+") && isConstant(n.Node)
	}
	return false
}

// mirrored are operators by what they are with their sides exchanged.
func mirrored(operator string) string {
	switch operator {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return operator
}

// comparison binds a comparison.
func (b *binder) comparison(operator string, left, right ast.Node) (condition, error) {
	if isConstant(left) && isConstant(right) {
		return nil, errors.New("it compares two constants: name a column")
	}
	if isConstant(left) {
		left, right, operator = right, left, mirrored(operator)
	}
	l, err := b.value(left)
	if err != nil {
		return nil, err
	}
	if _, isNil := right.(*ast.NilNode); isNil {
		return l.isNull(operator)
	}
	if isConstant(right) {
		return b.against(operator, l, right)
	}
	r, err := b.value(right)
	if err != nil {
		return nil, err
	}
	if l.kind != r.kind || l.kind == Enum || l.kind == Set {
		return nil, fmt.Errorf("%s is %s, and %s is %s: only columns of one kind can be compared", l.name, l.as, r.name, r.as)
	}
	holds := ordering(operator)
	return func(row []Cell) truth {
		x, y := l.of(row), r.of(row)
		if x.State == binlog.Null || y.State == binlog.Null {
			return unknown
		}
		return truthOf(holds(compare(l.kind, &x, &y)))
	}, nil
}

// against binds a comparison with a constant.
func (b *binder) against(operator string, l *value, right ast.Node) (condition, error) {
	if l.kind == Enum || l.kind == Set {
		return b.labelled(operator, l, right)
	}
	if truth, ok := right.(*ast.BoolNode); ok && l.boolean && (operator == "==" || operator == "!=") {
		want := truth.Value == (operator == "==")
		return l.test(func(cell Cell) bool { return (cell.Bits != 0) == want }), nil
	}
	c, err := b.constant(l, right)
	if err != nil {
		return nil, err
	}
	holds := ordering(operator)
	return l.test(func(cell Cell) bool { return holds(compare(l.kind, &cell, &c)) }), nil
}

// ordering says of which results of compare an operator holds.
func ordering(operator string) func(int) bool {
	switch operator {
	case "==":
		return func(order int) bool { return order == 0 }
	case "!=":
		return func(order int) bool { return order != 0 }
	case "<":
		return func(order int) bool { return order < 0 }
	case "<=":
		return func(order int) bool { return order <= 0 }
	case ">":
		return func(order int) bool { return order > 0 }
	}
	return func(order int) bool { return order >= 0 }
}

// membership binds `in`.
func (b *binder) membership(left, right ast.Node) (condition, error) {
	if text, ok := left.(*ast.StringNode); ok && !isConstant(right) {
		v, err := b.value(right)
		if err != nil {
			return nil, err
		}
		if v.kind != Set {
			return nil, fmt.Errorf("%s is %s, and only a SET holds labels", v.name, v.as)
		}
		mask, err := v.mask(text.Value)
		if err != nil {
			return nil, err
		}
		return v.test(func(cell Cell) bool { return cell.Bits&mask != 0 }), nil
	}
	switch n := right.(type) {
	case *ast.ArrayNode:
		return b.among(left, n.Nodes)
	case *ast.BinaryNode:
		if n.Operator == ".." {
			from, err := b.comparison(">=", left, n.Left)
			to, toErr := b.comparison("<=", left, n.Right)
			if err := errors.Join(err, toErr); err != nil {
				return nil, err
			}
			return both(from, to), nil
		}
	}
	return nil, errors.New(`in wants constants behind it, such as ["a", "b"] or 1..9, or a SET`)
}

// among binds `in` a list of constants.
func (b *binder) among(left ast.Node, constants []ast.Node) (condition, error) {
	if len(constants) == 0 || isConstant(left) {
		return nil, errors.New("in wants a column before it, and at least one constant behind it")
	}
	found := condition(func([]Cell) truth { return no })
	for i, node := range constants {
		if _, isNil := node.(*ast.NilNode); isNil || !isConstant(node) {
			return nil, errors.New("in wants constants other than nil behind it: compare with nil by == and !=")
		}
		c, err := b.comparison("==", left, node)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			found = c
		} else {
			found = either(found, c)
		}
	}
	return found, nil
}

// labelled binds a comparison of an ENUM or SET with labels.
func (b *binder) labelled(operator string, l *value, right ast.Node) (condition, error) {
	text, ok := right.(*ast.StringNode)
	if !ok || operator != "==" && operator != "!=" {
		return nil, fmt.Errorf("%s is %s: compare it with a label in quotes, by == or !=", l.name, l.as)
	}
	equal := operator == "=="
	if l.kind == Set {
		mask := uint64(0)
		for label := range strings.SplitSeq(text.Value, ",") {
			bit, err := l.mask(label)
			if err != nil && text.Value != "" {
				return nil, err
			}
			mask |= bit
		}
		return l.test(func(cell Cell) bool { return (cell.Bits == mask) == equal }), nil
	}
	number := uint64(slices.Index(l.labels, text.Value) + 1)
	if number == 0 && text.Value != "" {
		return nil, l.noLabel(text.Value)
	}
	if text.Value == "" { // also what a faulty INSERT left
		return l.test(func(cell Cell) bool { return (cell.Bits == 0 || cell.Bits == number) == equal }), nil
	}
	return l.test(func(cell Cell) bool { return (cell.Bits == number) == equal }), nil
}
