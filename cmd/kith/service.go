package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/config"
	"github.com/kithdb/kith/indexer"
	"github.com/kithdb/kith/query"
)

// shutdownGrace is how long requests under way may take to end.
const shutdownGrace = 5 * time.Second

// service is a running kith: source, index, checkpoints and servers, wired.
type service struct {
	logger    *slog.Logger
	directory *indexer.Directory
	index     *indexer.Index
	follower  *canal.Follower
	applier   *indexer.Applier
	terminal  *terminal // nil when nobody watches

	listener net.Listener
	server   *http.Server

	debugListener net.Listener // nil when off
	debugServer   *http.Server
}

// newService takes the ports and the checkpoint directory, and loads the last
// checkpoint. It does not reach for the source yet.
func newService(c *config.Config, logger *slog.Logger) (_ *service, err error) {
	s := &service{logger: logger}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.listen(c); err != nil {
		return nil, err
	}
	if s.directory, err = indexer.OpenDirectory(c.Checkpoint.Dir, logger); err != nil {
		return nil, explainDirectory(err)
	}
	relations := make([]indexer.Relation, len(c.Relations))
	for i, r := range c.Relations {
		relations[i] = indexer.Relation{Name: r.Name, Table: r.Table, Key: r.Key, Value: r.Value, Symmetric: r.Symmetric, Where: r.Where}
	}
	s.index = indexer.NewIndex(relations)
	began := time.Now()
	bookmark, loaded, err := s.directory.Load(s.index)
	if err != nil {
		return nil, explainDirectory(err)
	}
	if bookmark != nil {
		logger.Info("checkpoint loaded", "took", time.Since(began).Round(time.Millisecond), "edges", countEdges(s.index))
	}
	options := followerOptions(c, s.directory.Identity(), logger)
	options.Bookmark, options.Loaded = bookmark, loaded
	for _, r := range s.index.Status() {
		options.States = append(options.States, r.State)
	}
	options.Links, options.Index = s.index.Links(), s.index
	if s.follower, err = canal.NewFollower(options); err != nil {
		return nil, err
	}
	s.applier = indexer.NewApplier(indexer.ApplierOptions{
		Index:     s.index,
		Source:    s.follower,
		Directory: s.directory,
		Interval:  c.Checkpoint.Interval,
		Logger:    logger,
	})
	registry := newRegistry(s)
	s.server = query.NewServer(query.New(query.Options{
		Index:            s.index,
		Source:           sourceStatus{s.follower},
		Checkpoint:       s.applier.Checkpoint,
		CheckpointStatus: s.checkpointStatus,
		Rescan:           s.follower.Rescan,
		TextKeys:         s.follower.TextKeys,
		Version:          versionText(),
		MaxLimit:         c.HTTP.MaxLimit,
		Logger:           logger,
		Registry:         registry,
	}), 0)
	return s, nil
}

func (s *service) listen(c *config.Config) (err error) {
	var pair tls.Certificate
	if c.HTTP.TLSCert != "" {
		if pair, err = tls.LoadX509KeyPair(c.HTTP.TLSCert, c.HTTP.TLSKey); err != nil {
			return &usageError{fmt.Errorf("http.tls_cert and http.tls_key: %w", err)}
		}
	}
	if s.listener, err = query.Listen(c.HTTP.Listen, 0); err != nil {
		return explainListen("http.listen", err)
	}
	if c.HTTP.TLSCert != "" {
		s.listener = tls.NewListener(s.listener, &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{pair},
			NextProtos:   []string{"h2", "http/1.1"},
		})
	}
	if c.Debug.Listen == "" {
		return nil
	}
	if s.debugListener, err = query.Listen(c.Debug.Listen, 16); err != nil {
		return explainListen("debug.listen", err)
	}
	s.debugServer = &http.Server{Handler: profiles(), ReadHeaderTimeout: 5 * time.Second}
	return nil
}

// explainListen adds the key, and the cure where it is known.
func explainListen(key string, err error) error {
	cure := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		cure = "; stop the program that listens there, or choose another port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		cure = "; choose an address of this machine"
	case errors.Is(err, fs.ErrPermission):
		cure = "; choose a port from 1024 on, or give kith the right"
	}
	return fmt.Errorf("%s: %w%s", key, err, cure)
}

// explainDirectory adds the key and the cure.
func explainDirectory(err error) error {
	switch {
	case errors.Is(err, indexer.ErrLocked):
		return fmt.Errorf("checkpoint.dir: %w; stop that one, or name another directory", err)
	case errors.Is(err, indexer.ErrTooNew):
		return fmt.Errorf("checkpoint.dir: %w; run that version, or name another directory", err)
	}
	return fmt.Errorf("checkpoint.dir: %w; name a directory that kith may create and write to", err)
}

// profiles serves net/http/pprof, which would otherwise register itself with
// the default mux.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// run follows and serves until ctx ends, which is no error, or one of the two
// fails.
func (s *service) run(ctx context.Context) error {
	defer s.close()
	s.logger.Info("serving", "http", s.listener.Addr().String(), "version", versionText())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.applier.Run(ctx) })
	group.Go(func() error { s.applier.WriteCheckpoints(); return nil })
	group.Go(func() error { s.prove(ctx); return nil })
	group.Go(func() error { return serveUntil(ctx, s.server, s.listener) })
	if s.terminal != nil {
		group.Go(func() error { s.terminal.watch(ctx, s.reading); return nil })
	}
	if s.debugServer != nil {
		s.logger.Info("serving profiles", "debug", s.debugListener.Addr().String())
		group.Go(func() error { return serveUntil(ctx, s.debugServer, s.debugListener) })
	}
	err := group.Wait()
	if err == nil {
		s.logger.Info("stopped", "position", s.follower.Position())
	}
	return err
}

// reading returns how far the table is that is being read, if one is.
func (s *service) reading() (r readingProgress) {
	status := s.index.Status()
	for i, reading := range s.follower.Status().Rescans {
		if reading.Running {
			r.relations = append(r.relations, status[i].Name)
			r.rows, r.estimated = reading.Rows, reading.Estimated
		}
	}
	return r
}

// prove has the tables read again of which the checkpoint is damaged.
func (s *service) prove(ctx context.Context) {
	s.directory.Prove(ctx, func(name string) {
		if relation, ok := s.index.Relation(name); ok { // and no link, whose damage the applier tells
			s.follower.Rescan(relation)
		}
	})
}

// serveUntil serves until ctx ends, then lets the requests under way end.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // a stream that goes on for ever
		}
		stopped <- err
	})
	err := server.Serve(listener)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-stopped
}

// close gives everything back. It may be called twice.
func (s *service) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.debugListener != nil {
		s.debugListener.Close()
	}
	if s.directory != nil {
		s.directory.Close()
	}
}

func followerOptions(c *config.Config, identity [16]byte, logger *slog.Logger) canal.Options {
	o := canal.Options{
		Address:  c.Source.Address,
		User:     c.Source.User,
		Password: c.Source.ReadPassword,
		Flavor:   string(c.Source.Flavor),
		TLS: canal.TLS{
			Mode: canal.TLSMode(c.Source.TLS.Mode),
			CA:   c.Source.TLS.CA,
			Cert: c.Source.TLS.Cert,
			Key:  c.Source.TLS.Key,
		},
		ServerID: c.Source.ServerID,
		UUID:     followerUUID(identity),
		SpillDir: c.Checkpoint.Dir,
		Logger:   logger,

		AuditInterval: c.Audit.Interval,
		AuditRate:     c.Audit.Rate,
	}
	if o.ServerID == 0 {
		o.ServerID = followerServerID(identity)
	}
	for _, r := range c.Relations {
		schema, table := r.SchemaTable()
		o.Relations = append(o.Relations, canal.Relation{
			Name: r.Name, Schema: schema, Table: table, Key: r.Key, Value: r.Value, Symmetric: r.Symmetric, Where: r.Where,
		})
	}
	return o
}

// followerUUID turns the identity of the checkpoint directory into a random
// UUID (RFC 9562, version 4).
func followerUUID(id [16]byte) string {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// followerServerID takes a server_id from the upper half, where hand-given ones
// are rare.
func followerServerID(id [16]byte) uint32 {
	return 1<<31 | uint32(id[0])<<24 | uint32(id[1])<<16 | uint32(id[2])<<8 | uint32(id[3])
}

func countEdges(x *indexer.Index) (edges uint64) {
	for _, r := range x.Status() {
		edges += r.Edges
	}
	return edges
}

// sourceStatus shows a Follower to the query package.
type sourceStatus struct{ *canal.Follower }

func (s sourceStatus) Status() query.SourceStatus {
	status := s.Follower.Status()
	var reconnects uint64
	for _, n := range status.Reconnects {
		reconnects += n
	}
	var readings []query.Reading
	for _, r := range status.Rescans {
		readings = append(readings, query.Reading{Running: r.Running, Rows: r.Rows, Estimated: r.Estimated})
	}
	var audit *query.Audit
	if last := status.LastAudit; last != nil {
		audit = &query.Audit{Age: age(last.EndedAt), Duration: last.Took, Edges: last.Edges, Drift: last.Drift, LeftOut: last.LeftOut}
	}
	return query.SourceStatus{
		Address:      status.Address,
		Flavor:       status.Flavor,
		Version:      status.Version,
		UUID:         status.UUID,
		ServerID:     status.ServerID,
		State:        query.SourceState(status.Stage),
		Error:        status.Error,
		CaughtUp:     status.CaughtUp,
		Reconnects:   reconnects,
		HeartbeatAge: age(status.HeardAt),
		PositionAge:  age(status.PositionAt),
		Readings:     readings,
		Huge:         query.Huge(status.Huge),
		LastAudit:    audit,
	}
}

func (s *service) checkpointStatus() query.CheckpointStatus {
	status := s.applier.CheckpointStatus()
	result := query.CheckpointStatus{
		Age:      age(status.At),
		Duration: status.Duration,
		Bytes:    uint64(status.Bytes),
		Failures: status.Failures,
	}
	if status.Error != nil {
		result.Error = status.Error.Error()
	}
	return result
}

// age returns how long ago t was, and a negative number for never.
func age(t time.Time) time.Duration {
	if t.IsZero() {
		return -1
	}
	return max(0, time.Since(t))
}
