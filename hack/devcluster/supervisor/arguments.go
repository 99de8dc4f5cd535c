package supervisor

import (
	"fmt"
	"os"
)

const loopback = "127.0.0.1"

// Audit events are written once, when the answer is complete: the stage
// RequestReceived would double every line.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// apiserverArguments are the arguments of 'devcluster serve'. The caller's own
// flags come last, where they override these.
func apiserverArguments(files layout, port int, auditLog string, extra []string) []string {
	arguments := []string{
		"serve",
		"--etcd-data-dir=" + files.etcd(),
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		fmt.Sprintf("--secure-port=%d", port),
		"--permit-port-sharing=true", // with the reservation of the port
		"--tls-cert-file=" + files.servingCert(),
		"--tls-private-key-file=" + files.servingKey(),
		"--client-ca-file=" + files.caCert(),
		"--token-auth-file=" + files.tokens(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + files.serviceAccountPublic(),
		"--service-account-signing-key-file=" + files.serviceAccountKey(),
		"--service-cluster-ip-range=10.96.0.0/16",
		// As in most clusters. Pod Security admission is what refuses such pods.
		"--allow-privileged=true",
		// It would refuse a pod until the default service account of its
		// namespace exists. Nothing runs pods here.
		"--disable-admission-plugins=ServiceAccount",
		// Nobody reaches the server through the service "kubernetes".
		"--endpoint-reconciler-type=none",
		// A demo that was left over lunch still shows its events.
		"--event-ttl=6h",
		// Without it, a stop waits for every watch to end by itself.
		"--shutdown-watch-termination-grace-period=100ms",
	}
	if auditLog != "" {
		arguments = append(arguments,
			"--audit-policy-file="+files.auditPolicy(),
			"--audit-log-path="+auditLog,
			// In megabytes. The default rotates at 100, and a test that counts
			// calls would miss those in the file that was moved away.
			"--audit-log-maxsize=10240",
		)
	}
	return append(arguments, extra...)
}

// controllerManagerArguments are the arguments of 'devcluster
// controller-manager'. Its controllers finish deletions of namespaces, collect
// what owners left behind, and give each namespace its default service account
// and the CA.
func controllerManagerArguments(files layout) []string {
	kubeconfig := files.kubeconfig("controller-manager")
	return []string{
		"controller-manager",
		"--kubeconfig=" + kubeconfig,
		"--controllers=namespace-controller,garbage-collector-controller," +
			"serviceaccount-controller,root-ca-certificate-publisher-controller",
		"--root-ca-file=" + files.caCert(),
		"--leader-elect=false",
		"--secure-port=0", // nobody asks it for anything
		// The default of 20 requests a second makes a test that deletes many
		// objects wait for the controller-manager rather than for the operator.
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	}
}

func writeAuditPolicy(files layout) error {
	return os.WriteFile(files.auditPolicy(), []byte(auditPolicy), 0o600)
}
