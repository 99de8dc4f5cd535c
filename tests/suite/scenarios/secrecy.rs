//! Events tell every change of a condition once, and no secret leaves the operator in words.

use hostwright::api::{Phase, Provider, WordPressSiteStatus};
use hostwright::sim::ssh::Outcome;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::world::{Operator, World, eventually, sum_of};

/// First words of the events so far: their reasons.
async fn reasons(world: &World, name: &str) -> Vec<String> {
    let events = world.events(name).await;
    events
        .into_iter()
        .map(|event| event.split(':').next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_changes_of_conditions_and_nothing_else() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    let expect = async |wanted: &[&str]| {
        eventually("the events are told", || async {
            let seen = reasons(&world, "jane").await;
            if seen == wanted {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
        .await;
    };
    expect(&["Provisioning", "Ready"]).await;
    world.ask_for_a_pass("jane", "nothing-changed").await;
    operator.assert_quiet(&world).await;
    expect(&["Provisioning", "Ready"]).await;

    world
        .patch_provider("npm", json!({"spec": {"allowedNamespaces": []}}))
        .await;
    // The site stays up; only our way to it is lost, and found again.
    world
        .wait_for_reason("jane", "Synced", "NamespaceNotAllowed")
        .await;
    expect(&["Provisioning", "Ready", "NamespaceNotAllowed"]).await;
    world
        .patch_provider("npm", json!({"spec": {"allowedNamespaces": ["*"]}}))
        .await;
    world.wait_for("jane", "Synced", "True").await;
    expect(&["Provisioning", "Ready", "NamespaceNotAllowed", "Synced"]).await;

    told_of_what_is_asked(&world, &operator).await;
    expect(&[
        "Provisioning",
        "Ready",
        "NamespaceNotAllowed",
        "Synced",
        "Stopped",
        "Suspended",
    ])
    .await;
    operator.stop().await;
    world.close().await;
}

/// Events of a site that was made, and whose way to a back-end was lost and found.
const TOLD_BEFORE: u64 = 4;

/// What is asked of a site that is up: its proxy's switch is told by no event, each other change by two at most, the
/// way and the end. Equal ones become one object with a count, so that writes are counted here.
async fn told_of_what_is_asked(world: &World, operator: &Operator) {
    let written = || {
        let labels = ["kind=\"WordPressSite\"", "verb=\"event\""];
        sum_of(&operator.metrics, "hostwright_api_writes_total", &labels)
    };
    for (shown, words) in [(false, "proxyEnabled"), (true, "answers")] {
        world
            .patch("jane", json!({"spec": {"proxyEnabled": shown}}))
            .await;
        let says = |status: &WordPressSiteStatus| {
            let ready = status.conditions.iter().find(|found| found.type_ == "Ready");
            ready.is_some_and(|ready| ready.message.contains(words))
        };
        world.wait_for_status("jane", words, says).await;
    }
    let changes = [
        (json!({"power": "Stopped"}), Phase::Stopped),
        (json!({"power": "Running"}), Phase::Running),
        (json!({"suspended": true}), Phase::Suspended),
        (json!({"suspended": false}), Phase::Running),
    ];
    let most = TOLD_BEFORE + 2 * u64::try_from(changes.len()).unwrap();
    for (spec, phase) in changes {
        world.patch("jane", json!({"spec": spec})).await;
        world.wait_for_phase("jane", phase).await;
    }
    operator.assert_quiet(world).await;
    assert!(written() <= most, "{} events and not {most} at most", written());
}

fn values(secret: &Secret, keys: &[&str]) -> Vec<String> {
    let data = secret.data.as_ref().unwrap();
    let text = |key: &&str| String::from_utf8(data[*key].0.clone()).unwrap();
    keys.iter().map(text).collect()
}

/// Every secret that the operator is given or makes, with a name for failures.
async fn canaries(world: &World) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, keys) in [
        ("pve", ["tokenSecret", "sshPrivateKey"].as_slice()),
        ("npm", &["secret"]),
        ("cloudflare", &["apiToken"]),
    ] {
        let secret = world.secrets().get(&world.provider(name)).await.unwrap();
        for value in values(&secret, keys) {
            // Of a key of several lines each line is looked for, but for those that all keys have.
            let lines = value
                .lines()
                .filter(|line| !line.starts_with("-----"))
                .skip(usize::from(value.contains('\n')));
            all.extend(lines.map(|line| (name.to_owned(), line.to_owned())));
        }
    }
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    for secret in secrets.list(&ListParams::default()).await.unwrap() {
        let name = secret.metadata.name.clone().unwrap();
        if name.ends_with("-wordpress") {
            let made = values(&secret, &["password", "databasePassword"]);
            all.extend(made.into_iter().map(|value| (name.clone(), value)));
        }
    }
    all
}

/// Asserts that no canary stands in any of the texts.
fn assert_silent(places: &[(&str, String)], canaries: &[(String, String)]) {
    for (place, text) in places {
        for (owner, canary) in canaries {
            let Some(at) = text.find(canary.as_str()) else {
                continue;
            };
            let line = text[..at].rsplit('\n').next().unwrap_or_default();
            let line: String = line
                .chars()
                .rev()
                .take(300)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect();
            panic!("a secret of {owner} stands in the {place}, after: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_appears_in_a_log_an_event_a_status_or_a_metric() {
    let world = World::new().await;
    for (_, ssh) in &world.backends.ssh {
        let outcome = Outcome::Fail {
            step: "packages".to_owned(),
            sentence: "the mirror does not answer".to_owned(),
            status: 1,
        };
        ssh.set_outcome(outcome);
    }
    let (operator, logs) = world.operator_with_logs().await;
    world.apply(&world.site("jane")).await;
    eventually("the installation fails", || async {
        let status = world.status("jane").await;
        match status.conditions.iter().any(|c| c.message.contains("mirror")) {
            true => Ok(()),
            false => Err(format!("{status:?}")),
        }
    })
    .await;
    for (_, ssh) in &world.backends.ssh {
        ssh.set_outcome(Outcome::Finish);
    }
    world.wait_for("jane", "Ready", "True").await;
    let before = canaries(&world).await;
    assert!(before.len() > 6, "{} canaries", before.len());

    // Refusals and errors are where secrets slip out.
    world.backends.cloudflare.expire_token();
    world.backends.npm.forget_tokens();
    world.backends.proxmox.set_token("nobody@pve!nothing=nothing");
    for name in ["pve", "npm", "cloudflare"] {
        let annotations = json!({"metadata": {"annotations": {"hostwright.dev/reconcile-at": "canaries"}}});
        world.patch_provider(name, annotations).await;
    }
    world.ask_for_a_pass("jane", "canaries").await;
    world.wait_for_refusal("jane", "Denied", &[]).await;
    world.delete("jane").await;
    world.wait_for_reason("jane", "Ready", "Deleting").await;

    let events: Api<Event> = Api::namespaced(world.admin.clone(), &world.namespace);
    let events = events.list(&ListParams::default()).await.unwrap();
    let providers: Api<Provider> = Api::all(world.admin.clone());
    let providers = providers.list(&ListParams::default()).await.unwrap();
    let sites = world.sites().list(&ListParams::default()).await.unwrap();
    let places = [
        ("logs", logs.text()),
        ("events", serde_json::to_string(&events).unwrap()),
        ("sites", serde_json::to_string(&sites).unwrap()),
        ("Providers", serde_json::to_string(&providers).unwrap()),
        ("metrics", operator.metrics.encode().unwrap()),
    ];
    assert!(
        places[0].1.contains("jane"),
        "the logs were not kept: {:?}",
        places[0].1.get(..2_000.min(places[0].1.len()))
    );
    assert_silent(&places, &before);
    operator.stop().await;
    world.close().await;
}
