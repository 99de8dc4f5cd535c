// Package supervisor starts the processes of a cluster, keeps them while they
// are wanted and leaves none behind.
package supervisor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Main is 'devcluster up'. It returns the exit code.
func Main(arguments []string) int {
	options, err := parseOptions(arguments, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "devcluster up: %v\n", err)
		return 2
	}
	if err := run(options); err != nil {
		fmt.Fprintf(os.Stderr, "devcluster up: %v\n", err)
		return 1
	}
	return 0
}

func run(options options) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	endOnSignal(cancel)
	if options.parentPid != 0 {
		if err := endWithProcess(cancel, options.parentPid); err != nil {
			return err
		}
	}
	var atEOF func()
	if options.exitWithStdin {
		atEOF = func() { cancel(errStdinClosed) }
	}
	lines := readCommands(os.Stdin, atEOF)

	if err := os.MkdirAll(options.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockDirectory(layout{options.dir})
	if err != nil {
		return err
	}
	defer unlock()

	cluster, err := newCluster(options)
	if err != nil {
		return err
	}
	defer cluster.stop()
	if err := cluster.start(ctx); err != nil {
		return err
	}
	fmt.Println("ready", cluster.files.state())

	for {
		select {
		case <-ctx.Done():
			fmt.Fprintf(os.Stderr, "devcluster: stopping: %v\n", context.Cause(ctx))
			return nil
		case line := <-lines:
			fmt.Println(cluster.execute(ctx, line))
		case child := <-cluster.spawner.ends:
			if err := cluster.noteEnd(child); err != nil {
				return err
			}
		}
	}
}

// lockDirectory keeps a second supervisor away from the directory. The kernel
// drops the lock when the process ends, however it ends.
func lockDirectory(files layout) (unlock func(), err error) {
	file, err := os.OpenFile(files.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another supervisor uses %s: %w", files.dir, err)
	}
	return func() { file.Close() }, nil
}
