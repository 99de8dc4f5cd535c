//! OpenSSH's own server on a loopback port, as a node of the cluster has it.

#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const SSHD: &str = "/usr/sbin/sshd";
/// Ports that are tried: one that was free may be taken before the server binds it.
const PORTS_TRIED: usize = 5;
/// Far beyond what a start takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A new key.
pub fn key() -> PrivateKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}

/// Its public half as a line of a `.pub` file.
pub fn public_line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

/// A server of its own on a loopback port, stopped by its process id when dropped.
pub struct Sshd {
    /// Its files; `pct` finds the place as RECORDS in its environment.
    pub folder: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its public host key as a line of a `.pub` file.
    pub host_key: String,
    _process: Child,
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn configure(folder: &Path, client: &PrivateKey, pct: &str) -> String {
    let host = key();
    write(
        &folder.join("host_key"),
        &host.to_openssh(LineEnding::LF).unwrap(),
        0o600,
    );
    write(&folder.join("authorized_keys"), &public_line(client), 0o600);
    for made in ["bin", "records"] {
        fs::create_dir(folder.join(made)).unwrap();
    }
    write(&folder.join("bin/pct"), pct, 0o755);
    let at = folder.display();
    let wrapper = format!(
        "#!/bin/sh\nexport RECORDS='{at}/records' PATH='{at}/bin':\"$PATH\"\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n"
    );
    write(&folder.join("wrapper"), &wrapper, 0o755);
    let config = format!(
        "HostKey {at}/host_key\nAuthorizedKeysFile {at}/authorized_keys\nPidFile none\nUsePAM no\n\
         StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nForceCommand {at}/wrapper\n"
    );
    write(&folder.join("config"), &config, 0o600);
    public_line(&host)
}

async fn answers(address: SocketAddr, process: &mut Child) -> bool {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(mut stream) = TcpStream::connect(address).await {
                let mut banner = [0; 4];
                return stream.read_exact(&mut banner).await.is_ok() && &banner == b"SSH-";
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or(false)
}

impl Sshd {
    /// Starts one that lets the key in and has the given program as `pct`.
    pub async fn start(client: &PrivateKey, pct: &str) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing; install it with `apt-get install openssh-server`"
        );
        // The package's service would make this folder; only root's server needs it.
        let _ = fs::create_dir_all("/run/sshd");
        let folder = tempfile::tempdir().unwrap();
        // Other accounts must be able to reach the wrapper.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let host_key = configure(folder.path(), client, pct);
        for _ in 0..PORTS_TRIED {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .unwrap()
                .local_addr()
                .unwrap();
            let mut process = Command::new(SSHD)
                .arg("-D")
                .arg("-f")
                .arg(folder.path().join("config"))
                .arg("-E")
                .arg(folder.path().join("log"))
                .arg(format!("-oListenAddress={address}"))
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            if answers(address, &mut process).await {
                return Self {
                    folder,
                    address,
                    host_key,
                    _process: process,
                };
            }
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("{SSHD} did not start: {log}");
    }
}

/// The account that runs the tests, for an ordinary user's server lets only that one in.
pub fn account() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
