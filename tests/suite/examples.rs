//! The files in `examples/`: what a hoster copies must be taken by the API server as it is.

use std::path::PathBuf;

use crate::world::shared;

/// Every file. The names are those of README and demo.
const FILES: [&str; 6] = [
    "namespace.yaml",
    "plans.yaml",
    "providers.yaml",
    "secrets.yaml",
    "wordpresssite.yaml",
    "more-sites.yaml",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn every_file_is_checked() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut listed = FILES.to_vec();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_file() {
    let cluster = shared().await.cluster.lock().await;
    let folder = folder();
    let namespace = folder.join("namespace.yaml");
    // A dry run of an object needs its namespace to be there.
    let arguments = ["apply", "--server-side", "-f", namespace.to_str().unwrap()];
    cluster.kubectl(&arguments, "").await.unwrap();
    for file in FILES {
        let path = folder.join(file);
        // Strict: a field that nobody knows is a mistake, not a warning.
        let arguments = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
        ];
        let said = cluster
            .kubectl(&[&arguments[..], &[path.to_str().unwrap()]].concat(), "")
            .await;
        assert!(said.is_ok(), "{file}: {}", said.unwrap_err());
    }
}
