package supervisor

import "path/filepath"

// layout names every file of a cluster. All lie in one directory that only its
// owner can enter.
type layout struct{ dir string }

func (l layout) path(name string) string { return filepath.Join(l.dir, name) }

func (l layout) lock() string                 { return l.path("lock") }
func (l layout) state() string                { return l.path("state.json") }
func (l layout) etcd() string                 { return l.path("etcd") }
func (l layout) caCert() string               { return l.path("ca.crt") }
func (l layout) servingCert() string          { return l.path("apiserver.crt") }
func (l layout) servingKey() string           { return l.path("apiserver.key") }
func (l layout) serviceAccountPublic() string { return l.path("service-account.pub") }
func (l layout) serviceAccountKey() string    { return l.path("service-account.key") }
func (l layout) tokens() string               { return l.path("tokens.csv") }
func (l layout) adminToken() string           { return l.path("admin.token") }
func (l layout) auditPolicy() string          { return l.path("audit-policy.yaml") }
func (l layout) apiserverLog() string         { return l.path("apiserver.log") }
func (l layout) controllerManagerLog() string { return l.path("controller-manager.log") }

func (l layout) kubeconfig(identity string) string { return l.path(identity + ".kubeconfig") }
