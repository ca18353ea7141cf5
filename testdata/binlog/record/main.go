// Command record writes to a file what a server sends to a replica: the events
// as they come, one after the other, without the packets around them, for a
// moment. See the README one folder up.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

const (
	dumpByPosition = 0x12 // COM_BINLOG_DUMP
	serverID       = 99
)

func main() {
	address := flag.String("address", "", "host:port of the server")
	out := flag.String("out", "", "file to write")
	file := flag.String("file", "", "binlog file to begin with; empty with @slave_connect_state")
	position := flag.Uint("position", 4, "where to begin in it")
	flags := flag.Uint("flags", 0, "of the command; 2 asks MySQL for heartbeats of version 2")
	last := flag.Duration("last", 700*time.Millisecond, "how long to record")
	flag.Parse()
	if err := record(*address, *out, *file, uint32(*position), uint16(*flags), *last, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

// record runs the statements, asks for the events and writes them for a while.
func record(address, out, file string, position uint32, flags uint16, last time.Duration, statements []string) error {
	conn, err := client.Connect(address, "root", "", "")
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.Execute(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	command := []byte{0, 0, 0, 0, dumpByPosition} // room for the packet's header
	command = binary.LittleEndian.AppendUint32(command, position)
	command = binary.LittleEndian.AppendUint16(command, flags)
	command = binary.LittleEndian.AppendUint32(command, serverID)
	conn.ResetSequence()
	if err := conn.WritePacket(append(command, file...)); err != nil {
		return err
	}
	if err := conn.Conn.Conn.SetReadDeadline(time.Now().Add(last)); err != nil {
		return err
	}
	var events []byte
	for {
		packet, err := conn.ReadPacket()
		if err != nil { // the deadline: heartbeats would go on for ever
			return os.WriteFile(out, events, 0o644)
		}
		if packet[0] != 0 {
			return fmt.Errorf("the server says %q", packet)
		}
		events = append(events, packet[1:]...)
	}
}
