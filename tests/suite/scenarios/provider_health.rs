//! The controller of Providers: reachable, version, rights, latency, and back again.

use hostwright::api::ProviderStatus;
use serde_json::json;

use crate::world::World;

fn condition(status: &ProviderStatus, kind: &str) -> (String, String) {
    let found = status.conditions.iter().find(|c| c.type_ == kind);
    found.map_or_else(Default::default, |c| (c.status.clone(), c.reason.clone()))
}

fn is(status: &ProviderStatus, state: &str, reason: &str) -> bool {
    condition(status, "Ready") == (state.to_owned(), reason.to_owned())
}

/// 1, 2, 5, 10, 20, 50 …
fn is_step(milliseconds: i64) -> bool {
    let mut rest = milliseconds;
    while rest >= 10 && rest % 10 == 0 {
        rest /= 10;
    }
    [1, 2, 5].contains(&rest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_tells_what_it_is_and_what_it_lacks() {
    let world = World::new().await;
    let operator = world.operator().await;
    for (name, kind, version) in [
        ("pve", "proxmox", "9.1"),
        ("npm", "nginxProxyManager", "2."),
        ("cloudflare", "cloudflare", ""),
    ] {
        let status = world
            .wait_for_provider(name, "ready", |status| is(status, "True", "Available"))
            .await;
        assert_eq!(status.type_.as_deref(), Some(kind));
        assert!(status.version.unwrap_or_default().starts_with(version), "{name}");
        assert!(
            is_step(status.latency_milliseconds.unwrap()),
            "{:?}",
            status.latency_milliseconds
        );
        assert_eq!(status.last_error, None);
    }
    let look = async |name: &str, token: &str| {
        let annotations = json!({"metadata": {"annotations": {"hostwright.dev/reconcile-at": token}}});
        world.patch_provider(name, annotations).await;
    };

    world.backends.proxmox.set_privilege("VM.Snapshot", false);
    look("pve", "right-taken").await;
    let lacks = |status: &ProviderStatus| is(status, "False", "RightsMissing");
    let status = world.wait_for_provider("pve", "lacks a right", lacks).await;
    assert_eq!(status.missing_rights, ["VM.Snapshot on /vms"]);
    assert!(
        status
            .conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.message.contains("VM.Snapshot on /vms"))
    );
    world.backends.proxmox.set_privilege("VM.Snapshot", true);
    look("pve", "right-given").await;
    let status = world
        .wait_for_provider("pve", "ready", |status| is(status, "True", "Available"))
        .await;
    assert!(status.missing_rights.is_empty());
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_recovers_from_a_wrong_token_and_a_wrong_address() {
    let world = World::new().await;
    let operator = world.operator().await;
    for (name, key) in [
        ("pve", "tokenSecret"),
        ("npm", "secret"),
        ("cloudflare", "apiToken"),
    ] {
        world
            .wait_for_provider(name, "ready", |status| is(status, "True", "Available"))
            .await;
        let right = world.manifest("Secret", name)["stringData"][key].clone();
        world
            .patch_secret(name, json!({"stringData": {key: "wrong-token-of-nobody"}}))
            .await;
        let status = world
            .wait_for_provider(name, "refused", |status| is(status, "False", "Denied"))
            .await;
        assert!(status.last_error.is_some(), "{name}");
        world
            .patch_secret(name, json!({"stringData": {key: right}}))
            .await;
        world
            .wait_for_provider(name, "ready", |status| is(status, "True", "Available"))
            .await;
    }

    let endpoint = |address: &str| json!({"spec": {"nginxProxyManager": {"endpoint": address}}});
    // Port 1 of this machine: nobody listens there.
    world.patch_provider("npm", endpoint("http://127.0.0.1:1")).await;
    let silent = |status: &ProviderStatus| is(status, "False", "Unavailable");
    let status = world.wait_for_provider("npm", "unreachable", silent).await;
    assert_eq!(
        condition(&status, "Synced"),
        ("False".to_owned(), "Unavailable".to_owned())
    );
    world
        .patch_provider("npm", endpoint(&world.backends.npm_server.url()))
        .await;
    let status = world
        .wait_for_provider("npm", "ready", |status| is(status, "True", "Available"))
        .await;
    assert_eq!(status.last_error, None);
    operator.stop().await;
    world.close().await;
}
