package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// redacted stands wherever a secret would.
const redacted = "<redacted>"

// maxPassword bounds what ReadPassword takes, in bytes: a path that leads to
// something else than a password must not be read to its end.
const maxPassword = 4096

// Secret is text that does not show when it, or anything that holds it, is
// printed, logged or marshalled. The text is behind a pointer because fmt does
// not call the methods of what it finds in unexported fields: there it prints
// an address.
type Secret struct{ text *string }

// NewSecret returns text as a secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is the empty text.
func (s Secret) IsZero() bool { return s.text == nil }

// String returns a placeholder, or nothing for an empty secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText returns what String returns, to JSON, YAML and slog among others.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ReadPassword returns the password to log in with: that of the settings, or
// what the password file holds now, without its last line end. It is called
// for every connection, so that a password can change while kith runs. Its
// errors name the file, never what it holds.
func (s Source) ReadPassword() (string, error) {
	if s.PasswordFile == "" {
		return s.Password.Reveal(), nil
	}
	f, err := os.Open(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read source.password_file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read source.password_file: %w", err)
	}
	if err := checkPassword(text); err != nil {
		return "", fmt.Errorf("read source.password_file %s: %w", s.PasswordFile, err)
	}
	return string(trimLineEnd(text)), nil
}

func checkPassword(text []byte) error {
	if len(text) > maxPassword {
		return fmt.Errorf("longer than %d bytes: not a password", maxPassword)
	}
	text = trimLineEnd(text)
	if len(text) == 0 {
		return errors.New("the file is empty")
	}
	if bytes.ContainsAny(text, "\r\n\x00") {
		return errors.New("more than one line: only the password may stand in it")
	}
	return nil
}

// trimLineEnd takes one line end off, as editors and echo add it.
func trimLineEnd(text []byte) []byte {
	if cut, ok := bytes.CutSuffix(text, []byte("\n")); ok {
		return bytes.TrimSuffix(cut, []byte("\r"))
	}
	return text
}
