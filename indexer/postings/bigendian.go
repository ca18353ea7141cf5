//go:build armbe || arm64be || m68k || mips || mips64 || mips64p32 || ppc || ppc64 || s390 || s390x || shbe || sparc || sparc64

package postings

// Nodes are laid out little-endian, in memory and in checkpoints, and read as words of
// the machine.
var _ = kithNeedsALittleEndianMachine
