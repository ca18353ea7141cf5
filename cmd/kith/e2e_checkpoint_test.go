package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/config"
)

// TestStopWritesCheckpoint has SIGTERM write a checkpoint, long before the next
// one is due, and the next start read it instead of the tables.
func TestStopWritesCheckpoint(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, 1_000, 1)
		c := s.settings(t)
		c.Checkpoint.Interval = time.Hour
		kith := s.start(t, c)
		kith.catchUp()
		s.churn(20).runTest(t, 200)
		kith.compare(s.relations())
		position := kith.status().Position
		kith.stop()

		// With the source away, what is served is what the checkpoint had.
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		kith = s.start(t, c)
		if now := kith.status(); now.Position != position {
			t.Errorf("position after the restart is %s, want %s as before", now.Position, position)
		}
		if answer, _ := kith.get("/readyz", ""); answer.StatusCode != 503 {
			t.Errorf("/readyz answers %s before the source is reached, want 503", answer.Status)
		}
		if answer, body := kith.get("/v1/relations/followers/1", ""); answer.StatusCode != 200 || answer.Header.Get("Kith-Lag") == "0" {
			t.Errorf("a list answers %s with Kith-Lag %s before the source is reached, want 200 and its age: %s",
				answer.Status, answer.Header.Get("Kith-Lag"), body)
		}
		if err := s.Thaw(); err != nil {
			t.Fatal(err)
		}
		kith.compare(s.relations())
		kith.readsNothing()
	})
}

// damage changes a file, and returns what it holds then.
func damage(t *testing.T, file string, change func([]byte) []byte) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = change(text)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return text
}

// TestDamagedCheckpoint damages the newest checkpoint in several ways. It is set
// aside, said, and what is left is used.
func TestDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		name   string
		file   string // prefix of the newest file to damage
		change func(text []byte) []byte
	}{
		{"byte of the manifest", "checkpoint-", flip},
		{"byte of a segment", "segment-", flip},
		{"short manifest", "checkpoint-", half},
		{"short segment", "segment-", half},
		{"empty manifest", "checkpoint-", func([]byte) []byte { return nil }},
	} {
		t.Run(strings.ReplaceAll(d.name, " ", "-"), func(t *testing.T) {
			s := newSource(t, kinds(t)[0])
			s.load(t, 1_000, 1)
			c := s.settings(t)
			kith := s.start(t, c)
			kith.catchUp()
			for seed := range uint64(3) { // there are two checkpoints, and their segments differ
				s.churn(30+seed).runTest(t, 50)
				kith.catchUp()
				kith.checkpoint()
			}
			kith.kill()

			file := newest(t, c.Checkpoint.Dir, d.file)
			manifest := filepath.Base(newest(t, c.Checkpoint.Dir, "checkpoint-"))
			damaged := damage(t, file, d.change)
			s.churn(40).runTest(t, 50)
			kith = s.start(t, c)
			if !kith.said.has("ERROR", "damaged", manifest) {
				t.Errorf("kith does not say that %s is damaged", manifest)
			}
			kith.compare(s.relations())
			kith.readsNothing() // the checkpoint before is whole
			if kept, err := os.ReadFile(filepath.Join(c.Checkpoint.Dir, "damaged-"+manifest)); err != nil {
				t.Errorf("the damaged checkpoint is not kept: %v", err)
			} else if d.file == "checkpoint-" && !bytes.Equal(kept, damaged) {
				t.Error("the damaged checkpoint is kept, but not as it was")
			}
		})
	}
}

// TestAllCheckpointsDamaged leaves nothing to go on with: the tables are read.
func TestAllCheckpointsDamaged(t *testing.T) {
	t.Parallel()
	s := newSource(t, kinds(t)[0])
	s.load(t, 1_000, 1)
	c := s.settings(t)
	kith := s.start(t, c)
	kith.catchUp()
	for seed := range uint64(2) {
		s.churn(30+seed).runTest(t, 50)
		kith.catchUp()
		kith.checkpoint()
	}
	kith.stop()
	for _, file := range files(t, c.Checkpoint.Dir, "checkpoint-") {
		damage(t, file, flip)
	}
	s.churn(41).runTest(t, 50)
	kith = s.start(t, c)
	kith.compare(s.relations())
	if rows := kith.metric("kith_snapshot_rows", "relation"); rows["followers"] == 0 || rows["owned"] == 0 {
		t.Errorf("rows read by relation are %v, want all", rows)
	}
}

// TestRelationLostOfAllCheckpoints loses the segments of one relation, of which
// there may be one alone: that relation is read again, and no other.
func TestRelationLostOfAllCheckpoints(t *testing.T) {
	t.Parallel()
	s := newSource(t, kinds(t)[0])
	s.load(t, 1_000, 1)
	c := s.settings(t)
	kith := s.start(t, c)
	kith.catchUp()
	for seed := range uint64(2) {
		s.churn(30+seed).runTest(t, 50)
		kith.catchUp()
		kith.checkpoint()
	}
	kith.stop()
	for _, file := range files(t, c.Checkpoint.Dir, "segment-") {
		if strings.HasSuffix(file, "-followers") {
			damage(t, file, flip)
		}
	}
	s.churn(41).runTest(t, 50)
	kith = s.start(t, c)
	if !kith.said.has("ERROR", "no checkpoint is whole", "followers") {
		t.Error("kith does not say what is damaged")
	}
	kith.compare(s.relations())
	for relation, rows := range kith.metric("kith_snapshot_rows", "relation") {
		if (relation == "followers") != (rows > 0) {
			t.Errorf("%v rows were read for %s", rows, relation)
		}
	}
}

// TestDamagedPagesAreReadAgain damages lists of a checkpoint, which is noticed
// after it is served: their tables are read again.
func TestDamagedPagesAreReadAgain(t *testing.T) {
	t.Parallel()
	s := newSource(t, kinds(t)[0])
	s.load(t, 5_000, 1)
	c := s.settings(t)
	kith := s.start(t, c)
	kith.catchUp()
	kith.stop()
	for _, file := range files(t, c.Checkpoint.Dir, "pages-") {
		if !strings.Contains(file, "follow") {
			continue // one page, which is read at once: the checkpoint would be set aside
		}
		damage(t, file, flip)
	}
	s.churn(42).runTest(t, 50)
	kith = s.start(t, c)
	eventually(t, "the damage is found", kith.said.tail, func() bool { return kith.said.has("ERROR", "checkpoint is damaged") })
	eventually(t, "a table is read again", kith.said.tail, func() bool { return kith.said.has("table is read again") })
	s.churn(43).runTest(t, 50)
	kith.compare(s.relations())
}

// TestCheckpointTooNew refuses a checkpoint of a later version, and touches
// nothing.
func TestCheckpointTooNew(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"checkpoint-", "segment-"} {
		t.Run(prefix+"file", func(t *testing.T) {
			s := newSource(t, kinds(t)[0])
			s.load(t, 100, 1)
			c := s.settings(t)
			kith := s.start(t, c)
			kith.catchUp()
			kith.stop()
			file := newest(t, c.Checkpoint.Dir, prefix)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text[8] = 200 // the version stands after a magic of eight bytes
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			before := contents(t, c.Checkpoint.Dir)
			kith = s.launch(t, c)
			if code := kith.wait(); code != exitFailed {
				t.Errorf("exit code is %d, want %d", code, exitFailed)
			}
			if !kith.said.has("newer version") || !kith.said.has("format 200, this one reads up to ") {
				t.Errorf("kith does not say that the checkpoint is too new")
			}
			if after := contents(t, c.Checkpoint.Dir); !slices.Equal(after, before) {
				t.Errorf("files are %q, want %q as before", after, before)
			}
		})
	}
}

// TestDirectoryInUse starts a second kith on the checkpoint directory of a
// first.
func TestDirectoryInUse(t *testing.T) {
	t.Parallel()
	s := newSource(t, kinds(t)[0])
	s.load(t, 100, 1)
	c := s.settings(t)
	first := s.start(t, c)
	first.catchUp()
	second := s.launch(t, c)
	if code := second.wait(); code != exitFailed {
		t.Errorf("exit code is %d, want %d", code, exitFailed)
	}
	if !second.said.has("checkpoint.dir", c.Checkpoint.Dir, "in use by another process") {
		t.Error("the second kith does not say that the directory is in use")
	}
	s.churn(50).runTest(t, 50)
	first.compare(s.relations())
	first.checkpoint() // the one that being live asks for may be on its way
	// It is free as soon as the first is gone, however that ends.
	first.kill()
	second = s.start(t, c)
	second.compare(s.relations())
	second.readsNothing()
}

// TestChangedRelations changes the configuration between two runs: what is the
// same is loaded, what is new is read.
func TestChangedRelations(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		c := s.settings(t)
		all := s.relations()
		followers, following, likes, owned := all[0], all[1], all[2], all[4]
		swapped := likes
		swapped.Key, swapped.Value = likes.Value, likes.Key
		filtered := followers
		filtered.Where = all[7].Where

		// Without TRUNCATE, so that there always are rows to read.
		writer := s.churn(60, "xa", "truncate")
		writer.pace = pace
		for _, step := range []struct {
			relations []config.Relation
			read      []string
		}{
			{[]config.Relation{followers, likes}, []string{"followers", "likes"}},
			{[]config.Relation{likes, following, followers}, []string{"following"}},    // one more, of the same table; another order
			{[]config.Relation{following, followers, owned}, []string{"owned"}},        // one less, and one of a new table
			{[]config.Relation{owned, likes, followers, following}, []string{"likes"}}, // one that was there once
			{[]config.Relation{followers, swapped, owned}, []string{"likes"}},          // another meaning
			{[]config.Relation{followers, swapped, owned}, nil},
			{[]config.Relation{filtered, swapped, owned}, []string{"followers"}}, // some of the rows
			{[]config.Relation{filtered, swapped, owned}, nil},
		} {
			c.Relations = step.relations
			stopWriter := writer.background(t)
			kith := s.start(t, c)
			kith.until("all is live", func(s status) bool { return s.live() })
			writer.await(t, 200)
			stopWriter()
			kith.compare(step.relations)
			for relation, rows := range kith.metric("kith_snapshot_rows", "relation") {
				if read := rows > 0; read != slices.Contains(step.read, relation) {
					t.Errorf("%g rows were read for relation %s; read anew should be %v", rows, relation, step.read)
				}
			}
			kith.stop()
		}
	})
}

// checkpoint asks for a checkpoint.
func (k *running) checkpoint() {
	k.t.Helper()
	answer, err := k.client.Post(k.url+"/v1/checkpoint", "", nil)
	if err != nil {
		k.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 {
		k.t.Fatalf("/v1/checkpoint answers %s", answer.Status)
	}
}

// rescan asks for a relation's table to be read again.
func (k *running) rescan(relation string) {
	k.t.Helper()
	answer, err := k.client.Post(k.url+"/v1/relations/"+relation+"/rescan", "", nil)
	if err != nil {
		k.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 202 {
		k.t.Fatalf("a rescan is answered with %s", answer.Status)
	}
}

// files returns the files of a directory whose names begin with prefix, in
// order.
func files(t *testing.T, dir, prefix string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func newest(t *testing.T, dir, prefix string) string {
	t.Helper()
	all := files(t, dir, prefix)
	if len(all) == 0 {
		t.Fatalf("%s has no file %s*", dir, prefix)
	}
	return all[len(all)-1]
}

// contents returns the name and the bytes of each file of a directory.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for _, file := range files(t, dir, "") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, filepath.Base(file)+": "+string(text))
	}
	return all
}

func flip(text []byte) []byte {
	text[len(text)/2] ^= 0x10
	return text
}

func half(text []byte) []byte { return text[:len(text)/2] }
