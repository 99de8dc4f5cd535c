//! Who takes part, how each is started, and as whom it speaks to the API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::config::Contestant;
use crate::stage::backends::CLOUDFLARE_TOKEN;
use crate::stage::operator::command;
use crate::stage::{Cluster, OPERATOR_NAMESPACE, StageError};

/// Name of the cluster in owner marks.
pub(super) const CLUSTER_ID: &str = "bench";
/// Name of the Provider, and of its Secret.
pub(super) const PROVIDER: &str = "cloudflare";
/// Passes at the same time, the same for Hostwright, the workers of controller-runtime and kopf's connections.
const CONCURRENCY: &str = "32";
/// How long the tokens of the peers are good; longer than any race.
const TOKEN_LIFE: &str = "24h";

/// What a contestant is told at its start.
pub(super) struct Start<'a> {
    /// Its kubeconfig.
    pub kubeconfig: &'a Path,
    /// Address of Cloudflare's API.
    pub endpoint: &'a str,
    /// Account in which zones are made.
    pub account: &'a str,
    /// Time between two looks at an unchanged object.
    pub resync: Duration,
    /// Folder with the peers' programs.
    pub programs: &'a Path,
}

impl Contestant {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Hostwright, Self::Kopf, Self::ControllerRuntime];

    /// Name in figures and tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hostwright => "hostwright",
            Self::Kopf => "kopf",
            Self::ControllerRuntime => "controller-runtime",
        }
    }

    /// Its name for the API server, and so in the audit log.
    pub(super) fn user(self) -> String {
        format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{}", self.name())
    }

    /// Its program; it has to be there before the race.
    pub(super) fn program(self, programs: &Path) -> Result<PathBuf, StageError> {
        let program = match self {
            Self::Hostwright => std::env::current_exe()
                .map_err(|error| StageError::Other(format!("this program is unknown: {error}")))?,
            Self::Kopf => programs.join("kopf/bin/kopf"),
            Self::ControllerRuntime => programs.join("controller-runtime"),
        };
        match program.exists() {
            // A program that is started with a relative path is looked for elsewhere when that has no slash.
            true => std::path::absolute(&program).map_err(|error| StageError::Other(error.to_string())),
            false => Err(StageError::Other(format!(
                "{} is missing; run `make bench-peers-programs`",
                program.display()
            ))),
        }
    }

    /// The objects that give a peer its account and rights. Hostwright has those of its chart.
    pub(super) fn rights(self) -> Vec<Value> {
        if self == Self::Hostwright {
            return Vec::new();
        }
        let name = self.name();
        let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": OPERATOR_NAMESPACE});
        vec![
            json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": OPERATOR_NAMESPACE}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [
                {"apiGroups": ["hostwright.dev"], "resources": ["dnszones"],
                    "verbs": ["get", "list", "watch", "patch", "update"]},
                {"apiGroups": ["hostwright.dev"], "resources": ["dnszones/status"],
                    "verbs": ["get", "patch", "update"]},
                {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
            ]}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": name}, "subjects": [subject],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}}),
        ]
    }

    /// Its kubeconfig, for which the account must be there.
    pub(super) async fn kubeconfig(self, cluster: &Cluster, folder: &Path) -> Result<PathBuf, StageError> {
        if self == Self::Hostwright {
            return Ok(cluster.operator_kubeconfig().to_owned());
        }
        let other = |error: &dyn std::fmt::Display| StageError::Other(format!("no kubeconfig: {error}"));
        let arguments = [
            "create",
            "token",
            self.name(),
            "-n",
            OPERATOR_NAMESPACE,
            "--duration",
            TOKEN_LIFE,
        ];
        let token = cluster.kubectl(&arguments, "").await?;
        let mut config = Kubeconfig::read_from(cluster.admin_kubeconfig()).map_err(|error| other(&error))?;
        for user in &mut config.auth_infos {
            if let Some(user) = &mut user.auth_info {
                user.token = Some(token.trim().to_owned().into());
            }
        }
        let path = folder.join(format!("{}.kubeconfig", self.name()));
        // JSON is YAML as well.
        let text = serde_json::to_vec(&config).map_err(|error| other(&error))?;
        std::fs::write(&path, text).map_err(|error| other(&error))?;
        Ok(path)
    }

    /// How it is started.
    pub(super) fn command(self, start: &Start<'_>) -> Result<Command, StageError> {
        let mut command = command(&self.program(start.programs)?);
        command.env("KUBECONFIG", start.kubeconfig);
        if self == Self::Hostwright {
            command.args([
                "run",
                "--cluster-id",
                CLUSTER_ID,
                "--admin-address",
                "127.0.0.1:0",
            ]);
            command.args([
                "--operator-namespace",
                OPERATOR_NAMESPACE,
                "--concurrency",
                CONCURRENCY,
            ]);
            command.arg("--resync-interval").arg(milliseconds(start.resync));
            return Ok(command);
        }
        command
            .env("CLOUDFLARE_API_URL", start.endpoint)
            .env("CLOUDFLARE_API_TOKEN", CLOUDFLARE_TOKEN)
            .env("CLOUDFLARE_ACCOUNT_ID", start.account);
        if self == Self::Kopf {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peers/kopf/dnszone.py");
            command
                .args(["run", "--quiet", "--standalone", "--all-namespaces"])
                .arg(source)
                .env("CLUSTER_ID", CLUSTER_ID)
                .env("PROVIDER", PROVIDER)
                .env("RESYNC_SECONDS", start.resync.as_secs_f64().to_string())
                .env("PYTHONDONTWRITEBYTECODE", "1");
        } else {
            command.args([
                "-cluster-id",
                CLUSTER_ID,
                "-provider",
                PROVIDER,
                "-workers",
                CONCURRENCY,
            ]);
            command.arg("-resync").arg(milliseconds(start.resync));
        }
        Ok(command)
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
