//! The installers: SSH against the simulator and against OpenSSH, the golden template over HTTP.

mod against_openssh;
mod against_simulator;
mod openssh;
mod script;
mod template;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hostwright::domain::{OwnerMark, Vmid};
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::site_installer::{InstallRequest, InstallState, InstallTarget, SiteInstaller};
use hostwright::providers::ssh_installer::{self, SshInstaller, SshNode, SshSettings, WordPressSource};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use secrecy::SecretString;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const ADMIN_PASSWORD: &str = "adm1n-Zq7-secret";
const DATABASE_PASSWORD: &str = "dat4base-Kx9-secret";
const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b1";
/// Far beyond what anything here takes; a wait that ends so has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn gate() -> Arc<Gate> {
    let limits = Limits {
        max_concurrent: 4,
        requests_per_second: 100.try_into().unwrap(),
    };
    Arc::new(Gate::new("test", limits, Arc::new(NoMeter)))
}

fn owner(digit: u8) -> OwnerMark {
    format!("hostwright:test:{UID}{digit}").parse().unwrap()
}

fn request(vmid: u32, node: &str) -> InstallRequest {
    InstallRequest {
        target: InstallTarget {
            owner: owner((vmid % 10) as u8),
            container: Vmid::try_from(i64::from(vmid)).unwrap(),
            node: node.to_owned(),
            address: Ipv4Addr::LOCALHOST,
        },
        host: format!("shop{vmid}.example.com").parse().unwrap(),
        https: true,
        title: "Jane's \"$HOME\" `id` shop".to_owned(),
        admin_user: "jane".to_owned(),
        admin_email: "jane@example.com".parse().unwrap(),
        admin_name: "Jane Doe".to_owned(),
        admin_password: SecretString::from(ADMIN_PASSWORD),
        database_password: SecretString::from(DATABASE_PASSWORD),
    }
}

fn settings(key: &PrivateKey, nodes: &[(&str, SocketAddr, &str)]) -> SshSettings {
    let node = |(name, address, host_key): &(&str, SocketAddr, &str)| {
        let node = SshNode {
            address: address.ip().to_string(),
            port: address.port(),
            host_keys: vec![(*host_key).to_owned()],
        };
        ((*name).to_owned(), node)
    };
    SshSettings {
        user: "root".to_owned(),
        private_key: SecretString::from(key.to_openssh(LineEnding::LF).unwrap().to_string()),
        nodes: nodes.iter().map(node).collect::<BTreeMap<_, _>>(),
        wordpress: WordPressSource {
            archive: "package:wordpress".parse().unwrap(),
            sha256: None,
            disallow_file_edit: true,
        },
        deadline: PATIENCE,
        pct: "pct".to_owned(),
    }
}

/// An installer whose wake-ups can be waited for.
struct Bench {
    installer: Arc<SshInstaller>,
    woken: UnboundedReceiver<OwnerMark>,
}

impl Bench {
    fn new(settings: SshSettings) -> Self {
        let (sender, woken) = unbounded_channel();
        let wake = Arc::new(move |owner: &OwnerMark| drop(sender.send(owner.clone())));
        Self {
            installer: ssh_installer::connect(settings, gate(), wake).unwrap(),
            woken,
        }
    }

    async fn state(&self, request: &InstallRequest) -> InstallState {
        self.installer.state(&request.target).await.unwrap()
    }

    /// Begins, waits for the wake-up, and tells how it ended.
    async fn run(&mut self, request: &InstallRequest) -> InstallState {
        self.installer.begin(request.clone()).await.unwrap();
        self.ended(request).await
    }

    async fn ended(&mut self, request: &InstallRequest) -> InstallState {
        let woken = tokio::time::timeout(PATIENCE, self.woken.recv()).await;
        assert_eq!(
            woken.expect("no wake-up came"),
            Some(request.target.owner.clone())
        );
        self.state(request).await
    }
}

/// The error that a run ended with.
fn failed(state: InstallState) -> hostwright::providers::ProviderError {
    match state {
        InstallState::Failed(error) => error,
        other => panic!("expected a failure, got {other:?}"),
    }
}

/// Waits until `met` holds.
async fn until(what: &str, met: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
