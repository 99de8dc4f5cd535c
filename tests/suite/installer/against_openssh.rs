//! The SSH installer against OpenSSH's own server, with a `pct` that records what reaches it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hostwright::providers::ErrorKind;
use hostwright::providers::site_installer::InstallState;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{
    ADMIN_PASSWORD, Bench, DATABASE_PASSWORD, PATIENCE, failed, key, public_line, request, settings,
};

const SSHD: &str = "/usr/sbin/sshd";
/// Ports that are tried: one that was free may be taken before the server binds it.
const PORTS_TRIED: usize = 5;

/// Stands for `pct`: records its arguments, its environment, every command line on the machine and its input;
/// lets a shell read the parameters and check the script's grammar without running it.
const PCT: &str = r#"#!/bin/bash
printf '%s\n' "$*" >"$RECORDS/arguments"
cat >"$RECORDS/input"
env >"$RECORDS/environment"
cat /proc/[0-9]*/cmdline >"$RECORDS/command-lines" 2>/dev/null
case $2 in
  907)
    bash -n "$RECORDS/input" || exit 9
    grep '^HOSTWRIGHT_[A-Z0-9_]*=' "$RECORDS/input" >"$RECORDS/parameters"
    . "$RECORDS/parameters"
    printf '%s' "$HOSTWRIGHT_SITE_TITLE" >"$RECORDS/title"
    echo 'hostwright: done'
    ;;
  908) echo "container '908' not running!" >&2; exit 255 ;;
  909) echo 'hostwright: failed start: the container runs alpine; use another template'; exit 3 ;;
  910) for i in {1..20000}; do echo "noise noise noise noise $i"; done; exit 1 ;;
  911) while [ -d "$RECORDS" ]; do sleep 0.2; done ;;
esac
"#;

/// A server of its own on a loopback port, stopped by its process id when dropped.
struct Sshd {
    folder: tempfile::TempDir,
    address: SocketAddr,
    host_key: String,
    _process: Child,
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn configure(folder: &Path, client: &PrivateKey) -> String {
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
    write(&folder.join("bin/pct"), PCT, 0o755);
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
    async fn start(client: &PrivateKey) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing; install it with `apt-get install openssh-server`"
        );
        // The package's service would make this folder; only root's server needs it.
        let _ = fs::create_dir_all("/run/sshd");
        let folder = tempfile::tempdir().unwrap();
        // Other accounts must be able to reach the wrapper.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let host_key = configure(folder.path(), client);
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

    fn record(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join("records").join(name);
        String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
    }
}

/// The account that runs the tests, for an ordinary user's server lets only that one in.
fn account() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn bench() -> (Sshd, Bench) {
    let client = key();
    let sshd = Sshd::start(&client).await;
    let mut settings = settings(&client, &[("pve1", sshd.address, &sshd.host_key)]);
    settings.user = account();
    (sshd, Bench::new(settings))
}

#[tokio::test]
async fn the_script_arrives_whole_and_secrets_only_over_standard_input() {
    let (sshd, mut bench) = bench().await;
    assert_eq!(bench.run(&request(907, "pve1")).await, InstallState::Done);
    assert_eq!(sshd.record("arguments"), "exec 907 -- bash -s\n");
    let input = sshd.record("input");
    let script = include_str!("../../../src/providers/ssh_installer/install.sh");
    assert!(input.ends_with(script), "the script was cut off");
    assert_eq!(sshd.record("title"), "Jane's \"$HOME\" `id` shop");
    for secret in [ADMIN_PASSWORD, DATABASE_PASSWORD] {
        assert!(input.contains(secret));
        for place in ["arguments", "environment", "command-lines"] {
            assert!(!sshd.record(place).contains(secret), "a secret in {place}");
        }
    }
}

#[tokio::test]
async fn ends_of_the_command_are_told_apart() {
    let (_sshd, mut bench) = bench().await;
    let error = failed(bench.run(&request(908, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("does not run"), "{error}");
    let error = failed(bench.run(&request(909, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("alpine"), "{error}");
    let error = failed(bench.run(&request(910, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    let detail = error.detail().unwrap();
    assert!(
        detail.contains("noise 20000") && detail.len() < 10_000,
        "{detail}"
    );
}

#[tokio::test]
async fn the_deadline_and_the_keys_hold_against_openssh_too() {
    let client = key();
    let sshd = Sshd::start(&client).await;
    let nodes = [("pve1", sshd.address, sshd.host_key.as_str())];
    let mut patient = settings(&client, &nodes);
    patient.user = account();
    patient.deadline = Duration::from_secs(3);
    let error = failed(Bench::new(patient).run(&request(911, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("within 3 s"), "{error}");

    let mut stranger = settings(&key(), &nodes);
    stranger.user = account();
    let error = failed(Bench::new(stranger).run(&request(907, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("authorized_keys"), "{error}");

    let other = public_line(&key());
    let mut misled = settings(&client, &[("pve1", sshd.address, &other)]);
    misled.user = account();
    let error = failed(Bench::new(misled).run(&request(907, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("not pinned"), "{error}");
}
