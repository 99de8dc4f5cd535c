package supervisor

import (
	"context"
	"fmt"
	"strings"
	"syscall"
)

// execute carries out one line of stdin and returns the line that answers it.
// It returns only when the effect is complete, so whoever reads the answer can
// rely on it.
func (c *cluster) execute(ctx context.Context, line string) string {
	answer, err := c.dispatch(ctx, line)
	if err != nil {
		// One line, since an answer is one line. The rest is in the log.
		first, _, _ := strings.Cut(err.Error(), "\n")
		return "error " + first
	}
	return answer
}

func (c *cluster) dispatch(ctx context.Context, line string) (string, error) {
	switch command := strings.TrimSpace(line); command {
	case "stop-apiserver":
		c.apiserver.stop()
		return "stopped", c.writeState()
	case "kill-apiserver":
		c.apiserver.kill()
		return "stopped", c.writeState()
	case "start-apiserver":
		return "ready", c.startAPIServer(ctx)
	case "pause-apiserver":
		return "paused", c.signalAPIServer(syscall.SIGSTOP)
	case "resume-apiserver":
		return "resumed", c.signalAPIServer(syscall.SIGCONT)
	case "stop-controller-manager":
		c.controllerManager.stop()
		return "stopped", c.writeState()
	case "start-controller-manager":
		return "started", c.startControllerManager()
	default:
		return "", fmt.Errorf("no command %q", command)
	}
}
