package supervisor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// identity is a user the API server knows by a bearer token.
type identity struct {
	name   string // of the kubeconfig
	user   string
	groups []string
	token  string
}

// The operator appears as its service account does in a real cluster, so the
// bindings of the Helm chart apply to it unchanged. It has no other rights.
const (
	operatorNamespace      = "hostwright-system"
	operatorServiceAccount = "hostwright"
)

// credentials are made anew at each start, so none expires in a directory that
// is used for long. Data in etcd do not depend on them.
type credentials struct {
	caPEM             []byte
	admin             identity
	operator          identity
	controllerManager identity
}

func writeCredentials(files layout) (*credentials, error) {
	ca, caKey, err := newCA()
	if err != nil {
		return nil, err
	}
	made := &credentials{
		caPEM: pemBlock("CERTIFICATE", ca.Raw),
		admin: identity{name: "admin", user: "admin", groups: []string{"system:masters"}},
		operator: identity{
			name:   "operator",
			user:   "system:serviceaccount:" + operatorNamespace + ":" + operatorServiceAccount,
			groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace},
		},
		// An own user name keeps its calls apart in the audit log.
		controllerManager: identity{
			name: "controller-manager", user: "system:kube-controller-manager", groups: []string{"system:masters"},
		},
	}
	if err := os.WriteFile(files.caCert(), made.caPEM, 0o600); err != nil {
		return nil, err
	}
	if err := writeServingPair(files, ca, caKey); err != nil {
		return nil, err
	}
	if err := writeServiceAccountKeys(files); err != nil {
		return nil, err
	}
	return made, made.writeTokens(files)
}

func (c *credentials) writeTokens(files layout) error {
	var lines strings.Builder
	for _, known := range []*identity{&c.admin, &c.operator, &c.controllerManager} {
		random := make([]byte, 32)
		rand.Read(random) // never fails, it ends the process instead
		known.token = hex.EncodeToString(random)
		fmt.Fprintf(&lines, "%s,%s,%s,%q\n", known.token, known.user, known.name, strings.Join(known.groups, ","))
	}
	if err := os.WriteFile(files.adminToken(), []byte(c.admin.token), 0o600); err != nil {
		return err
	}
	return os.WriteFile(files.tokens(), []byte(lines.String()), 0o600)
}

func newCA() (*x509.Certificate, crypto.Signer, error) {
	template := certificateTemplate("devcluster-ca")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the CA: %w", err)
	}
	ca, err := x509.ParseCertificate(raw)
	return ca, key, err
}

func writeServingPair(files layout, ca *x509.Certificate, caKey crypto.Signer) error {
	template := certificateTemplate("kube-apiserver")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	key, err := newKey()
	if err != nil {
		return err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("make the serving certificate: %w", err)
	}
	if err := os.WriteFile(files.servingCert(), pemBlock("CERTIFICATE", raw), 0o600); err != nil {
		return err
	}
	return writePrivateKey(files.servingKey(), key)
}

func writeServiceAccountKeys(files layout) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(files.serviceAccountPublic(), pemBlock("PUBLIC KEY", public), 0o600); err != nil {
		return err
	}
	return writePrivateKey(files.serviceAccountKey(), key)
}

func certificateTemplate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
	}
}

// newKey makes an elliptic key: an RSA key would take a good part of a second.
func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func writePrivateKey(path string, key *ecdsa.PrivateKey) error {
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pemBlock("EC PRIVATE KEY", raw), 0o600)
}

func pemBlock(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}
