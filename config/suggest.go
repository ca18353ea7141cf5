package config

import "strings"

// suggest returns the cure for a key that is none of the fields.
func suggest(name string, fields []field) string {
	const near = 2 // edits; more would suggest what nobody meant
	best, distance := "", near+1
	for _, f := range fields {
		if d := edits(plain(name), plain(f.name)); d < distance {
			best, distance = f.name, d
		}
	}
	if best != "" && distance < len(best)-1 {
		return "did you mean " + best + "?"
	}
	return "the keys here are " + names(fields)
}

// plain takes away how a name is written: passwordFile is password_file.
func plain(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), "_", ""), "-", "")
}

func names(fields []field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return strings.Join(list, ", ")
}

// edits returns the number of bytes to insert, remove or replace to turn a into
// b (Levenshtein), by dynamic programming over one row.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
