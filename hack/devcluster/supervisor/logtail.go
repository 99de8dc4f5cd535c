package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

const (
	tailLines = 20
	tailBytes = 64 << 10
)

// logTail returns the last lines of a log and where to read the rest.
func logTail(path string) string {
	text, err := lastLines(path)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return fmt.Sprintf("last lines of %s:\n%s", path, text)
}

func lastLines(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	tail := make([]byte, min(size, tailBytes))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimRight(tail, "\n"), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n")), nil
}
