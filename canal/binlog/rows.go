package binlog

// RowsKind says what was done to the rows of an event.
type RowsKind uint8

// The zero RowsKind is invalid.
const (
	Insert RowsKind = iota + 1
	Update
	Delete
	PartialUpdate // an Update whose JSON columns may be differences
)

// String returns the kind in lower case.
func (k RowsKind) String() string {
	switch k {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case PartialUpdate:
		return "partial update"
	}
	return "unknown"
}

// Flags of a rows event.
const (
	rowsStatementEnd  = 0x0001
	rowsNoForeignKeys = 0x0002
)

// Table ids of the event without rows that ends a statement whose last rows
// had no event of their own.
const (
	dummyTableID      = 0xffffff
	dummyMariaTableID = 0xffffffff
	dummyTableIDMax   = 0xffffffffffff
)

// Rows is a rows event, its rows still undecoded: give it to the RowReader of
// its table, or to nothing, at no cost, if nobody wants that table. It aliases
// the event.
type Rows struct {
	TableID      uint64
	Kind         RowsKind
	StatementEnd bool // the last rows event of its statement
	Columns      int  // of the table

	// NoForeignKeys says that the session had foreign_key_checks=0: the rows did
	// nothing to those that refer to them.
	NoForeignKeys bool

	// Before and After have a bit for each column that the rows' images hold,
	// bit 0 of the first byte being column 0. Insert has no Before, Delete no
	// After. What the bits beyond the last column are is up to the server.
	Before, After []byte

	eventType EventType
	images    []byte
	inflate   *inflater // if images are compressed
}

// Dummy says that the event has no rows and only ends a statement: there need
// be no table map of its TableID.
func (r Rows) Dummy() bool {
	switch r.TableID {
	case dummyTableID, dummyMariaTableID, dummyTableIDMax:
		return r.StatementEnd && len(r.images) == 0
	}
	return false
}

// rowsFormat is what a type of rows event implies.
type rowsFormat struct {
	kind       RowsKind
	compressed bool
}

func rowsFormatOf(t EventType) (f rowsFormat, ok bool) {
	switch t {
	case TypeWriteRowsV1, TypeWriteRowsV2:
		return rowsFormat{kind: Insert}, true
	case TypeUpdateRowsV1, TypeUpdateRowsV2:
		return rowsFormat{kind: Update}, true
	case TypeDeleteRowsV1, TypeDeleteRowsV2:
		return rowsFormat{kind: Delete}, true
	case TypePartialUpdateRows:
		return rowsFormat{kind: PartialUpdate}, true
	case TypeMariaWriteRowsCompressedV1, TypeMariaWriteRowsCompressedV2:
		return rowsFormat{kind: Insert, compressed: true}, true
	case TypeMariaUpdateRowsCompressedV1, TypeMariaUpdateRowsCompressedV2:
		return rowsFormat{kind: Update, compressed: true}, true
	case TypeMariaDeleteRowsCompressedV1, TypeMariaDeleteRowsCompressedV2:
		return rowsFormat{kind: Delete, compressed: true}, true
	}
	return rowsFormat{}, false
}

// Rows decodes all of a rows event but its rows:
//
//	table id  flags  [extra data]  columns  bitmap  [bitmap]  rows
//
// Extra data, in events of version 2, begins with its length, which counts
// itself. The second bitmap is that of an update's images after.
//
// Events of version 0, which only MySQL 5.1.5 to 5.1.17 wrote, are refused:
// their rows are made of the server's record buffer, which no event describes.
func (d *Decoder) Rows(e Event) (Rows, error) {
	f, ok := rowsFormatOf(e.Type)
	switch {
	case ok:
	case e.Type == TypeWriteRowsV0, e.Type == TypeUpdateRowsV0, e.Type == TypeDeleteRowsV0:
		return Rows{}, unsupported(e.Type, "rows of version 0")
	default:
		return Rows{}, misused(e.Type, "rows")
	}

	c := cursor{rest: e.Body}
	id, err := d.tableID(e.Type, &c)
	if err != nil {
		return Rows{}, err
	}
	r := Rows{TableID: id, Kind: f.kind, eventType: e.Type}
	flags := c.uint16()
	r.StatementEnd, r.NoForeignKeys = flags&rowsStatementEnd != 0, flags&rowsNoForeignKeys != 0
	if d.format.postHeaders[e.Type] == postHeaderV2 {
		c.skip(int(c.uint16()) - 2)
	}
	columns := c.packed()
	if c.bad || columns > uint64(len(c.rest))*8 {
		return Rows{}, malformed(e.Type, "it ends before its bitmap of %d columns", columns)
	}
	r.Columns = int(columns)
	size := (r.Columns + 7) / 8
	if f.kind != Insert {
		r.Before = c.take(size)
	}
	if f.kind != Delete {
		r.After = c.take(size)
	}
	if c.bad {
		return Rows{}, malformed(e.Type, "it ends within its bitmaps of %d columns", columns)
	}
	r.images = c.rest
	if f.compressed {
		r.inflate = &d.rows
	}
	return r, nil
}

// rowImages returns the rows' images, valid until those of another event of
// the same Decoder are asked for.
func (r *Rows) rowImages() ([]byte, error) {
	if r.inflate == nil {
		return r.images, nil
	}
	return r.inflate.inflate(r.eventType, r.images)
}
