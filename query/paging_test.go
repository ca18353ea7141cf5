package query

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pageReader asks for one page and returns its values and its cursor.
type pageReader func(t rapid.TB, k *rig, query string) (values []uint64, next string)

func readJSON(t rapid.TB, k *rig, query string) ([]uint64, string) {
	w := k.get("/v1/relations/followers/1" + query)
	var page struct {
		Values []uint64
		Next   *json.Number
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
		t.Fatalf("decode %s: %v", w.Body, err)
	}
	if page.Next == nil {
		return page.Values, ""
	}
	return page.Values, page.Next.String()
}

func readJSONStrings(t rapid.TB, k *rig, query string) ([]uint64, string) {
	w := k.get("/v1/relations/followers/1" + query + "&ids=string")
	var page struct {
		Values []string
		Next   *string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
		t.Fatalf("decode %s: %v", w.Body, err)
	}
	if page.Next == nil {
		page.Next = new(string)
	}
	return parseAll(t, page.Values), *page.Next
}

func readOctets(t rapid.TB, k *rig, query string) ([]uint64, string) {
	w := k.get("/v1/relations/followers/1"+query, "Accept", "application/octet-stream")
	var values []uint64
	for b := w.Body.Bytes(); len(b) > 0; b = b[8:] {
		values = append(values, binary.LittleEndian.Uint64(b))
	}
	return values, w.Header().Get("Kith-Next")
}

func readText(t rapid.TB, k *rig, query string) ([]uint64, string) {
	w := k.get("/v1/relations/followers/1"+query, "Accept", "text/plain")
	if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) && !strings.Contains(query, "limit=0") {
		t.Fatalf("Content-Length = %s, want %d", got, w.Body.Len())
	}
	return parseAll(t, strings.Fields(w.Body.String())), w.Header().Get("Kith-Next")
}

func parseAll(t rapid.TB, decimals []string) []uint64 {
	var values []uint64
	for _, s := range decimals {
		value, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	return values
}

// TestPagesMakeTheList walks lists of any shape, in both orders, in pages of
// any length and in every form: the pages, one after the other, are the list.
func TestPagesMakeTheList(t *testing.T) {
	k := newRig()
	readers := map[string]pageReader{
		"JSON": readJSON, "JSON with strings": readJSONStrings, "octets": readOctets, "text": readText,
	}
	ids := rapid.OneOf(rapid.Uint64Range(0, 30), rapid.Uint64Min(1<<64-30), rapid.Uint64())
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfNDistinct(ids, 0, 80, rapid.ID[uint64]).Draw(t, "values")
		slices.Sort(want)
		k.index.put(k.followers, 1, slices.Clone(want)...)
		limit := rapid.IntRange(1, 30).Draw(t, "limit")
		order := rapid.SampledFrom([]string{"asc", "desc"}).Draw(t, "order")
		if order == "desc" {
			slices.Reverse(want)
		}
		for name, read := range readers {
			var got []uint64
			query := fmt.Sprintf("?limit=%d&order=%s", limit, order)
			values, next := read(t, k, query)
			for got = values; next != ""; got = append(got, values...) {
				if len(values) != limit {
					t.Fatalf("%s: page of %d with a next one, want %d", name, len(values), limit)
				}
				values, next = read(t, k, query+"&after="+next)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: pages make %d, want %d", name, got, want)
			}
		}
		for _, read := range []pageReader{readOctets, readText} {
			if got, _ := read(t, k, "?limit=0&order="+order); !slices.Equal(got, want) {
				t.Fatalf("stream = %d, want %d", got, want)
			}
		}
	})
}

// TestLongAnswers has answers that are written in several pieces and streams
// that are read in several pages, with lengths about where those end.
func TestLongAnswers(t *testing.T) {
	k := newRig()
	all := k.index.lists[k.followers][keyBig]
	for _, length := range []int{streamPage - 1, streamPage, streamPage + 1, 2 * streamPage, 5000, bigLength} {
		want := slices.Clone(all[bigLength-length:])
		k.index.put(k.followers, 1, slices.Clone(want)...)
		for _, order := range []string{"asc", "desc"} {
			if order == "desc" {
				slices.Reverse(want)
			}
			query := "?limit=0&order=" + order
			readers := []pageReader{readOctets, readText}
			if length <= 5000 {
				query = "?limit=5000&order=" + order
				readers = append(readers, readJSON, readJSONStrings)
			}
			for i, read := range readers {
				got, next := read(t, k, query)
				if !slices.Equal(got, want) || next != "" {
					t.Errorf("reader %d, %s: %d values, next %q; want the %d there are", i, order, len(got), next, length)
				}
			}
		}
	}
}

// TestCountOfAWholeListIsItsLength adds a value between the count and the
// read.
func TestCountOfAWholeListIsItsLength(t *testing.T) {
	k := newRig()
	reads := 0
	k.index.duringRead = func() {
		if reads++; reads == 2 {
			k.index.put(k.followers, keyFew, 7, 9, 13, 14, 1<<64-1)
		}
	}
	w := k.get("/v1/relations/followers/42", "Accept", "text/plain")
	if got, lines := w.Header().Get("Kith-Count"), strings.Count(w.Body.String(), "\n"); got != "5" || lines != 5 {
		t.Errorf("count = %s with %d values, want 5 and 5", got, lines)
	}
	if w.Code != http.StatusOK {
		t.Errorf("status = %d, want 200", w.Code)
	}
}
