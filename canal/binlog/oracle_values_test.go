package binlog

import (
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"
)

// imageTexts returns the values of columns in all images of an event as text: as
// SQL writes them, strings in quotes.
func imageTexts(reader *RowReader, rows Rows, columns []int) (images [][]string, err error) {
	reader.Reset(rows)
	for reader.Next() {
		for i, values := range [][]Value{reader.Before(), reader.After()} {
			if values == nil {
				continue
			}
			raw := [][][]byte{reader.BytesBefore(), reader.BytesAfter()}[i]
			image := make([]string, len(columns))
			for slot, column := range columns {
				if image[slot], err = shownText(reader.table.Columns[column], values[slot], raw[slot]); err != nil {
					return images, err
				}
			}
			images = append(images, image)
		}
	}
	return images, reader.Err()
}

func shownText(c Column, v Value, raw []byte) (string, error) {
	switch {
	case v.State == Absent:
		return "absent", nil
	case v.State == Null:
		return "NULL", nil
	case c.IsText():
		return fmt.Sprintf("%q", raw), nil
	case c.Type == ColumnNewDecimal:
		text, err := c.AppendDecimal(nil, raw)
		return string(text), err
	case c.isTime():
		return timeText(c, v), nil
	case v.State == Negative:
		return fmt.Sprint(int64(v.Bits)), nil
	}
	return fmt.Sprint(v.Bits), nil
}

// isTime says whether the column's values are dates, times, or both.
func (c Column) isTime() bool {
	switch c.Type {
	case ColumnDate, ColumnNewDate, ColumnTime, ColumnDateTime, ColumnTimestamp, ColumnTime2, ColumnDateTime2, ColumnTimestamp2:
		return true
	}
	return false
}

// timeText undoes DateTime and TimeOfDay.
func timeText(c Column, v Value) string {
	n, sign := v.Bits, ""
	if v.State == Negative {
		n, sign = -n, "-"
	}
	switch c.Type {
	case ColumnTime, ColumnTime2:
		seconds := n / 1_000_000
		return withFraction(fmt.Sprintf("%s%02d:%02d:%02d", sign, seconds/3600, seconds/60%60, seconds%60), n%1_000_000)
	}
	clock, day := n>>20, n>>37
	date := fmt.Sprintf("%04d-%02d-%02d", day>>9, day>>5&15, day&31)
	if c.Type == ColumnDate || c.Type == ColumnNewDate {
		return date
	}
	return withFraction(fmt.Sprintf("%s %02d:%02d:%02d", date, clock>>12&31, clock>>6&63, clock&63), n&(1<<20-1))
}

// withFraction appends microseconds without zeroes at their end, of which the oracle
// has as many as the column, or none.
func withFraction(text string, microseconds uint64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%s.%06d", text, microseconds), "0"), ".")
}

// oracleTexts returns the same of the oracle.
func oracleTexts(table *TableMap, e *replication.RowsEvent, columns []int) [][]string {
	var images [][]string
	for i, row := range e.Rows {
		image := make([]string, len(columns))
		for slot, column := range columns {
			image[slot] = oracleText(table.Columns[column], row[column])
		}
		for _, skipped := range e.SkippedColumns[i] {
			for slot, column := range columns {
				if column == skipped {
					image[slot] = "absent"
				}
			}
		}
		images = append(images, image)
	}
	return images
}

func oracleText(c Column, value any) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case []byte:
		return fmt.Sprintf("%q", v)
	case string:
		switch {
		case c.IsText():
			return fmt.Sprintf("%q", v)
		case c.Type == ColumnTime:
			return oldTimeText(v)
		case c.isTime() && strings.Contains(v, "."):
			v = strings.TrimRight(strings.TrimRight(v, "0"), ".")
			if c.Type == ColumnTimestamp2 && strings.Contains(v, ".") { // of the first second, which MariaDB shows as 1970 [seen on 10.11 and 11.8]
				v = strings.Replace(v, "0000-00-00", "1970-01-01", 1)
			}
		}
		return v
	case int64:
		if c.Type == ColumnBit || c.RealType() == ColumnSet {
			return fmt.Sprint(uint64(v))
		}
	}
	return fmt.Sprint(value)
}

// oldTimeText is a TIME of before MySQL 5.6, which the oracle takes for unsigned.
func oldTimeText(oracle string) string {
	var hours, minutes, seconds int
	if _, err := fmt.Sscanf(oracle, "%d:%d:%d", &hours, &minutes, &seconds); err != nil {
		return oracle
	}
	n, sign := hours*10000+minutes*100+seconds, ""
	if n >= 1<<23 {
		n, sign = 1<<24-n, "-"
	}
	return fmt.Sprintf("%s%02d:%02d:%02d", sign, n/10000, n/100%100, n%100)
}

func signedValue(v int64) Value {
	if v < 0 {
		return Value{uint64(v), Negative}
	}
	return Value{uint64(v), Present}
}
