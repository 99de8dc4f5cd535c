//! Something that a site refers to is missing or does not fit: one condition that says what to do, silence
//! until it is done, and then the site comes up by itself.

use std::time::Duration;

use hostwright::stage::plan;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_waits_for_its_plan() {
    let world = World::new().await;
    let operator = world.operator().await;
    let gold = format!("{}gold", world.pool.name);
    let mut site = world.site("jane");
    site["spec"]["plan"] = json!(gold);
    world.apply(&site).await;
    world
        .wait_for_refusal("jane", "PlanNotFound", &[&gold, "create it"])
        .await;
    operator.assert_quiet(&world).await;

    let mut bare = plan(&gold, &world.pool, 2048, 20, false);
    let whole = std::mem::replace(&mut bare["spec"], json!({}));
    world.apply(&bare).await;
    world
        .wait_for_refusal("jane", "PlanInvalid", &[&gold, "wordpress"])
        .await;
    operator.assert_quiet(&world).await;

    bare["spec"] = whole;
    world.apply(&bare).await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_waits_for_its_providers() {
    let world = World::new().await;
    let cloudflare = world.take_provider("cloudflare").await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let name = world.provider("cloudflare");
    world
        .wait_for_refusal("jane", "ProviderNotFound", &[&name, "create it"])
        .await;
    operator.assert_quiet(&world).await;
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());

    world.apply(&cloudflare).await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_another_type_is_named_with_the_field() {
    let world = World::new().await;
    let compute = |name: &str| json!({"spec": {"wordpress": {"compute": world.provider(name)}}});
    world.patch_plan(compute("npm")).await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let words = [world.provider("npm"), "compute".to_owned(), "proxmox".to_owned()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    world.wait_for_refusal("jane", "ProviderInvalid", &words).await;
    operator.assert_quiet(&world).await;

    world.patch_plan(compute("pve")).await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_waits_for_credentials_that_work() {
    let mut world = World::new().await;
    // Longer than the silence is watched: what wakes the site is the Secret and not the next try.
    world.pace.retry_min = Duration::from_secs(15);
    world.pace.retry_max = Duration::from_secs(15);
    let name = world.provider("pve");
    let mut secret = world.manifest("Secret", "pve");
    world
        .secrets()
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let title = format!("hostwright-system/{name}");
    world
        .wait_for_refusal("jane", "CredentialsNotFound", &[&title, "create it"])
        .await;
    operator.assert_quiet(&world).await;

    let token = secret["stringData"]["tokenSecret"].take();
    let keys = secret["stringData"].as_object_mut().unwrap();
    keys.remove("tokenSecret");
    world.apply(&secret).await;
    // The reason stays and the message changes.
    let says_key = |status: hostwright::api::WordPressSiteStatus| {
        status
            .conditions
            .iter()
            .any(|c| c.type_ == "Synced" && c.message.contains("tokenSecret"))
    };
    crate::world::eventually("the message names the key", || async {
        let status = world.status("jane").await;
        if says_key(status.clone()) {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    world
        .wait_for_refusal("jane", "CredentialsNotFound", &[&title, "tokenSecret", "add it"])
        .await;
    operator.assert_quiet(&world).await;

    let token_is = |value: &Value| json!({"stringData": {"tokenSecret": value}});
    world.patch_secret("pve", token_is(&json!("not-the-token"))).await;
    world.wait_for_refusal("jane", "Denied", &["token"]).await;
    operator.assert_quiet(&world).await;
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());

    world.patch_secret("pve", token_is(&token)).await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_must_be_allowed_by_every_provider() {
    let world = World::new().await;
    let allow = |namespaces: &[&str]| json!({"spec": {"allowedNamespaces": namespaces}});
    world.patch_provider("npm", allow(&["elsewhere"])).await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let words = [
        world.provider("npm"),
        world.namespace.clone(),
        "allowedNamespaces".to_owned(),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    world
        .wait_for_refusal("jane", "NamespaceNotAllowed", &words)
        .await;
    operator.assert_quiet(&world).await;
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());

    world
        .patch_provider("npm", allow(&["elsewhere", &world.namespace]))
        .await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}
