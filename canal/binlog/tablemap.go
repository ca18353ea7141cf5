package binlog

import (
	"bytes"
	"fmt"
)

// TableMap describes the table that the row events of a statement touch. It is
// immutable, owns its memory, and may be kept: equal events of a stream give
// the same *TableMap, so that work can be kept with it by its pointer.
type TableMap struct {
	ID           uint64 // of this definition, until the server closes the table
	Schema, Name string
	Columns      []Column

	HasSignedness bool  // Column.Unsigned is told; it is by MySQL from 8.0, by MariaDB on request
	HasNames      bool  // Column.Name is told; with binlog_row_metadata=FULL
	PrimaryKey    []int // its columns, if told and there is one

	body        []byte // of the event
	fingerprint uint64
	json        int   // how many columns are JSON
	unreadable  error // why rows cannot be read, though the event is sound
}

// Fields of a TABLE_MAP's optional metadata that are read; see
// Optional_metadata_fields in rows_event.h of MySQL.
const (
	metadataSignedness       = 1
	metadataColumnName       = 4
	metadataPrimaryKey       = 8
	metadataPrimaryKeyPrefix = 9
)

// Post-header lengths of TABLE_MAP and rows events.
const (
	postHeaderV0 = 6  // table id of 4 bytes, flags: before MySQL 5.1.4
	postHeaderV1 = 8  // table id of 6 bytes, flags
	postHeaderV2 = 10 // table id of 6 bytes, flags, length of extra data
)

// TableMap decodes a TABLE_MAP event:
//
//	table id  flags  schema  0  name  0  columns  types  metadata  null bits  optional metadata
//
// Schema and name follow a packed length each; metadata is packed bytes, as
// many per column as its type has; optional metadata is a list of type, packed
// length, value, of which unknown types are skipped.
//
// A column of unknown type does not make the event an error, as nobody may
// want the table: it makes NewRowReader fail.
func (d *Decoder) TableMap(e Event) (*TableMap, error) {
	if e.Type != TypeTableMap {
		return nil, misused(e.Type, "TABLE_MAP")
	}
	c := cursor{rest: e.Body}
	id, err := d.tableID(e.Type, &c)
	if err != nil {
		return nil, err
	}
	if known := d.tables[id]; known != nil && bytes.Equal(known.body, e.Body) {
		return known, nil
	}
	c.skip(2)
	t := &TableMap{ID: id, body: bytes.Clone(e.Body)}
	if err := t.decode(&c); err != nil {
		return nil, err
	}
	if len(d.tables) >= maxTables {
		clear(d.tables)
	}
	d.tables[id] = t
	return t, nil
}

// tableID reads the id that begins TABLE_MAP and rows events, whose length the
// format description tells.
func (d *Decoder) tableID(t EventType, c *cursor) (uint64, error) {
	var id uint64
	switch length := d.format.postHeaders[t]; length {
	case postHeaderV0:
		id = c.uint(4)
	case postHeaderV1, postHeaderV2:
		id = c.uint(6)
	default:
		return 0, unsupported(t, "post-header of %d bytes", length)
	}
	if c.bad {
		return 0, malformed(t, "it ends within the table id")
	}
	return id, nil
}

func (t *TableMap) decode(c *cursor) error {
	t.Schema = string(c.packedBytes())
	c.skip(1)
	t.Name = string(c.packedBytes())
	c.skip(1)
	types := c.packedBytes()
	metadata := cursor{rest: c.packedBytes()}
	nulls := c.take((len(types) + 7) / 8)
	if c.bad {
		return malformed(TypeTableMap, "it ends within the columns of %s.%s", t.Schema, t.Name)
	}

	t.Columns = make([]Column, len(types))
	for i := range t.Columns {
		column := &t.Columns[i]
		column.Type = ColumnType(types[i])
		column.Nullable = bitSet(nulls, i)
		if column.Type == ColumnJSON {
			t.json++
		}
		size, bigEndian, ok := metaSize(column.Type)
		if !ok && t.unreadable == nil {
			t.unreadable = fmt.Errorf("column %d of %s.%s: %s is unknown: %w",
				i, t.Schema, t.Name, column.Type, ErrUnsupported)
		}
		column.Meta = uint16(metadata.uint(size))
		if bigEndian {
			column.Meta = column.Meta<<8 | column.Meta>>8
		}
	}
	if t.unreadable == nil && (metadata.bad || len(metadata.rest) > 0) {
		return malformed(TypeTableMap, "metadata of %s.%s does not fit its columns", t.Schema, t.Name)
	}
	t.fingerprint = fingerprint(t.Columns)
	return t.decodeOptional(c)
}

func (t *TableMap) decodeOptional(c *cursor) error {
	for len(c.rest) > 0 {
		field := c.uint8()
		value := cursor{rest: c.packedBytes()}
		if c.bad {
			return malformed(TypeTableMap, "optional metadata of %s.%s ends early", t.Schema, t.Name)
		}
		switch field {
		case metadataSignedness:
			t.decodeSignedness(&value)
		case metadataColumnName:
			t.decodeNames(&value)
		case metadataPrimaryKey:
			t.decodePrimaryKey(&value, false)
		case metadataPrimaryKeyPrefix:
			t.decodePrimaryKey(&value, true)
		}
		if value.bad {
			return malformed(TypeTableMap, "optional metadata %d of %s.%s does not fit its columns", field, t.Schema, t.Name)
		}
	}
	return nil
}

// decodeSignedness reads one bit per numeric column, the first in the highest
// bit, set if unsigned.
func (t *TableMap) decodeSignedness(c *cursor) {
	bits := c.rest
	next := 0
	for i := range t.Columns {
		if !t.Columns[i].numeric() {
			continue
		}
		if next/8 >= len(bits) {
			c.bad = true
			return
		}
		t.Columns[i].Unsigned = bits[next/8]&(0x80>>(next%8)) != 0
		next++
	}
	t.HasSignedness = true
}

func (t *TableMap) decodeNames(c *cursor) {
	for i := range t.Columns {
		t.Columns[i].Name = string(c.packedBytes())
	}
	c.bad = c.bad || len(c.rest) > 0
	t.HasNames = true
}

// decodePrimaryKey reads the columns' numbers, each followed by the length of
// its indexed prefix if prefixed.
func (t *TableMap) decodePrimaryKey(c *cursor, prefixed bool) {
	for len(c.rest) > 0 {
		column := c.packed()
		if prefixed {
			c.packed()
		}
		if column >= uint64(len(t.Columns)) || len(t.PrimaryKey) == len(t.Columns) {
			c.bad = true
			return
		}
		t.PrimaryKey = append(t.PrimaryKey, int(column))
	}
}

// Fingerprint returns a hash over the columns' number, types, metadata and
// null bits. As long as it is the same, and no statement has altered the table
// since, a list of column names that was right for the table still is. It is
// the same in every version of this package and may be stored.
func (t *TableMap) Fingerprint() uint64 { return t.fingerprint }

// fingerprint is FNV-1a over four bytes per column: type, metadata low byte
// first, 1 if nullable.
func fingerprint(columns []Column) uint64 {
	const (
		offset = 14695981039346656037
		prime  = 1099511628211
	)
	hash := uint64(offset)
	for _, column := range columns {
		var nullable byte
		if column.Nullable {
			nullable = 1
		}
		for _, b := range [...]byte{byte(column.Type), byte(column.Meta), byte(column.Meta >> 8), nullable} {
			hash = (hash ^ uint64(b)) * prime
		}
	}
	return hash
}

// bitSet says whether bit i of a bitmap is set, bit 0 being the lowest of its
// first byte.
func bitSet(bitmap []byte, i int) bool { return bitmap[i>>3]&(1<<(i&7)) != 0 }
