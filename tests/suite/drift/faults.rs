//! Bulk reads that fail, end in the middle, or show nothing: a condition, and nothing else.

use hostwright::api::ProviderStatus;
use hostwright::sim::faults::{Fault, Faults, Trouble};
use serde_json::json;

use super::{changes, passes, sweep, sweep_often};
use crate::world::{World, eventually};

fn swept(status: &ProviderStatus) -> (String, String) {
    let found = status.conditions.iter().find(|c| c.type_ == "Swept");
    found.map_or_else(Default::default, |c| (c.status.clone(), c.reason.clone()))
}

fn order(faults: &Faults, path: &str, trouble: Trouble) {
    faults.order(Fault {
        method: Some("GET".to_owned()),
        path_contains: path.to_owned(),
        skip: 0,
        times: None,
        trouble,
    });
}

fn answer(status: u16, body: &str) -> Trouble {
    Trouble::Refuse {
        status,
        body: body.to_owned(),
        retry_after: None,
    }
}

/// The cluster's list with a node and nothing on it. One without nodes the client itself refuses.
const NO_GUEST: &str = r#"{"data":[{"type":"node","id":"node/pve1","node":"pve1","status":"online","maxmem":137438953472,"maxcpu":32}]}"#;
/// An empty page of Cloudflare's lists.
const NO_PAGE: &str = r#"{"success":true,"errors":[],"messages":[],"result":[],"result_info":{"page":1,"per_page":50,"count":0,"total_count":0,"total_pages":0}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_from_a_read_that_cannot_be_true() {
    let world = World::new().await;
    sweep_often(&world).await;
    let operator = world.operator().await;
    for name in ["jane", "joe"] {
        world.apply(&world.site(name)).await;
    }
    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&world.zone("cloudflare", records)).await;
    for name in ["jane", "joe"] {
        world.wait_for(name, "Ready", "True").await;
    }
    world.wait_for_zone("zone", "Ready", "True").await;
    let cases = [
        (
            "pve",
            &world.backends.proxmox_server.faults,
            "/cluster/resources",
            NO_GUEST,
        ),
        (
            "npm",
            &world.backends.npm_server.faults,
            "/nginx/proxy-hosts",
            "[]",
        ),
        (
            "cloudflare",
            &world.backends.cloudflare_server.faults,
            "/zones",
            NO_PAGE,
        ),
    ];
    for (provider, faults, path, nothing) in cases {
        for (trouble, reason) in [
            (answer(500, "broken"), ""),
            (Trouble::Truncate, ""),
            (answer(200, nothing), "EmptyList"),
        ] {
            super::assert_calm(&operator, &world, &[provider]).await;
            let before = (passes(&operator), changes(&world));
            order(faults, path, trouble.clone());
            let failed = |status: &ProviderStatus| {
                let (state, why) = swept(status);
                state == "False" && (reason.is_empty() || why == reason)
            };
            let status = world
                .wait_for_provider(provider, &format!("{trouble:?} is told"), failed)
                .await;
            println!("drift: {provider} {trouble:?}: {:?}", swept(&status));
            sweep(&operator, &world, provider, 2).await;
            assert_eq!(
                before,
                (passes(&operator), changes(&world)),
                "{provider} {trouble:?}"
            );
            faults.clear();
            let recovered =
                |status: &ProviderStatus| swept(status) == ("True".to_owned(), "Swept".to_owned());
            world.wait_for_provider(provider, "swept again", recovered).await;
        }
    }
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_provider_is_not_swept_and_a_new_interval_counts_at_once() {
    let world = World::new().await;
    let operator = world.operator().await;
    sweep_often(&world).await;
    sweep(&operator, &world, "npm", 1).await;
    let pause =
        |value: serde_json::Value| json!({"metadata": {"annotations": {"hostwright.dev/paused": value}}});
    world.patch_provider("npm", pause(json!("true"))).await;
    eventually("the sweeps rest", || async {
        let before = super::sweeps(&operator, &world, "npm");
        sweep(&operator, &world, "pve", 2).await;
        let after = super::sweeps(&operator, &world, "npm");
        if before == after {
            Ok(())
        } else {
            Err(format!("{before} then {after}"))
        }
    })
    .await;
    world.patch_provider("npm", pause(serde_json::Value::Null)).await;
    sweep(&operator, &world, "npm", 1).await;
    operator.stop().await;
    world.close().await;
}
