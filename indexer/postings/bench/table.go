//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// table is what was measured of all subjects with one kind of data.
type table struct {
	title string
	rows  []row
}

type row struct {
	name   string
	cells  []cell // in the order of the subjects
	ratios bool   // to the map
}

// cell is a figure, unless the subject was not able to give one.
type cell struct {
	able  bool
	value float64
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

// print prints the table, with ratios to the map in brackets.
func (t *table) print(subjects []string) {
	base := -1
	fmt.Printf("\n%s\n%-27s", t.title, "")
	for i, name := range subjects {
		if name == names[1] {
			base = i
		}
		fmt.Printf("%18s", name)
	}
	fmt.Println()
	for _, r := range t.rows {
		var line strings.Builder
		fmt.Fprintf(&line, "%-27s", r.name)
		for _, c := range r.cells {
			line.WriteString(fmt.Sprintf("%18s", r.text(c, base)))
		}
		fmt.Println(strings.TrimRight(line.String(), " "))
	}
}

func (r *row) text(c cell, base int) string {
	switch {
	case !c.able:
		return "-"
	case r.ratios && base >= 0 && r.cells[base].value > 0:
		return fmt.Sprintf("%s (%s)", number(c.value), number(c.value/r.cells[base].value))
	}
	return number(c.value)
}

// number writes three digits that tell something.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// rate returns millions a second.
func rate[N int | uint64](n N, took time.Duration) float64 { return float64(n) / took.Seconds() / 1e6 }
