package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the built program, which the tests of a whole cluster start. They
// do not build it, since that takes minutes.
func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DEVCLUSTER_BIN")
	if path == "" {
		t.Skip("SKIPPED: DEVCLUSTER_BIN does not name the built program; hack/devcluster/test.sh builds it and runs this")
	}
	return path
}

// running is a supervisor under test.
type running struct {
	t      *testing.T
	state  state
	dir    string
	stderr string // a file
	// The end of the process, sent once.
	exited  chan error
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Scanner
}

// launch starts 'devcluster up' and does not wait until it is ready.
func launch(t *testing.T, dir string, flags ...string) *running {
	t.Helper()
	arguments := append([]string{"up", "--dir", dir, "--exit-with-stdin"}, flags...)
	r := &running{
		t: t, dir: dir, stderr: filepath.Join(t.TempDir(), "stderr"), exited: make(chan error, 1),
		command: exec.Command(program(t), arguments...),
	}
	stderr, err := os.Create(r.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	r.command.Stderr = stderr
	if r.stdin, err = r.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := r.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.stdout = bufio.NewScanner(stdout)
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := r.command.Process.Wait()
		r.exited <- err
	}()
	t.Cleanup(func() { r.stdin.Close() })
	return r
}

// up starts a cluster and waits until it is ready.
func up(t *testing.T, flags ...string) *running {
	t.Helper()
	began := time.Now()
	// Longer than the path of a socket may be, as directories of tests are.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	r := launch(t, dir, flags...)
	if line := r.line(); line != "ready "+filepath.Join(dir, "state.json") {
		t.Fatalf("unexpected first line %q\n%s", line, r.errors())
	}
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
	r.readState()
	return r
}

func (r *running) line() string {
	r.stdout.Scan()
	return r.stdout.Text()
}

// errors is what the supervisor wrote to stderr so far.
func (r *running) errors() string {
	r.t.Helper()
	raw, err := os.ReadFile(r.stderr)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(raw)
}

// readState also forgets what an earlier state.json told.
func (r *running) readState() {
	r.t.Helper()
	r.state = state{}
	raw, err := os.ReadFile(filepath.Join(r.dir, "state.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &r.state); err != nil {
		r.t.Fatal(err)
	}
}

// tell sends a command and expects an answer.
func (r *running) tell(command, expected string) {
	r.t.Helper()
	began := time.Now()
	if _, err := io.WriteString(r.stdin, command+"\n"); err != nil {
		r.t.Fatal(err)
	}
	if answer := r.line(); answer != expected {
		r.t.Fatalf("%s was answered by %q, not %q\n%s", command, answer, expected, r.errors())
	}
	r.t.Logf("%s took %v", command, time.Since(began).Round(time.Millisecond))
	r.readState()
}

// kubectl runs kubectl with an identity and returns all its output.
func (r *running) kubectl(kubeconfig, stdin string, arguments ...string) (string, error) {
	command := exec.Command(program(r.t), append([]string{"kubectl", "--kubeconfig", kubeconfig}, arguments...)...)
	command.Stdin = strings.NewReader(stdin)
	output, err := command.CombinedOutput()
	return string(output), err
}

// admin runs kubectl as the administrator and expects success.
func (r *running) admin(arguments ...string) string {
	r.t.Helper()
	output, err := r.kubectl(r.state.AdminKubeconfig, "", arguments...)
	if err != nil {
		r.t.Fatalf("kubectl %v: %v\n%s", arguments, err, output)
	}
	return output
}

func (r *running) address() string {
	server, err := url.Parse(r.state.Server)
	if err != nil {
		r.t.Fatal(err)
	}
	return server.Host
}

// expectEnd waits until the supervisor is gone.
func (r *running) expectEnd(within time.Duration) {
	r.t.Helper()
	began := time.Now()
	select {
	case <-r.exited:
		r.t.Logf("ended after %v", time.Since(began).Round(time.Millisecond))
	case <-time.After(within):
		r.t.Fatalf("the supervisor still runs after %v", within)
	}
}

// eventually waits until something holds.
func (r *running) eventually(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not %s\n%s", what, r.errors())
		}
	}
}

// expectNoTrace fails when a process of the cluster or its port is left. The
// kernel needs a moment for children it kills.
func (r *running) expectNoTrace(within time.Duration) {
	r.t.Helper()
	deadline := time.Now().Add(within)
	for _, pid := range []int{r.state.SupervisorPid, r.state.ApiserverPid, r.state.ControllerManagerPid} {
		if pid == 0 {
			r.t.Fatalf("state.json lacks a pid: %+v", r.state)
		}
		for alive(pid) {
			if time.Now().After(deadline) {
				r.t.Fatalf("process %d is left", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	listener, err := net.Listen("tcp", r.address())
	if err != nil {
		r.t.Fatalf("the port is left: %v", err)
	}
	listener.Close()
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
