//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// redis is a redis-server of its own on loopback, one set a key, without
// persistence but for what save asks for. Commands are pipelined; the time that
// counts is the server's.
type redis struct {
	conn    *conn
	server  string
	args    []string
	dir     string
	address string
	process *exec.Cmd
}

// pipelined is how many commands are sent before their replies are read.
const pipelined = 256

// startTimeout bounds the start of a server, which reads its file first.
const startTimeout = 10 * time.Minute

func startRedis(server, dir string, args ...string) (*redis, error) {
	if server == "" {
		return nil, errors.New("no redis-server is given")
	}
	r := &redis{server: server, args: args, dir: dir}
	return r, r.start()
}

// start starts the server and waits until it answers.
func (r *redis) start() error {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.address = free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(r.address)
	args := append([]string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", r.dir, "--daemonize", "no"}, r.args...)
	r.process = exec.Command(r.server, args...)
	if err := r.process.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		if err = r.connect(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			r.close()
			return fmt.Errorf("wait for redis-server: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// connect fails while the server is not there, or still reading its file.
func (r *redis) connect() error {
	c, err := dial(r.address)
	if err != nil {
		return err
	}
	r.conn = c
	c.command("PING")
	c.flush()
	c.reply()
	return c.err
}

func (r *redis) close() {
	if r.conn != nil {
		r.conn.socket.Close()
	}
	_ = r.process.Process.Signal(syscall.SIGTERM)
	_ = r.process.Wait()
}

// pipeline sends n commands, which send writes, and returns the sum of their
// replies' numbers. The bench has nothing to say without its peer: it ends when
// that fails.
func (c *conn) pipeline(n int, send func(i int)) (sum int) {
	for from := 0; from < n; from += pipelined {
		to := min(from+pipelined, n)
		for i := from; i < to; i++ {
			send(i)
		}
		c.flush()
		for range to - from {
			sum += c.reply()
		}
	}
	if c.err != nil {
		log.Fatal(c.err)
	}
	return sum
}

func (r *redis) apply(changes []postings.Change) { r.conn.apply(changes) }

func (c *conn) apply(changes []postings.Change) {
	c.pipeline(len(changes), func(i int) {
		c.begin(3)
		if changes[i].Op == postings.Add {
			c.word("SADD")
		} else {
			c.word("SREM")
		}
		c.number(changes[i].Key)
		c.number(changes[i].Value)
	})
}

func (r *redis) contains(edges []postings.Edge) int {
	return r.conn.pipeline(len(edges), func(i int) {
		r.conn.begin(3)
		r.conn.word("SISMEMBER")
		r.conn.number(edges[i].Key)
		r.conn.number(edges[i].Value)
	})
}

func (r *redis) count(keys []uint64) int {
	return r.conn.pipeline(len(keys), func(i int) {
		r.conn.begin(2)
		r.conn.word("SCARD")
		r.conn.number(keys[i])
	})
}

// pages reads values in no order, and more than asked for of a list in an
// intset: Redis has no pages of a set.
func (r *redis) pages(keys []uint64, limit int) int {
	count := strconv.Itoa(limit)
	return r.conn.pipeline(len(keys), func(i int) {
		r.conn.begin(5)
		r.conn.word("SSCAN")
		r.conn.number(keys[i])
		r.conn.word("0")
		r.conn.word("COUNT")
		r.conn.word(count)
	})
}

func (r *redis) scan() (values int) {
	c := r.conn
	for cursor := "0"; ; {
		var texts []string // the next cursor, then keys
		c.each = func(text []byte) { texts = append(texts, string(text)) }
		c.command("SCAN", cursor, "COUNT", "1000")
		c.flush()
		c.reply()
		c.each = nil
		if c.err != nil {
			log.Fatal(c.err)
		}
		cursor, texts = texts[0], texts[1:]
		values += c.pipeline(len(texts), func(i int) { c.command("SMEMBERS", texts[i]) })
		if cursor == "0" {
			return values
		}
	}
}

func (r *redis) intersect(pairs []postings.Edge) int {
	return r.conn.pipeline(len(pairs), func(i int) {
		r.conn.begin(4)
		r.conn.word("SINTERCARD")
		r.conn.word("2")
		r.conn.number(pairs[i].Key)
		r.conn.number(pairs[i].Value)
	})
}

func (r *redis) beside() (func([]postings.Change), error) {
	c, err := dial(r.address)
	if err != nil {
		return nil, err
	}
	return c.apply, nil
}

// cpu returns what the server says of its threads, in microseconds.
func (r *redis) cpu() time.Duration {
	var text string
	r.conn.each = func(b []byte) { text = string(b) }
	r.conn.command("INFO", "cpu")
	r.conn.flush()
	r.conn.reply()
	r.conn.each = nil
	var sum float64
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, _ := strconv.ParseFloat(value, 64)
			sum += seconds
		}
	}
	return time.Duration(sum * 1e9)
}

func (r *redis) resident() uint64 { return residentOf(strconv.Itoa(r.process.Process.Pid)) }

// save has the server write its file, and leaves it at path.
func (r *redis) save(path string) ([]string, error) {
	r.conn.command("SAVE")
	r.conn.flush()
	r.conn.reply()
	if r.conn.err != nil {
		return nil, r.conn.err
	}
	return []string{path}, os.Rename(filepath.Join(r.dir, "dump.rdb"), path)
}

// open starts the server anew with the file at path.
func (r *redis) open(path string) error {
	r.close()
	if err := os.Rename(path, filepath.Join(r.dir, "dump.rdb")); err != nil {
		return err
	}
	return r.start()
}

// redisVersion returns what the server says of itself.
func redisVersion(server string) string {
	out, err := exec.Command(server, "--version").Output()
	if err != nil {
		return err.Error()
	}
	first, _, _ := bytes.Cut(out, []byte(" sha="))
	return string(bytes.TrimSpace(first))
}
