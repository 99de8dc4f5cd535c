package supervisor

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const usage = `usage: devcluster up --dir DIR [flags] [-- FLAGS OF kube-apiserver]

Starts kube-apiserver with embedded etcd and kube-controller-manager, prints
'ready DIR/state.json' and runs until SIGTERM, SIGINT, the end of its parent
or, with --exit-with-stdin, the end of stdin. It leaves no process behind.

Each line on stdin is a command, and one line on stdout answers it:
  stop-apiserver            stopped
  kill-apiserver            stopped  (SIGKILL)
  start-apiserver           ready    (same port, same data)
  pause-apiserver           paused   (SIGSTOP)
  resume-apiserver          resumed  (SIGCONT)
  stop-controller-manager   stopped
  start-controller-manager  started
A command that fails is answered by 'error REASON'.

flags:
`

// options are the arguments of 'devcluster up'.
type options struct {
	dir            string
	auditLog       string
	parentPid      int
	exitWithStdin  bool
	apiserverFlags []string
}

func parseOptions(arguments []string, output io.Writer) (options, error) {
	var parsed options
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.Usage = func() {
		fmt.Fprint(output, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&parsed.dir, "dir", "", "`directory` of the cluster; data that are there are used again")
	flags.StringVar(&parsed.auditLog, "audit-log", "", "`file` for one JSON line per finished request")
	flags.IntVar(&parsed.parentPid, "parent-pid", os.Getppid(),
		"end with this `process`, by default the parent; 0 for none")
	flags.BoolVar(&parsed.exitWithStdin, "exit-with-stdin", false, "end when stdin is closed")
	if err := flags.Parse(arguments); err != nil {
		return parsed, err
	}
	parsed.apiserverFlags = flags.Args()
	if parsed.dir == "" {
		return parsed, errors.New("--dir is missing")
	}

	// The kubeconfigs and state.json are read from other working directories.
	var err error
	if parsed.dir, err = filepath.Abs(parsed.dir); err != nil {
		return parsed, err
	}
	if parsed.auditLog != "" {
		parsed.auditLog, err = filepath.Abs(parsed.auditLog)
	}
	return parsed, err
}
