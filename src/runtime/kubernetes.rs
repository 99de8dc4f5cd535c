//! The way to the Kubernetes API: a client for the pod's service account or a kubeconfig, and the cluster's id.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use reqwest::header::{HeaderValue, USER_AGENT};

use crate::domain::ClusterId;

/// Time to reach the API server at all; it is in the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which a request must be taken off our hands. Kube's own 295 s outlast the deadline of a pass.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Limit for the one read at the start that nothing else bounds.
const CLUSTER_ID_TIMEOUT: Duration = Duration::from_secs(30);
/// The namespace that every cluster has and nobody can make anew: its UID names the cluster.
const CLUSTER_NAMESPACE: &str = "kube-system";
/// What the API server's audit log calls us.
const AGENT: &str = concat!("hostwright/", env!("CARGO_PKG_VERSION"));

/// No client for the Kubernetes API could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a service account.
    #[error(
        "there is no way to Kubernetes: no kubeconfig was named, and this is not a pod with a service account \
         ({reason}); set KUBECONFIG or --kubeconfig to a file, or run in the cluster with \
         automountServiceAccountToken: true"
    )]
    Nowhere {
        /// Why the service account cannot be used.
        reason: String,
    },
    /// The kubeconfig cannot be used.
    #[error(
        "the kubeconfig {path} cannot be used: {reason}; name a readable file in KUBECONFIG or --kubeconfig"
    )]
    Kubeconfig {
        /// The file, or the list of files.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kubeconfig turns certificate verification off.
    #[error(
        "the kubeconfig {path} has insecure-skip-tls-verify, with which credentials of customers could go to \
         anybody; name the authority in certificate-authority instead"
    )]
    Unverified {
        /// The file, or the list of files.
        path: String,
    },
    /// TLS or authentication could not be set up.
    #[error("the client for {server} could not be set up: {reason}")]
    Client {
        /// Address of the API server.
        server: String,
        /// What is wrong.
        reason: String,
    },
}

/// A client that neither retries nor times out reads by itself.
///
/// Kube's default would repeat a call 15 times for over six minutes on 429, 503 and 504, and creating calls
/// too; passes have a deadline and a growing pause of their own. Reads have no time-out because watches are
/// reads that last; the deadline of a pass bounds the ordinary ones.
///
/// `kubeconfig` is a path or a list of paths as in `KUBECONFIG`; without it the pod's service account is used.
///
/// # Errors
/// What was tried and what to set. Nothing is asked of the server yet.
pub async fn client(kubeconfig: Option<&OsStr>) -> Result<Client, ConnectError> {
    client_in(kubeconfig, None).await
}

/// As [`client`], in a context of the kubeconfig other than the current one. Its default namespace is the context's.
///
/// # Errors
/// As of [`client`]; a context without a kubeconfig is one more.
pub async fn client_in(kubeconfig: Option<&OsStr>, context: Option<&str>) -> Result<Client, ConnectError> {
    let config = config(kubeconfig, context).await?;
    let server = config.cluster_url.to_string();
    // Kube takes the process's default for its TLS; it is the one that is compiled in. An error means that
    // there is a default already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(config).map_err(|error| ConnectError::Client {
        server,
        reason: chain(&error),
    })
}

async fn config(kubeconfig: Option<&OsStr>, context: Option<&str>) -> Result<Config, ConnectError> {
    let mut config = match kubeconfig.filter(|paths| !paths.is_empty()) {
        None if context.is_some() => {
            let reason = "a context was named, which only a kubeconfig has".to_owned();
            return Err(ConnectError::Nowhere { reason });
        }
        None => Config::incluster().map_err(|error| ConnectError::Nowhere {
            reason: chain(&error),
        })?,
        Some(paths) => from_files(paths, context).await?,
    };
    config.default_retry = false;
    config.read_timeout = None;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    Ok(config)
}

async fn from_files(paths: &OsStr, context: Option<&str>) -> Result<Config, ConnectError> {
    let path = paths.to_string_lossy().into_owned();
    let refused = |error: KubeconfigError| ConnectError::Kubeconfig {
        path: path.clone(),
        reason: chain(&error),
    };
    let mut files = std::env::split_paths(paths).filter(|path: &PathBuf| path != Path::new(""));
    let merged = files.try_fold(Kubeconfig::default(), |merged, file| {
        merged.merge(Kubeconfig::read_from(file)?)
    });
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(merged.map_err(refused)?, &options)
        .await
        .map_err(refused)?;
    if config.accept_invalid_certs {
        return Err(ConnectError::Unverified { path });
    }
    Ok(config)
}

/// The cluster's id could not be found out.
#[derive(Debug, thiserror::Error)]
#[error(
    "the id of this cluster is unknown: namespace kube-system {reason}; set HOSTWRIGHT_CLUSTER_ID instead"
)]
pub struct ClusterIdError {
    reason: String,
}

/// The UID of namespace `kube-system`, which stays the same as long as the cluster lives. Takes 30 s at most.
///
/// # Errors
/// When the namespace cannot be read.
pub async fn cluster_id(client: Client) -> Result<ClusterId, ClusterIdError> {
    let failed = |reason: String| ClusterIdError { reason };
    let namespaces: Api<Namespace> = Api::all(client);
    let namespace = tokio::time::timeout(CLUSTER_ID_TIMEOUT, namespaces.get(CLUSTER_NAMESPACE))
        .await
        .map_err(|_| failed(format!("was not read within {CLUSTER_ID_TIMEOUT:?}")))?
        .map_err(|error| failed(format!("cannot be read ({})", chain(&error))))?;
    let uid = namespace.metadata.uid.unwrap_or_default();
    uid.parse()
        .map_err(|_| failed(format!("has \"{uid}\" as its UID")))
}

/// An error with its causes, those left out that the text before already ends with.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use tempfile::NamedTempFile;

    use super::*;

    const UID: &str = "4a4e6a2e-9c1b-4a53-8a40-0d9c1d3f2b11";

    fn kubeconfig(cluster: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        write!(
            file,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\n"
        )
        .unwrap();
        file
    }

    /// An API server that gives one answer, and the agents that asked for it.
    async fn server(status: StatusCode, body: String) -> (NamedTempFile, Arc<Mutex<Vec<String>>>) {
        let agents = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&agents);
        let answer = move |headers: HeaderMap| async move {
            let agent = headers
                .get(USER_AGENT)
                .map(|agent| agent.to_str().unwrap().to_owned());
            seen.lock().unwrap().push(agent.unwrap_or_default());
            (status, body)
        };
        let router = Router::new().route("/api/v1/namespaces/kube-system", axum::routing::get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        (kubeconfig(&format!("server: \"http://{address}\"")), agents)
    }

    #[tokio::test]
    async fn the_cluster_is_named_after_its_oldest_namespace() {
        let body = format!("{{\"metadata\":{{\"name\":\"kube-system\",\"uid\":\"{UID}\"}}}}");
        let (file, agents) = server(StatusCode::OK, body).await;
        let client = client(Some(file.path().as_os_str())).await.unwrap();
        assert_eq!(cluster_id(client).await.unwrap().to_string(), UID);
        assert_eq!(*agents.lock().unwrap(), [AGENT]);
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_once_and_not_for_minutes() {
        for status in [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ] {
            let (file, agents) = server(status, "{}".to_owned()).await;
            let client = client(Some(file.path().as_os_str())).await.unwrap();
            let said = cluster_id(client).await.unwrap_err().to_string();
            assert!(
                said.starts_with("the id of this cluster is unknown: namespace kube-system cannot be read (")
            );
            assert!(said.ends_with("; set HOSTWRIGHT_CLUSTER_ID instead"), "{said}");
            assert_eq!(agents.lock().unwrap().len(), 1, "{status}");
        }
    }

    #[tokio::test]
    async fn a_missing_kubeconfig_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere.yaml");
        let said = client(Some(path.as_os_str())).await.err().unwrap().to_string();
        let begin = format!(
            "the kubeconfig {} cannot be used: failed to read kubeconfig",
            path.display()
        );
        assert!(said.starts_with(&begin), "{said}");
        assert!(
            said.ends_with("; name a readable file in KUBECONFIG or --kubeconfig"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn outside_a_cluster_the_message_says_what_to_set() {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            eprintln!("skipped: these tests run inside a cluster");
            return;
        }
        for nothing in [None, Some(OsStr::new(""))] {
            let said = client(nothing).await.err().unwrap().to_string();
            assert!(
                said.starts_with("there is no way to Kubernetes: no kubeconfig was named"),
                "{said}"
            );
            assert!(said.contains("set KUBECONFIG or --kubeconfig"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_context_is_chosen_by_name() {
        let mut file = NamedTempFile::new().unwrap();
        write!(
            file,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"https://first.example\"}}}}]\n\
             contexts:\n\
             - {{name: c, context: {{cluster: c, user: u}}}}\n\
             - {{name: other, context: {{cluster: c, user: u, namespace: customers}}}}\n\
             users: [{{name: u, user: {{token: t}}}}]\n"
        )
        .unwrap();
        let path = Some(file.path().as_os_str());
        assert_eq!(config(path, None).await.unwrap().default_namespace, "default");
        assert_eq!(
            config(path, Some("other")).await.unwrap().default_namespace,
            "customers"
        );
        let said = config(path, Some("third")).await.err().unwrap().to_string();
        assert!(said.contains("third"), "{said}");
        assert!(matches!(
            config(None, Some("other")).await,
            Err(ConnectError::Nowhere { .. })
        ));
    }

    #[tokio::test]
    async fn several_files_are_merged_and_verification_stays_on() {
        let good = kubeconfig("server: \"https://first.example\"");
        let unverified = kubeconfig("server: \"https://second.example\", insecure-skip-tls-verify: true");
        let list = std::env::join_paths([good.path(), unverified.path()]).unwrap();
        let merged = config(Some(&list), None).await.unwrap();
        assert_eq!(merged.cluster_url.host(), Some("first.example"));
        assert!(!merged.default_retry && merged.read_timeout.is_none());
        assert!(matches!(
            config(Some(unverified.path().as_os_str()), None).await,
            Err(ConnectError::Unverified { .. })
        ));
    }
}
