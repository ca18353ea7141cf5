package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// innerEvents returns n events as a payload holds them, each with a body of the
// size given.
func innerEvents(n, size int) []byte {
	var plain []byte
	for i := range n {
		body := bytes.Repeat([]byte{byte(i)}, size)
		plain = append(plain, packetWith(TypeRowsQuery, 0, body, false)...)
	}
	return plain
}

func compressed(t reporter, plain []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(plain, nil)
}

// payloadOf returns the body of a TRANSACTION_PAYLOAD. A size told is in it.
func payloadOf(compression uint64, packed []byte, told int) []byte {
	number := func(b []byte, field, n uint64) []byte {
		return appendPackedBytes(append(b, byte(field)), appendPacked(nil, n))
	}
	b := number(nil, payloadCompression, compression)
	if told >= 0 {
		b = number(b, payloadInflated, uint64(told))
	}
	b = appendPackedBytes(append(b, 77), []byte("a field of the future"))
	b = number(b, payloadSize, uint64(len(packed)))
	return append(append(b, payloadEnd), packed...)
}

// readPayload returns the bodies of a payload's events.
func readPayload(t reporter, d *Decoder, body []byte) ([][]byte, error) {
	t.Helper()
	e, err := d.Event(packetOf(TypeTransactionPayload, body))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := d.Payload(e)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	for payload.Next() {
		bodies = append(bodies, bytes.Clone(payload.Event().Body))
	}
	if payload.Next() {
		t.Errorf("payload goes on after its end")
	}
	return bodies, payload.Err()
}

// TestPayloadForms: plain and compressed, small and large, with and without
// the size told, all by one Decoder.
func TestPayloadForms(t *testing.T) {
	d := decoderOf(t)
	for _, size := range []int{0, 1, 100, 5000, 300_000} {
		plain := innerEvents(7, size)
		packed := compressed(t, plain)
		for name, body := range map[string][]byte{
			"plain":          payloadOf(payloadPlain, plain, len(plain)),
			"plain, untold":  payloadOf(payloadPlain, plain, -1),
			"zstd":           payloadOf(payloadZstd, packed, len(plain)),
			"zstd, untold":   payloadOf(payloadZstd, packed, -1),
			"more follows":   append(payloadOf(payloadZstd, packed, len(plain)), "ignored"...),
			"in two frames":  payloadOf(payloadZstd, append(compressed(t, plain[:10]), compressed(t, plain[10:])...), len(plain)),
			"nothing at all": payloadOf(payloadZstd, compressed(t, nil), 0),
		} {
			bodies, err := readPayload(t, d, body)
			if err != nil {
				t.Errorf("%s of %d bytes: %v", name, size, err)
			}
			want := 7
			if name == "nothing at all" {
				want = 0
			}
			requireEqual(t, name+": events", len(bodies), want)
			for i, body := range bodies {
				if !bytes.Equal(body, bytes.Repeat([]byte{byte(i)}, size)) {
					t.Errorf("%s of %d bytes: event %d has %d bytes", name, size, i, len(body))
				}
			}
		}
	}
}

// TestDamagedPayloads: each is an error, never a transaction that seems whole.
func TestDamagedPayloads(t *testing.T) {
	small, large := innerEvents(7, 100), innerEvents(7, 300_000)
	nested := append(bytes.Clone(small), packetWith(TypeTransactionPayload, 0, []byte("x"), false)...)
	huge := packetWith(TypeRowsQuery, 0, make([]byte, 100), false)
	binary.LittleEndian.PutUint32(huge[sizeOffset:], 1_000_000)
	tiny := packetWith(TypeRowsQuery, 0, make([]byte, 100), false)
	binary.LittleEndian.PutUint32(tiny[sizeOffset:], headerSize-1)
	smallPacked, largePacked := compressed(t, small), compressed(t, large)
	flipped := bytes.Clone(largePacked)
	flipped[len(flipped)/2] ^= 0x10

	for _, test := range []struct {
		name string
		body []byte
		want error
	}{
		{"an unknown compression", payloadOf(7, small, len(small)), ErrUnsupported},
		{"more told", payloadOf(payloadZstd, smallPacked, len(small)+1), ErrMalformed},
		{"less told", payloadOf(payloadZstd, smallPacked, len(small)-1), ErrMalformed},
		{"more told, large", payloadOf(payloadZstd, largePacked, len(large)+1), ErrMalformed},
		{"less told, large", payloadOf(payloadZstd, largePacked, len(large)-1), ErrMalformed},
		{"one event less told, large", payloadOf(payloadZstd, largePacked, len(large)/7*6), ErrMalformed},
		{"truncated", payloadOf(payloadZstd, smallPacked[:len(smallPacked)-1], len(small)), ErrMalformed},
		{"truncated, large", payloadOf(payloadZstd, largePacked[:len(largePacked)-1], len(large)), ErrMalformed},
		{"truncated, large, untold", payloadOf(payloadZstd, largePacked[:len(largePacked)-1], -1), ErrMalformed},
		{"flipped", payloadOf(payloadZstd, flipped, len(large)), ErrMalformed},
		{"no zstd", payloadOf(payloadZstd, small, len(small)), ErrMalformed},
		{"an event cut", payloadOf(payloadPlain, small[:len(small)-1], -1), ErrMalformed},
		{"a header cut", payloadOf(payloadPlain, append(bytes.Clone(small), 1, 2, 3), -1), ErrMalformed},
		{"a header cut, zstd", payloadOf(payloadZstd, compressed(t, append(bytes.Clone(small), 1, 2, 3)), -1), ErrMalformed},
		{"a payload within", payloadOf(payloadPlain, nested, -1), ErrMalformed},
		{"an event too large", payloadOf(payloadPlain, huge, -1), ErrMalformed},
		{"an event too large, zstd", payloadOf(payloadZstd, compressed(t, huge), -1), ErrMalformed},
		{"an event too small", payloadOf(payloadPlain, tiny, -1), ErrMalformed},
		{"an event too small, zstd", payloadOf(payloadZstd, compressed(t, tiny), -1), ErrMalformed},
		{"beyond the limit as told", payloadOf(payloadZstd, largePacked, 4_000_000), ErrUnsupported},
		{"beyond the limit", payloadOf(payloadZstd, compressed(t, innerEvents(40, 100_000)), -1), ErrUnsupported},
		{"no end of its fields", []byte{2, 1, 0}, ErrMalformed},
		{"more size than bytes", []byte{payloadCompression, 1, 0, payloadSize, 1, 9, payloadEnd, 1, 2}, ErrMalformed},
	} {
		d := NewDecoder(LimitPayload(3_000_000))
		if _, err := d.Event(formatDescription("9.7.4")); err != nil {
			t.Fatal(err)
		}
		_, err := readPayload(t, d, test.body)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), "TRANSACTION_PAYLOAD") {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		bodies, err := readPayload(t, d, payloadOf(payloadZstd, smallPacked, len(small)))
		if err != nil || len(bodies) != 7 {
			t.Errorf("%s: after it a sound one has %d events, %v", test.name, len(bodies), err)
		}
	}
}

// TestPayloadAbandoned: who stops in the middle of one may begin the next.
func TestPayloadAbandoned(t *testing.T) {
	d := decoderOf(t)
	plain := innerEvents(7, 300_000)
	body := payloadOf(payloadZstd, compressed(t, plain), len(plain))
	e, err := d.Event(packetOf(TypeTransactionPayload, body))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := d.Payload(e)
	if err != nil || !payload.Next() {
		t.Fatal("no first event", err)
	}
	bodies, err := readPayload(t, d, body)
	if err != nil || len(bodies) != 7 {
		t.Errorf("the next has %d events, %v", len(bodies), err)
	}
}

// TestInflate: what MariaDB compresses, sound and damaged.
func TestInflate(t *testing.T) {
	var in inflater
	for _, size := range []int{0, 1, 100, inflateStep, 10 * inflateStep} {
		plain := bytes.Repeat([]byte("kith"), size/4+1)[:size]
		got, err := in.inflate(TypeMariaQueryCompressed, deflate(plain))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes inflate to %d, %v", size, len(got), err)
		}
	}
	sound := deflate([]byte("SELECT 1"))
	longer, shorter, checksum := bytes.Clone(sound), bytes.Clone(sound), bytes.Clone(sound)
	longer[3]++
	shorter[3]--
	checksum[len(checksum)-1]++
	claim := bytes.Clone(sound)
	copy(claim, []byte{0x83, 0xff, 0xff, 0xff})
	for name, packed := range map[string][]byte{
		"nothing":           {},
		"no length":         {0x81},
		"no zlib":           {0x81, 1},
		"another algorithm": append([]byte{0x93}, sound[1:]...),
		"a length too long": append([]byte{0x85}, sound[1:]...),
		"a byte more told":  longer,
		"a byte less told":  shorter,
		"a wrong checksum":  checksum,
		"truncated":         sound[:len(sound)-1],
		"16 MiB told":       claim,
	} {
		if _, err := in.inflate(TypeMariaQueryCompressed, packed); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if cap(in.buffer) > 20*inflateStep {
		t.Errorf("buffer of %d bytes", cap(in.buffer))
	}
}

// TestLargeBuffersAreNotKept: an event of many megabytes does not cost its memory
// for ever.
func TestLargeBuffersAreNotKept(t *testing.T) {
	var in inflater
	for _, size := range []int{maxKept + 1, 100} {
		plain := make([]byte, size)
		if got, err := in.inflate(TypeMariaQueryCompressed, deflate(plain)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes inflate to %d, %v", size, len(got), err)
		}
	}
	if cap(in.buffer) > maxKept {
		t.Errorf("inflating keeps %d bytes", cap(in.buffer))
	}
	d := decoderOf(t)
	plain := append(innerEvents(1, maxKept), innerEvents(1, 100)...)
	bodies, err := readPayload(t, d, payloadOf(payloadZstd, compressed(t, plain), len(plain)))
	if err != nil || len(bodies) != 2 {
		t.Fatalf("the payload has %d events, %v", len(bodies), err)
	}
	if kept := cap(d.payload.buffer); kept > maxKept {
		t.Errorf("reading payloads keeps %d bytes", kept)
	}
}
