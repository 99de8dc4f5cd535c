package supervisor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func itoa(number int) string { return strconv.Itoa(number) }

func TestReservedPortIsClosedAndGivenToNobody(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		reserved, err := reservePort()
		if err != nil {
			t.Fatal(err)
		}
		defer reserved.release()
		if seen[reserved.port] {
			t.Fatalf("port %d was given twice", reserved.port)
		}
		seen[reserved.port] = true
		address := net.JoinHostPort(loopback, itoa(reserved.port))
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a reserved port does not refuse connections: %v", err)
		}
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			t.Fatalf("another program can listen on port %d", reserved.port)
		}
	}
}

func TestSecondSupervisorIsRefused(t *testing.T) {
	files := layout{t.TempDir()}
	unlock, err := lockDirectory(files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDirectory(files); err == nil {
		t.Fatal("the directory was locked twice")
	}
	unlock()
	if unlock, err = lockDirectory(files); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var text strings.Builder
	for number := range 100_000 {
		fmt.Fprintln(&text, "line", number)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	tail, err := lastLines(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(tail), "\n")
	if len(lines) != tailLines || lines[0] != "line 99980" || lines[tailLines-1] != "line 99999" {
		t.Errorf("wrong tail: %q", lines)
	}
}

func TestOptions(t *testing.T) {
	parsed, err := parseOptions(
		[]string{"--dir", "here", "--audit-log=audit.log", "--", "--v=4", "--max-requests-inflight=10"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(parsed.dir) || !filepath.IsAbs(parsed.auditLog) {
		t.Errorf("relative paths: %+v", parsed)
	}
	if parsed.parentPid != os.Getppid() || parsed.exitWithStdin {
		t.Errorf("wrong defaults: %+v", parsed)
	}
	if !slices.Equal(parsed.apiserverFlags, []string{"--v=4", "--max-requests-inflight=10"}) {
		t.Errorf("wrong flags for the API server: %q", parsed.apiserverFlags)
	}
	if _, err := parseOptions(nil, io.Discard); err == nil {
		t.Error("no directory was asked for")
	}
}
