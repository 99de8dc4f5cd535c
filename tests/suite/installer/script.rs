//! The script's text: what can be said of it without a container.

use std::process::Command;

const PATHS: [&str; 2] = [
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/providers/ssh_installer/install.sh"
    ),
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/providers/ssh_installer/announce.sh"
    ),
];

#[test]
fn shellcheck_has_nothing_to_say() {
    let output = Command::new("shellcheck").args(PATHS).output();
    let output = output.expect("shellcheck is missing; install it with `apt-get install shellcheck`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

/// A text that was cut off anywhere on its way must do nothing at all.
#[test]
fn half_a_script_does_nothing() {
    for path in PATHS {
        let whole = std::fs::read_to_string(path).unwrap();
        let last = whole.trim_end().rsplit_once("\nmain </dev/null").unwrap().0;
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("cut.sh");
        std::fs::write(&text, last).unwrap();
        // With an empty PATH every command would fail, and be seen.
        let output = Command::new("/bin/bash")
            .arg(&text)
            .env_clear()
            .env("PATH", folder.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
}
