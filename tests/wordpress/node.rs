//! The node that the container is on: OpenSSH's server, a `pct` that enters the container, and the installer that
//! comes by SSH.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hostwright::domain::{OwnerMark, Vmid};
use hostwright::providers::ProviderError;
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::site_installer::{InstallRequest, InstallState, InstallTarget, SiteInstaller};
use hostwright::providers::ssh_installer::{self, SshInstaller, SshNode, SshSettings, WordPressSource};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use secrecy::SecretString;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::container::NUMBER;
use super::lab::Place;
use super::openssh::{Sshd, account, key};

/// The site's main name.
pub const SITE: &str = "shop907.example.com";
/// Its first administrator.
pub const ADMIN: &str = "jane";
/// Their password, with what shells, SQL and PHP could stumble over.
pub const ADMIN_PASSWORD: &str = r#"adm1n '"$x` \ %s Zq7"#;
/// Password of the database's user.
pub const DATABASE_PASSWORD: &str = r#"dat4 '"$x` \\ %s Kx9"#;
/// The site's title.
pub const TITLE: &str = "Jane's \"$HOME\" `id` shop";
/// Limit of one run: it takes about half a minute on two cores that have nothing else to do.
const DEADLINE: Duration = Duration::from_secs(600);

/// The node.
pub struct Node {
    sshd: Sshd,
    key: PrivateKey,
}

/// One run of the installer. Dropping it breaks its connection.
pub struct Run {
    installer: Arc<SshInstaller>,
    woken: UnboundedReceiver<OwnerMark>,
    target: InstallTarget,
}

/// A gate that lets everything through.
pub fn gate() -> Arc<Gate> {
    let limits = Limits {
        max_concurrent: 4,
        requests_per_second: 1000.try_into().unwrap(),
    };
    Arc::new(Gate::new("test", limits, Arc::new(NoMeter)))
}

/// What the operator would ask for.
pub fn request() -> InstallRequest {
    InstallRequest {
        target: InstallTarget {
            owner: owner("7"),
            container: Vmid::try_from(i64::from(NUMBER)).unwrap(),
            node: "pve1".to_owned(),
            address: Ipv4Addr::LOCALHOST,
        },
        host: SITE.parse().unwrap(),
        https: true,
        title: TITLE.to_owned(),
        admin_user: ADMIN.to_owned(),
        admin_email: "jane@example.com".parse().unwrap(),
        admin_name: "Jane O'Doe".to_owned(),
        admin_password: SecretString::from(ADMIN_PASSWORD),
        database_password: SecretString::from(DATABASE_PASSWORD),
    }
}

/// One of several owners.
pub fn owner(digit: &str) -> OwnerMark {
    format!("hostwright:test:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b1{digit}")
        .parse()
        .unwrap()
}

impl Node {
    /// A node whose `pct` enters the lab's container.
    pub async fn start(place: &Place) -> Self {
        let key = key();
        let pct = format!(
            "#!/bin/sh\nLAB='{}' exec '{}/tests/wordpress/pct' \"$@\"\n",
            place.folder.display(),
            env!("CARGO_MANIFEST_DIR")
        );
        let sshd = Sshd::start(&key, &pct).await;
        Self { sshd, key }
    }

    fn settings(&self) -> SshSettings {
        let node = SshNode {
            address: self.sshd.address.ip().to_string(),
            port: self.sshd.address.port(),
            host_keys: vec![self.sshd.host_key.clone()],
        };
        SshSettings {
            user: account(),
            private_key: SecretString::from(self.key.to_openssh(LineEnding::LF).unwrap().to_string()),
            nodes: BTreeMap::from([("pve1".to_owned(), node)]),
            wordpress: WordPressSource {
                archive: "package:wordpress".parse().unwrap(),
                sha256: None,
                disallow_file_edit: true,
            },
            deadline: DEADLINE,
            pct: "pct".to_owned(),
        }
    }

    fn installer(&self) -> (Arc<SshInstaller>, UnboundedReceiver<OwnerMark>) {
        let (sender, woken) = unbounded_channel();
        let wake = Arc::new(move |owner: &OwnerMark| drop(sender.send(owner.clone())));
        (
            ssh_installer::connect(self.settings(), gate(), wake).unwrap(),
            woken,
        )
    }

    /// Begins a run.
    pub async fn begin(&self, request: InstallRequest) -> Run {
        let (installer, woken) = self.installer();
        let target = request.target.clone();
        installer.begin(request).await.unwrap();
        Run {
            installer,
            woken,
            target,
        }
    }

    /// A whole run.
    pub async fn install(&self, request: InstallRequest) -> InstallState {
        let begun = std::time::Instant::now();
        let state = self.begin(request).await.end().await;
        eprintln!("a run of {:.1} s", begun.elapsed().as_secs_f32());
        state
    }

    /// Tells WordPress of the customer's domains.
    pub async fn announce(&self, request: &InstallRequest, domains: &[&str]) -> Result<(), ProviderError> {
        let domains = domains.iter().map(|name| name.parse().unwrap()).collect();
        let (installer, _woken) = self.installer();
        installer.announce(&request.target, &request.host, &domains).await
    }
}

impl Run {
    /// Whether it has ended by itself.
    pub fn is_over(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Waits for its end.
    pub async fn end(mut self) -> InstallState {
        tokio::time::timeout(DEADLINE * 2, self.woken.recv())
            .await
            .expect("no wake-up came");
        self.installer.state(&self.target).await.unwrap()
    }
}
