package supervisor

import (
	"encoding/json"
	"os"
)

// The fields of a kubeconfig that are used here. It is written as JSON, which
// every reader of YAML reads.
type (
	kubeconfig struct {
		APIVersion     string         `json:"apiVersion"`
		Kind           string         `json:"kind"`
		Clusters       []namedCluster `json:"clusters"`
		Users          []namedUser    `json:"users"`
		Contexts       []namedContext `json:"contexts"`
		CurrentContext string         `json:"current-context"`
	}
	namedCluster struct {
		Name    string `json:"name"`
		Cluster struct {
			Server string `json:"server"`
			CA     []byte `json:"certificate-authority-data"`
		} `json:"cluster"`
	}
	namedUser struct {
		Name string `json:"name"`
		User struct {
			Token string `json:"token"`
		} `json:"user"`
	}
	namedContext struct {
		Name    string `json:"name"`
		Context struct {
			Cluster   string `json:"cluster"`
			User      string `json:"user"`
			Namespace string `json:"namespace"`
		} `json:"context"`
	}
)

const clusterName = "devcluster"

// writeKubeconfig writes a kubeconfig that needs no other file.
func writeKubeconfig(path, server string, caPEM []byte, who identity) error {
	cluster := namedCluster{Name: clusterName}
	cluster.Cluster.Server = server
	cluster.Cluster.CA = caPEM

	user := namedUser{Name: who.name}
	user.User.Token = who.token

	context := namedContext{Name: who.name + "@" + clusterName}
	context.Context.Cluster = clusterName
	context.Context.User = who.name
	context.Context.Namespace = "default"

	raw, err := json.MarshalIndent(kubeconfig{
		APIVersion:     "v1",
		Kind:           "Config",
		Clusters:       []namedCluster{cluster},
		Users:          []namedUser{user},
		Contexts:       []namedContext{context},
		CurrentContext: context.Name,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o600)
}
