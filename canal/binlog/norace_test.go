//go:build !race

package binlog

const raceDetector = false
