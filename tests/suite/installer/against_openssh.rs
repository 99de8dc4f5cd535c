//! The SSH installer against OpenSSH's own server, with a `pct` that records what reaches it.

use std::fs;
use std::time::Duration;

use hostwright::providers::ErrorKind;
use hostwright::providers::site_installer::InstallState;

use super::openssh::{Sshd, account, key, public_line};
use super::{ADMIN_PASSWORD, Bench, DATABASE_PASSWORD, failed, request, settings};

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

fn record(sshd: &Sshd, name: &str) -> String {
    let path = sshd.folder.path().join("records").join(name);
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

async fn bench() -> (Sshd, Bench) {
    let client = key();
    let sshd = Sshd::start(&client, PCT).await;
    let mut settings = settings(&client, &[("pve1", sshd.address, &sshd.host_key)]);
    settings.user = account();
    (sshd, Bench::new(settings))
}

#[tokio::test]
async fn the_script_arrives_whole_and_secrets_only_over_standard_input() {
    let (sshd, mut bench) = bench().await;
    assert_eq!(bench.run(&request(907, "pve1")).await, InstallState::Done);
    assert_eq!(record(&sshd, "arguments"), "exec 907 -- bash -s\n");
    let input = record(&sshd, "input");
    let script = include_str!("../../../src/providers/ssh_installer/install.sh");
    assert!(input.ends_with(script), "the script was cut off");
    assert_eq!(record(&sshd, "title"), "Jane's \"$HOME\" `id` shop");
    for secret in [ADMIN_PASSWORD, DATABASE_PASSWORD] {
        assert!(input.contains(secret));
        for place in ["arguments", "environment", "command-lines"] {
            assert!(!record(&sshd, place).contains(secret), "a secret in {place}");
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
    let sshd = Sshd::start(&client, PCT).await;
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
