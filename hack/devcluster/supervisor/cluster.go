package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// cluster is the API server and the controller-manager of one directory. Only
// one goroutine uses it.
type cluster struct {
	files             layout
	options           options
	port              *reservation
	credentials       *credentials
	prober            *prober
	spawner           *spawner
	apiserver         *process
	controllerManager *process
}

// newCluster writes all files a cluster needs, and starts nothing.
func newCluster(options options) (*cluster, error) {
	port, err := reservePort()
	if err != nil {
		return nil, err
	}
	c := &cluster{files: layout{options.dir}, options: options, port: port, spawner: newSpawner()}
	if c.credentials, err = writeCredentials(c.files); err != nil {
		return nil, err
	}
	for _, who := range []identity{c.credentials.admin, c.credentials.operator, c.credentials.controllerManager} {
		if err := writeKubeconfig(c.files.kubeconfig(who.name), c.server(), c.credentials.caPEM, who); err != nil {
			return nil, err
		}
	}
	c.prober = newProber(c.server(), c.credentials)
	return c, writeAuditPolicy(c.files)
}

func (c *cluster) server() string { return fmt.Sprintf("https://%s:%d", loopback, c.port.port) }

// start starts everything and returns when the API server is ready. Nobody
// waits for the controller-manager, which retries whatever comes too early.
func (c *cluster) start(ctx context.Context) error {
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	return c.startControllerManager()
}

func (c *cluster) startAPIServer(ctx context.Context) error {
	if c.apiserver.pid() != 0 {
		return errors.New("the API server runs already")
	}
	arguments := apiserverArguments(c.files, c.port.port, c.options.auditLog, c.options.apiserverFlags)
	started, err := c.spawner.start("kube-apiserver", c.files.apiserverLog(), arguments)
	if err != nil {
		return err
	}
	c.apiserver = started
	if err := c.prober.wait(ctx, started); err != nil {
		started.kill()
		return errors.Join(err, c.writeState())
	}
	return c.writeState()
}

func (c *cluster) startControllerManager() error {
	if c.controllerManager.pid() != 0 {
		return errors.New("the controller-manager runs already")
	}
	started, err := c.spawner.start("kube-controller-manager", c.files.controllerManagerLog(),
		controllerManagerArguments(c.files))
	if err != nil {
		return err
	}
	c.controllerManager = started
	return c.writeState()
}

// signalAPIServer pauses or resumes the API server.
func (c *cluster) signalAPIServer(which syscall.Signal) error {
	if c.apiserver.pid() == 0 {
		return errors.New("the API server does not run")
	}
	return c.apiserver.signal(which)
}

// stop returns when no child is left. The controller-manager goes first: it
// ends at once, and would only log the loss of the server.
func (c *cluster) stop() {
	c.controllerManager.stop()
	c.apiserver.stop()
	c.port.release()
	os.Remove(c.files.state())
}

func (c *cluster) writeState() error {
	return state{
		Server:               c.server(),
		SupervisorPid:        os.Getpid(),
		ApiserverPid:         c.apiserver.pid(),
		ControllerManagerPid: c.controllerManager.pid(),
		AdminKubeconfig:      c.files.kubeconfig(c.credentials.admin.name),
		OperatorKubeconfig:   c.files.kubeconfig(c.credentials.operator.name),
		AdminTokenFile:       c.files.adminToken(),
		CAFile:               c.files.caCert(),
		ApiserverLog:         c.files.apiserverLog(),
		ControllerManagerLog: c.files.controllerManagerLog(),
		AuditLog:             c.options.auditLog,
	}.write(c.files.state())
}

// noteEnd tells of a child that ended without being asked. The supervisor goes
// on: a test may have killed it, and decides what comes next.
func (c *cluster) noteEnd(child *process) error {
	if child.stopping {
		return nil
	}
	fmt.Fprintf(os.Stderr, "devcluster: %v\n", child.failure())
	return c.writeState()
}
