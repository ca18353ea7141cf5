// Package sandbox runs throwaway MySQL and MariaDB servers on loopback, for
// `kith demo` and for the tests.
//
// A server is a copy of a template datadir that is made once per server
// version, a process of its own, and a folder that holds everything it writes:
//
//	DIR/data        the datadir
//	DIR/tmp         its temporary files
//	DIR/server.log  what it says
//	DIR/s           its unix socket, when DIR is short enough for one
//
// Nothing outlives the program that started it, however that program ends.
// The server process dies with its parent (by the kernel, on Linux), and the
// folder is removed by a small shell process that waits for its standard input
// to end, which Close and the death of the parent bring about alike.
//
// One goroutine is started per server process; it ends with the process.
package sandbox
