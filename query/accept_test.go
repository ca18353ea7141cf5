package query

import (
	"testing"
)

func TestNegotiate(t *testing.T) {
	const none = format(255)
	tests := []struct {
		accept []string
		want   format
	}{
		{nil, formatJSON},
		{[]string{""}, formatJSON},
		{[]string{" "}, formatJSON},
		{[]string{"*/*"}, formatJSON},
		{[]string{"application/*"}, formatJSON},
		{[]string{"application/json"}, formatJSON},
		{[]string{"application/json; charset=utf-8"}, formatJSON},
		{[]string{"APPLICATION/Octet-Stream"}, formatOctets},
		{[]string{"text/plain"}, formatText},
		{[]string{"text/plain;q=1.000"}, formatText},
		{[]string{"text/*"}, formatText},
		{[]string{"TEXT/*"}, formatText},
		{[]string{"text/html, application/xhtml+xml, */*;q=0.8"}, formatJSON},
		{[]string{"application/json;q=0.5, text/plain"}, formatText},
		{[]string{"application/json;q=0.5,text/plain;q=0.500,application/octet-stream;Q=0.501"}, formatOctets},
		{[]string{"application/json;q=0.1", "text/plain;q=0.2"}, formatText},
		{[]string{"text/plain;q=0.5, */*;q=0.4"}, formatText},
		{[]string{"application/json;q=0, */*"}, formatOctets},
		{[]string{"*/*, application/json;q=0, application/octet-stream;q=0"}, formatText},
		{[]string{"application/*;q=0.2, text/plain;q=0.1, application/json;q=0.05"}, formatOctets},
		{[]string{"text/plain;q=2, application/octet-stream;q=0.001"}, formatOctets},
		{[]string{"text/plain;q=, application/octet-stream"}, formatOctets},
		{[]string{"text/plain;q=1.001, application/octet-stream;q=.5, */*;q=0.1"}, formatJSON},
		{[]string{",,text/plain,"}, formatText},
		{[]string{"text/html"}, none},
		{[]string{"*/*;q=0"}, none},
		{[]string{"application/json;q=0.0"}, none},
		{[]string{"json"}, none},
		{[]string{"*"}, none},
		{[]string{"*/json"}, none},
		{[]string{"app/*"}, none},
		{[]string{"application/jsonp"}, none},
		{[]string{"/*"}, none},
		{[]string{","}, none},
	}
	for _, test := range tests {
		got, ok := negotiate(test.accept, listFormats())
		if !ok {
			got = none
		}
		if got != test.want {
			t.Errorf("negotiate(%q) = %d, want %d", test.accept, got, test.want)
		}
	}
}

func TestParseQValue(t *testing.T) {
	tests := []struct {
		text string
		want int // -1: not a qvalue
	}{
		{"0", 0}, {"1", 1000}, {"0.", 0}, {"1.", 1000}, {"0.5", 500}, {"0.05", 50}, {"0.005", 5}, {"0.999", 999},
		{"1.0", 1000}, {"1.000", 1000},
		{"", -1}, {"2", -1}, {"-0", -1}, {"1.001", -1}, {"0.0005", -1}, {"0.x", -1}, {".5", -1}, {"0.+1", -1}, {" 1", -1},
	}
	for _, test := range tests {
		got, ok := parseQValue(test.text)
		if !ok {
			got = -1
		}
		if got != test.want {
			t.Errorf("parseQValue(%q) = %d, want %d", test.text, got, test.want)
		}
	}
}
