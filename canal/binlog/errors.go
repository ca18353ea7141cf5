package binlog

import (
	"errors"
	"fmt"
)

var (
	// ErrMalformed is wrapped by errors about bytes that contradict the format
	// or end early. Reading the event again may help, reading on does not.
	ErrMalformed = errors.New("malformed")

	// ErrChecksum is wrapped by errors about an event whose CRC32 differs.
	ErrChecksum = errors.New("checksum mismatch")

	// ErrUnsupported is wrapped by errors about what is not damaged but written
	// in a way that this package does not know. Reading it again is no help.
	ErrUnsupported = errors.New("not supported")
)

func malformed(t EventType, format string, args ...any) error {
	return fmt.Errorf("%w %s event: %s", ErrMalformed, t, fmt.Sprintf(format, args...))
}

func unsupported(t EventType, format string, args ...any) error {
	return fmt.Errorf("%s event: %s: %w", t, fmt.Sprintf(format, args...), ErrUnsupported)
}

// misused says that an event was given to the decoder of another type.
func misused(t EventType, wanted string) error {
	return fmt.Errorf("decode %s event as %s: wrong type", t, wanted)
}
