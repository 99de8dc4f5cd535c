// Program devcluster runs a real Kubernetes API server on one machine for the
// demo, the tests and the benchmarks. It holds several programs in one file,
// each of which runs as a process of its own: two Kubernetes components in one
// process clash on their global feature gates and metrics, and a test wants to
// stop one of them alone.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"hostwright.dev/devcluster/supervisor"
)

const usage = `usage: devcluster COMMAND [ARGUMENTS]

commands:
  up                  start a cluster and supervise it until told to stop
  kubectl             kubectl, all arguments passed through
  serve               kube-apiserver with embedded etcd, in one process
  controller-manager  kube-controller-manager

'devcluster COMMAND --help' describes the flags of one command. A symbolic link
named kubectl to this program acts as kubectl.
`

func main() {
	program := os.Args[0]
	if filepath.Base(program) == "kubectl" {
		runKubectl()
		return
	}
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}

	command := os.Args[1]
	// The Kubernetes commands read os.Args themselves, some before cobra does,
	// so each finds there what it would find as a program of its own.
	os.Args = append([]string{command}, os.Args[2:]...)
	switch command {
	case "up":
		os.Exit(supervisor.Main(os.Args[1:]))
	case "serve":
		os.Exit(runAPIServer())
	case "controller-manager":
		os.Exit(runControllerManager())
	case "kubectl":
		runKubectl()
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		fmt.Fprintf(os.Stderr, "devcluster: no command %q\n\n%s", command, usage)
		os.Exit(2)
	}
}
