//! Namespaces around a whole test, so that whatever becomes of it, no process, mount or interface stays.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Names the folder that `hack/wordpress/root.sh` made.
const ORIGIN: &str = "HOSTWRIGHT_WORDPRESS_ROOT";
/// Names the test's folder, inside.
const LAB: &str = "HOSTWRIGHT_WORDPRESS_LAB";
/// Longest wait for anything: an installation takes half a minute, and the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The test's folder and its origin. Only inside.
pub struct Place {
    /// Roots of containers and whatever else lies in memory.
    pub folder: PathBuf,
    /// What containers begin with.
    pub origin: PathBuf,
}

fn skip(why: &str) {
    // Past the test harness, which keeps what a test that passes prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED: the real WordPress: {why}");
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// Runs the test of this name once more, in namespaces of its own, and there its body.
pub fn inside<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Place) -> F) {
    let origin = std::env::var_os(ORIGIN).map(PathBuf::from);
    if let (Some(folder), Some(origin)) = (std::env::var_os(LAB), &origin) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(body(Place {
            folder: folder.into(),
            origin: origin.clone(),
        }));
        return;
    }
    let Some(origin) = origin else {
        return skip("it is run by `make test-wordpress`");
    };
    if !is_root() {
        return skip("it needs root");
    }
    let folder = tempfile::tempdir().unwrap();
    run(test, folder.path(), &origin);
    // The namespaces are gone; what was mounted here went with them.
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let left: Vec<&str> = mounts
        .lines()
        .filter(|line| line.contains(&*folder.path().to_string_lossy()))
        .collect();
    assert!(left.is_empty(), "still mounted: {left:?}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "files are left"
    );
}

fn run(test: &str, folder: &Path, origin: &Path) {
    // `setpriv` and `--kill-child` end it with this process, even when that one is killed.
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid"])
        .args(["--fork", "--kill-child", "--mount-proc"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wordpress/lab.sh"))
        .args([folder, origin])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(LAB, folder)
        .env(ORIGIN, origin)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        output.status,
        said[0],
        said[1]
    );
    println!("{}", said[1]);
}

/// Waits until `met` says so; `what` is the failure's message.
pub async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !met() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
