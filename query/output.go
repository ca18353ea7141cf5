package query

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"time"
)

const (
	// pieceBytes is the size from which an answer is written in pieces, so
	// that a large one for a slow client does not hold its whole body.
	pieceBytes = 32 << 10

	// keptValues bounds the values buffer that goes back to the pool.
	keptValues = 16 << 10

	// statusClientGone is the code that the metrics have for an answer whose
	// client left, or did not read it in time. It is never sent; nginx uses
	// the same one.
	statusClientGone = 499
)

// output encodes an answer of any length. It comes from a pool and goes back
// there; its buffers are of one request at a time.
type output struct {
	answer  *answer
	timeout time.Duration // for the client to take each piece
	values  []uint64      // what was read
	body    []byte        // encoded and not written yet
	gone    bool          // a write failed: nothing more can be sent
}

// borrow returns an output for an answer. It must be given back.
func (h *Handler) borrow(a *answer) *output {
	o := h.outputs.Get().(*output)
	*o = output{answer: a, timeout: h.writeTimeout, values: o.values[:0], body: o.body[:0]}
	return o
}

func (h *Handler) giveBack(o *output) {
	o.answer = nil
	if cap(o.values) > keptValues {
		o.values = nil
	}
	h.outputs.Put(o)
}

// appendString appends text that is JSON already.
func (o *output) appendString(text string) { o.body = append(o.body, text...) }

// appendNumber appends a number, in decimal.
func (o *output) appendNumber(n uint64) { o.body = strconv.AppendUint(o.body, n, 10) }

// appendID appends an id as JSON.
func (o *output) appendID(id uint64, ids idForm) {
	if ids == idNumbers {
		o.appendNumber(id)
		return
	}
	o.body = append(o.body, '"')
	o.appendNumber(id)
	o.body = append(o.body, '"')
}

// appendTarget appends the members that every JSON answer about a list begins
// with. Relations' names have no character that Go and JSON quote differently.
func (o *output) appendTarget(t target, ids idForm) {
	o.appendString(`{"relation":`)
	o.body = strconv.AppendQuote(o.body, t.name)
	o.appendString(`,"key":`)
	o.appendID(t.key, ids)
}

// appendValues appends values in a format; in JSON, as an array's elements.
// It writes what fills a piece.
func (o *output) appendValues(values []uint64, form format, ids idForm) {
	for i, value := range values {
		switch form {
		case formatOctets:
			o.body = binary.LittleEndian.AppendUint64(o.body, value)
		case formatText:
			o.appendNumber(value)
			o.body = append(o.body, '\n')
		case formatJSON:
			if i > 0 {
				o.body = append(o.body, ',')
			}
			o.appendID(value, ids)
		}
		if len(o.body) < pieceBytes {
			continue
		}
		if o.write(); o.gone {
			return
		}
	}
}

// write writes a piece. The client gets a new deadline for it: one that keeps
// reading gets a stream of any length, one that stops is cut.
func (o *output) write() {
	if o.gone {
		return
	}
	err := http.NewResponseController(o.answer).SetWriteDeadline(time.Now().Add(o.timeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		o.leave()
		return
	}
	if _, err := o.answer.Write(o.body); err != nil {
		o.leave()
		return
	}
	o.body = o.body[:0]
}

// leave gives the client up. The server closes a connection that a write
// failed on, without what would make the answer look whole.
func (o *output) leave() {
	o.gone = true
	o.answer.code = statusClientGone
}

// end writes the rest. An answer that is one piece gets its length told; it
// has the server's deadline.
func (o *output) end() {
	if o.answer.code != 0 {
		o.write()
		return
	}
	o.answer.set(headerContentLength, strconv.Itoa(len(o.body)))
	if _, err := o.answer.Write(o.body); err != nil {
		o.leave()
	}
}

// encodedLength returns the bytes that values take as octets or as text.
func encodedLength(values []uint64, form format) int {
	if form == formatOctets {
		return 8 * len(values)
	}
	length := 0
	for _, value := range values {
		length += 2 // a digit and the line's end
		for ; value > 9; value /= 10 {
			length++
		}
	}
	return length
}
