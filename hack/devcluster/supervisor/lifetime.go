package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reasons to end that are no failure.
var (
	errParentGone  = errors.New("the parent process ended")
	errStdinClosed = errors.New("stdin was closed")
)

// endOnSignal cancels at SIGTERM, SIGINT and SIGHUP.
func endOnSignal(cancel context.CancelCauseFunc) {
	// A parent that died closed its end of stdout and stderr. Writing there must
	// not end the supervisor before it has stopped its children.
	signal.Ignore(syscall.SIGPIPE)
	// In the background of a terminal, reading stdin would suspend the
	// supervisor. Ignored, the read fails instead.
	signal.Ignore(syscall.SIGTTIN)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() { cancel(fmt.Errorf("signal: %v", <-signals)) }()
}

// endWithProcess cancels when the process pid ends. The usual means, a
// parent-death signal, fires when the thread ends that started the supervisor.
// A parent with many threads, such as a test runner, ends them while it lives
// on. A descriptor of the process is ready only when the whole process is gone,
// and cannot come to mean another process that gets the same pid.
func endWithProcess(cancel context.CancelCauseFunc, pid int) error {
	descriptor, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	go func() {
		waitReadable(descriptor)
		cancel(errParentGone)
	}()
	return nil
}

func waitReadable(descriptor int) {
	polled := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
	for {
		if count, err := unix.Poll(polled, -1); count > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return
		}
	}
}

// readCommands passes on the lines of stdin. When atEOF is given, it is called
// at the end of stdin, also while an earlier command still runs.
func readCommands(stdin io.Reader, atEOF func()) <-chan string {
	lines := make(chan string, 16)
	go func() {
		scanner := bufio.NewScanner(stdin)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
		if atEOF != nil {
			atEOF()
		}
	}()
	return lines
}
