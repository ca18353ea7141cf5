// Package binlog decodes the replication events of MySQL and MariaDB from
// their bytes: what a transaction is called, which tables it touches, and the
// integers of its rows. It does no network, no SQL, no logging.
//
// A [Decoder] follows one stream. [Decoder.Event] cuts the header off a packet
// and proves its checksum; the Event's methods and the Decoder's then decode
// the body. Rows are read by a [RowReader], made once per [TableMap], which
// skips every column but the integers asked for:
//
//	event, err := decoder.Event(packet)
//	rows, err := decoder.Rows(event)
//	reader.Reset(rows)
//	for reader.Next() {
//		before, after := reader.Before(), reader.After()
//	}
//	err = reader.Err()
//
// Nothing is copied that need not be: an Event's Body, a Query's SQL, a Rows'
// bitmaps alias the packet; inflated and inner events alias the Decoder's
// buffers. Each says how long it is valid.
//
// Input is never trusted. Damaged input gives an error that wraps
// [ErrMalformed] or [ErrChecksum], what is sound but not understood one that
// wraps [ErrUnsupported]; none makes it panic, loop or allocate more than a
// small multiple of the bytes that are really there. As the rows of a damaged
// event may have been delivered in part before the damage shows, its
// transaction must not be applied.
//
// The formats are those of the servers' sources: libs/mysql/binlog/event in
// MySQL, sql/log_event.h, sql/log_event.cc and sql/rpl_utility.h in MariaDB.
package binlog
