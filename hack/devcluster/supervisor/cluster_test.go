package supervisor

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const privilegedPod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "privileged"}, "spec": {
  "containers": [{"name": "c", "image": "example.com/c", "securityContext": {"privileged": true}}]}}`

const restrictedPod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "restricted"}, "spec": {
  "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
  "containers": [{"name": "c", "image": "example.com/c", "securityContext": {
    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}`

func TestServesAndEndsWithoutTrace(t *testing.T) {
	auditLog := filepath.Join(t.TempDir(), "audit.log")
	r := up(t, "--audit-log", auditLog, "--", "--max-requests-inflight=300")

	if namespaces := r.admin("get", "namespaces", "-o", "name"); !strings.Contains(namespaces, "namespace/default\n") {
		t.Errorf("no namespace default in %q", namespaces)
	}
	expectOperatorWithoutRights(t, r)
	expectPodSecurity(t, r)
	expectAudit(t, auditLog)

	r.stdin.Close()
	r.expectEnd(10 * time.Second)
	r.expectNoTrace(0)
	if _, err := os.Stat(filepath.Join(r.dir, "state.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("state.json is left: %v", err)
	}
}

// The operator is the chart's service account, and only the chart gives rights.
func expectOperatorWithoutRights(t *testing.T, r *running) {
	t.Helper()
	who, err := r.kubectl(r.state.OperatorKubeconfig, "", "auth", "whoami", "-o", "jsonpath={.status.userInfo}")
	if err != nil {
		t.Fatalf("%v: %s", err, who)
	}
	for _, part := range []string{
		`"system:serviceaccount:hostwright-system:hostwright"`, `"system:serviceaccounts"`,
		`"system:serviceaccounts:hostwright-system"`, `"system:authenticated"`,
	} {
		if !strings.Contains(who, part) {
			t.Errorf("%s is not in the operator's identity %s", part, who)
		}
	}
	can, err := r.kubectl(r.state.OperatorKubeconfig, "", "auth", "can-i", "get", "configmaps")
	if err == nil || can != "no\n" {
		t.Errorf("the operator has rights that nobody gave it: %q", can)
	}
	r.admin("create", "clusterrole", "reader", "--verb=get", "--resource=configmaps")
	r.admin("create", "clusterrolebinding", "reader", "--clusterrole=reader",
		"--serviceaccount=hostwright-system:hostwright")
	can, err = r.kubectl(r.state.OperatorKubeconfig, "", "auth", "can-i", "get", "configmaps")
	if err != nil || can != "yes\n" {
		t.Errorf("a binding to the service account does not reach the operator: %q", can)
	}
}

func expectPodSecurity(t *testing.T, r *running) {
	t.Helper()
	r.admin("create", "namespace", "strict")
	r.admin("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
	apply := []string{"apply", "--dry-run=server", "-n", "strict", "-f", "-"}
	output, err := r.kubectl(r.state.AdminKubeconfig, privilegedPod, apply...)
	if err == nil || !strings.Contains(output, "violates PodSecurity") {
		t.Errorf("a privileged pod was not refused: %q", output)
	}
	if output, err = r.kubectl(r.state.AdminKubeconfig, restrictedPod, apply...); err != nil {
		t.Errorf("a restricted pod was refused: %q", output)
	}
}

func expectAudit(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"requestURI":"/api/v1/namespaces?fieldManager=kubectl-create`) {
		t.Error("the audit log lacks a request")
	}
	if strings.Contains(string(raw), "RequestReceived") {
		t.Error("the audit log tells every request twice")
	}
}

func TestStopAndStartKeepPortAndData(t *testing.T) {
	r := up(t)
	r.admin("create", "configmap", "kept")
	first := r.state

	r.tell("stop-apiserver", "stopped")
	if r.state.ApiserverPid != 0 || alive(first.ApiserverPid) {
		t.Errorf("the API server is not stopped: %+v", r.state)
	}
	if _, err := net.Dial("tcp", r.address()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a stopped API server does not refuse connections: %v", err)
	}
	r.tell("pause-apiserver", "error the API server does not run")
	r.tell("start-apiserver", "ready")
	if r.state.Server != first.Server || r.state.ApiserverPid == first.ApiserverPid {
		t.Errorf("not a new process at the same address: %+v", r.state)
	}
	r.admin("get", "configmap", "kept")
	r.tell("start-apiserver", "error the API server runs already")

	r.admin("create", "configmap", "written-before-a-kill")
	r.tell("kill-apiserver", "stopped")
	r.tell("start-apiserver", "ready")
	r.admin("get", "configmap", "written-before-a-kill")

	r.tell("pause-apiserver", "paused")
	if output, err := r.kubectl(r.state.AdminKubeconfig, "", "get", "ns", "--request-timeout=1s"); err == nil {
		t.Errorf("a paused API server answers: %s", output)
	}
	r.tell("resume-apiserver", "resumed")
	r.admin("get", "configmap", "kept")

	// A test may also kill a process behind the supervisor's back.
	if err := syscall.Kill(r.state.ControllerManagerPid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.eventually("noted that a child was killed", func() bool {
		r.readState()
		return r.state.ControllerManagerPid == 0
	})
	if told := r.errors(); !strings.Contains(told, "kube-controller-manager ended by itself: signal: killed") {
		t.Errorf("the end of a child was not told: %s", told)
	}
	r.tell("start-controller-manager", "started")
	r.tell("stop-controller-manager", "stopped")
	r.tell("start-controller-manager", "started")
	r.tell("nonsense", `error no command "nonsense"`)
}

// The controller-manager deletes what is in a namespace and what an owner left.
// In the end a signal stops the cluster.
func TestControllersWorkUntilSignal(t *testing.T) {
	r := up(t)
	began := time.Now()
	r.admin("create", "namespace", "short-lived")
	r.admin("create", "configmap", "inside", "-n", "short-lived")
	r.admin("delete", "namespace", "short-lived", "--timeout=60s")
	t.Logf("a namespace came and went in %v", time.Since(began).Round(time.Millisecond))

	r.admin("create", "configmap", "owner")
	uid := r.admin("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	r.admin("create", "secret", "generic", "owned")
	r.admin("patch", "secret", "owned", "-p",
		`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"`+uid+`"}]}}`)
	began = time.Now()
	r.admin("delete", "configmap", "owner")
	r.admin("wait", "--for=delete", "secret/owned", "--timeout=60s")
	t.Logf("what it owned went after %v", time.Since(began).Round(time.Millisecond))

	if err := syscall.Kill(r.state.SupervisorPid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.expectEnd(10 * time.Second)
	r.expectNoTrace(0)
}

func TestChildrenDieWithKilledSupervisor(t *testing.T) {
	r := up(t)
	r.tell("pause-apiserver", "paused") // no child gets to do anything itself
	if err := syscall.Kill(r.state.SupervisorPid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.expectEnd(time.Second)
	r.expectNoTrace(3 * time.Second)
}

func TestEndsWithParent(t *testing.T) {
	parent := exec.Command("sleep", "60")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	r := launch(t, t.TempDir(), "--parent-pid", itoa(parent.Process.Pid))
	time.Sleep(300 * time.Millisecond)
	parent.Process.Kill()
	parent.Wait()
	r.expectEnd(10 * time.Second)
	if !strings.Contains(r.errors(), errParentGone.Error()) {
		t.Errorf("another reason: %s", r.errors())
	}
}

func TestFailureShowsLog(t *testing.T) {
	r := launch(t, t.TempDir(), "--", "--no-such-flag")
	r.expectEnd(10 * time.Second)
	for _, part := range []string{"ended by itself", "unknown flag: --no-such-flag", filepath.Join(r.dir, "apiserver.log")} {
		if !strings.Contains(r.errors(), part) {
			t.Errorf("%q is missing in %s", part, r.errors())
		}
	}
}
