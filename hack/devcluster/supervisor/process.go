package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// How long a child may take to end by itself before it is killed.
const stopGrace = 5 * time.Second

// process is a child that ran or runs.
type process struct {
	name    string
	logPath string
	command *exec.Cmd
	// Closed when the child is gone and its port is free.
	done chan struct{}
	// True from the moment the supervisor ends it. Its end is expected then.
	stopping bool
}

// spawner starts children that die with the supervisor, even when that is
// killed by SIGKILL. The kernel kills them through the parent-death signal,
// which also reaches a child that is paused.
//
// The kernel sends this signal when the thread ends that started the child, and
// the Go runtime ends threads as it likes. So one goroutine that never returns
// keeps one thread to itself and starts every child.
type spawner struct {
	starts chan func()
	// Receives each child when it is gone.
	ends chan *process
}

func newSpawner() *spawner {
	s := &spawner{starts: make(chan func()), ends: make(chan *process)}
	go func() {
		runtime.LockOSThread()
		for start := range s.starts {
			start()
		}
	}()
	return s
}

// start runs this same program with other arguments, its output appended to the
// log.
func (s *spawner) start(name, logPath string, arguments []string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	command := &exec.Cmd{
		// Not the path on disk, which a new build may have replaced since.
		Path:   "/proc/self/exe",
		Args:   append([]string{"devcluster"}, arguments...),
		Stdout: log,
		Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGKILL,
			// Ctrl-C in a terminal reaches the supervisor alone, which then
			// stops its children in order.
			Setpgid: true,
		},
	}
	started := make(chan error)
	s.starts <- func() { started <- command.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}

	p := &process{name: name, logPath: logPath, command: command, done: make(chan struct{})}
	go func() {
		_ = command.Wait() // the result is read from ProcessState
		close(p.done)
		s.ends <- p
	}()
	return p, nil
}

// pid is 0 when the process is not running.
func (p *process) pid() int {
	if p == nil || p.ended() {
		return 0
	}
	return p.command.Process.Pid
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) signal(which syscall.Signal) error { return p.command.Process.Signal(which) }

// stop returns when the process is gone. A process that is paused cannot end by
// itself, so it is woken first.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.stopping = true
	_ = p.signal(syscall.SIGTERM) // fails only when it is gone already
	_ = p.signal(syscall.SIGCONT)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.kill()
	}
}

func (p *process) kill() {
	if p == nil {
		return
	}
	p.stopping = true
	_ = p.signal(syscall.SIGKILL)
	<-p.done
}

// failure describes an end that nobody asked for, with the end of the log.
func (p *process) failure() error {
	return fmt.Errorf("%s ended by itself: %s\n%s", p.name, p.command.ProcessState, logTail(p.logPath))
}
