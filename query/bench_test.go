package query

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// nobody takes an answer and drops it.
type nobody struct{ header http.Header }

func (w *nobody) Header() http.Header         { return w.header }
func (w *nobody) Write(p []byte) (int, error) { return len(p), nil }
func (w *nobody) WriteHeader(int)             {}

// BenchmarkList answers with 100 ids of 32 bits, in each form.
func BenchmarkList(b *testing.B) {
	k := newRig()
	values := make([]uint64, 100)
	for i := range values {
		values[i] = 1<<31 + uint64(i)*7919
	}
	k.index.put(k.followers, 1, values...)
	for name, accept := range map[string]string{
		"JSON": "*/*", "octets": "application/octet-stream", "text": "text/plain",
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/v1/relations/followers/1?limit=100", nil)
			r.Header.Set("Accept", accept)
			w := &nobody{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				k.handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkContains asks about one value.
func BenchmarkContains(b *testing.B) {
	k := newRig()
	r := httptest.NewRequest(http.MethodGet, "/v1/relations/followers/42/contains?value=9", nil)
	w := &nobody{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		k.handler.ServeHTTP(w, r)
	}
}
