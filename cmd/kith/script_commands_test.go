package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are what the scripts can say beyond testscript's own.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"answers":   cmdAnswers,
		"damage":    cmdDamage,
		"expand":    cmdExpand,
		"fails":     cmdFails,
		"files":     cmdFiles,
		"get":       cmdGet,
		"interrupt": cmdInterrupt,
		"occupy":    cmdOccupy,
		"post":      cmdPost,
		"ready":     cmdReady,
		"says":      cmdSays,
		"serve":     cmdServe,
		"sql":       cmdSQL,
	}
}

// plain wants that many arguments and no "!".
func plain(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

// cmdExpand replaces $ADDRESS, $PASSWORD, $SCHEMA, $FLAVOR and other variables
// of the script in files.
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 1, "expand file...")
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), func(variable string) string {
			if source, ok := ts.Value(sourceKey{}).(*scriptSource); ok && variable == "PASSWORD" {
				return source.server.Password()
			}
			return ts.Getenv(variable)
		})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// cmdDamage flips a bit of the byte at an offset of the file that matches a
// pattern, and flips it back when it is called again.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2, "damage pattern offset")
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("no file is called %s", args[0])
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	name := names[len(names)-1]
	text, err := os.ReadFile(name)
	ts.Check(err)
	text[at] ^= 1
	ts.Check(os.WriteFile(name, text, 0o600))
}

// cmdFails runs kith and wants the exit code.
func cmdFails(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2, "fails code kith-arguments...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("kith", args[1:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdFiles lists a directory, with the sum of each file, in a file.
func cmdFiles(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2, "files directory list")
	var list strings.Builder
	ts.Check(fs.WalkDir(os.DirFS(ts.MkAbs(args[0])), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(ts.MkAbs(args[0]), path))
		fmt.Fprintf(&list, "%s %x\n", path, sha256.Sum256(content))
		return err
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(list.String()), 0o600))
}

// cmdOccupy listens on a port and sets a variable to its address.
func cmdOccupy(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 1, "occupy VARIABLE")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv(args[0], listener.Addr().String())
}

// cmdSQL runs statements as the administrator of the source, in the schema.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 1, "sql statement...")
	for _, statement := range args {
		if _, err := ts.Value(sourceKey{}).(*scriptSource).db.Exec(statement); err != nil {
			ts.Fatalf("%s: %v", statement, err)
		}
	}
}

// runningKith is a kith that serves, in this process.
type runningKith struct {
	stop   context.CancelFunc
	done   chan struct{} // closed when it has ended
	code   int           // after done
	stderr *sharedBuffer
	url    string
}

// sharedBuffer is a buffer for one who writes and one who looks.
type sharedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *sharedBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sharedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// servingAt finds where kith listens in what it logs.
var servingAt = regexp.MustCompile(`(?:msg=serving http=|"msg":"serving","http":")([0-9.:]+)`)

// cmdServe starts kith serve, and returns when it listens.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 1, "serve configuration")
	running := ts.Value(runningKey{}).(**runningKith)
	if *running != nil {
		ts.Fatalf("kith serves already")
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &runningKith{stop: cancel, done: make(chan struct{}), stderr: new(sharedBuffer)}
	go func() {
		defer close(k.done)
		k.code = run(ctx, []string{"serve", "-c", ts.MkAbs(args[0])}, nil, io.Discard, k.stderr)
	}()
	ts.Defer(func() { cancel(); <-k.done })
	k.wait(ts, "it listens", func() bool {
		at := servingAt.FindStringSubmatch(k.stderr.String())
		if at != nil {
			k.url = "http://" + at[1]
		}
		return at != nil
	})
	*running = k
}

// wait waits until cond holds.
func (k *runningKith) wait(ts *testscript.TestScript, what string, cond func() bool) {
	limit := time.After(time.Minute)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-k.done:
			ts.Fatalf("kith ended before %s, with code %d:\n%s", what, k.code, k.stderr)
		case <-limit:
			ts.Fatalf("waited in vain until %s:\n%s", what, k.stderr)
		}
	}
}

// ask sends a request to the running kith.
func ask(ts *testscript.TestScript, method, path string) (code int, body string) {
	k := *ts.Value(runningKey{}).(**runningKith)
	if k == nil {
		ts.Fatalf("kith does not serve")
	}
	request, err := http.NewRequest(method, k.url+path, nil)
	ts.Check(err)
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	return response.StatusCode, string(text)
}

// cmdReady waits until the running kith is ready.
func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 0, "ready")
	(*ts.Value(runningKey{}).(**runningKith)).wait(ts, "it is ready", func() bool {
		code, _ := ask(ts, http.MethodGet, "/readyz")
		return code == http.StatusOK
	})
}

// cmdSays waits until the running kith has logged what matches.
func cmdSays(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 1, "says pattern")
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	k := *ts.Value(runningKey{}).(**runningKith)
	k.wait(ts, "it says "+args[0], func() bool { return pattern.MatchString(k.stderr.String()) })
}

// cmdGet wants the code in answer to GET, and prints the body.
func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2, "get code path")
	want(ts, http.MethodGet, args)
}

// cmdAnswers waits until the answer to GET matches.
func cmdAnswers(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2, "answers path pattern")
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	(*ts.Value(runningKey{}).(**runningKith)).wait(ts, args[0]+" answers "+args[1], func() bool {
		_, body := ask(ts, http.MethodGet, args[0])
		return pattern.MatchString(body)
	})
}

// cmdPost wants the code in answer to POST, and prints the body.
func cmdPost(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2, "post code path")
	want(ts, http.MethodPost, args)
}

func want(ts *testscript.TestScript, method string, args []string) {
	code, body := ask(ts, method, args[1])
	io.WriteString(ts.Stdout(), body)
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("status %d, want %s", code, args[0])
	}
}

// cmdInterrupt ends the running kith, as a signal would, wants the exit code, and
// prints what it has logged.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 0, "interrupt [code]")
	running := ts.Value(runningKey{}).(**runningKith)
	k := *running
	if k == nil {
		ts.Fatalf("kith does not serve")
	}
	*running = nil
	k.stop()
	<-k.done
	io.WriteString(ts.Stderr(), k.stderr.String())
	if want := append(args, "0")[0]; strconv.Itoa(k.code) != want {
		ts.Fatalf("exit code %d, want %s", k.code, want)
	}
}
