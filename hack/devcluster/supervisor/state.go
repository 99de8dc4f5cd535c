package supervisor

import (
	"encoding/json"
	"os"
)

// state is what state.json tells. A process that is not running has the pid 0.
// The file is there as long as the supervisor runs.
type state struct {
	Server               string `json:"server"`
	SupervisorPid        int    `json:"supervisorPid"`
	ApiserverPid         int    `json:"apiserverPid"`
	ControllerManagerPid int    `json:"controllerManagerPid"`
	AdminKubeconfig      string `json:"adminKubeconfig"`
	OperatorKubeconfig   string `json:"operatorKubeconfig"`
	AdminTokenFile       string `json:"adminTokenFile"`
	CAFile               string `json:"caFile"`
	ApiserverLog         string `json:"apiserverLog"`
	ControllerManagerLog string `json:"controllerManagerLog"`
	AuditLog             string `json:"auditLog,omitempty"`
}

// write replaces the file at once, so a reader never sees half of it.
func (s state) write(path string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}
