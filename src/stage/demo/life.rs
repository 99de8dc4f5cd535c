//! A customer's life with a site in the story: another plan, a restart, stopped and started, suspended and back.

use std::time::Instant;

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::proof;
use super::scene::{NAMESPACE, Scene};
use super::story::LIMIT;
use super::{Clock, LOOK};
use crate::api::{Phase, WordPressSite, WordPressSiteStatus};
use crate::stage::StageError;

/// The site of the examples whose life is told.
pub(super) const SITE: &str = "bakery";
/// HTTP status of the notice of a suspended site.
const SUSPENDED: u16 = 503;

fn other(message: impl Into<String>) -> StageError {
    StageError::Other(message.into())
}

/// Tells the life.
///
/// # Errors
/// What did not hold.
pub async fn with_a_site(scene: &Scene, clock: &mut Clock) -> Result<(), StageError> {
    clock.say(&format!(
        "The customer of {SITE} buys the plan standard and asks for a restart"
    ));
    let asked = json!({"plan": "standard", "restartedAt": "2026-11-21T10:00:00Z"});
    let resized = |status: &WordPressSiteStatus| {
        status
            .resources
            .is_some_and(|given| given.memory_mib == 4096 && given.disk_gib == 40)
            && status.restarted_at.is_some()
    };
    let status = change(scene, asked, Phase::Running, resized).await?;
    let given = status.resources.ok_or_else(|| other("no sizes are told"))?;
    clock.step(&format!(
        "The container has {} MiB and {} GiB now, grown while it ran, then restarted once",
        given.memory_mib, given.disk_gib
    ));

    clock.say("  power: Stopped, then Running");
    change(scene, json!({"power": "Stopped"}), Phase::Stopped, |_| true).await?;
    runs(scene, &status, false)?;
    change(scene, json!({"power": "Running"}), Phase::Running, |_| true).await?;
    runs(scene, &status, true)?;
    clock.step("It was stopped and started, each by one field");

    clock.say("The bill is not paid: suspended: true");
    change(scene, json!({"suspended": true}), Phase::Suspended, |_| true).await?;
    runs(scene, &status, false)?;
    let host = status.host.clone().unwrap_or_default();
    let (code, page) = proof::visit(&scene.backends, &host).await?;
    if code != SUSPENDED || !page.contains("suspended") {
        return Err(other(format!("https://{host}/ answers {code} and no notice")));
    }
    clock.say(&format!(
        "  https://{host}/ answers {code}: visitors read that it is suspended"
    ));
    change(scene, json!({"suspended": false}), Phase::Running, |_| true).await?;
    proof::fetch(&scene.backends, &host).await?;
    clock.step("Paid: the site is back with all its data, and visitors see WordPress again");
    Ok(())
}

/// Merges a change into the site's spec and waits until it is carried out.
pub(super) async fn change(
    scene: &Scene,
    spec: Value,
    phase: Phase,
    holds: impl Fn(&WordPressSiteStatus) -> bool,
) -> Result<WordPressSiteStatus, StageError> {
    let sites = Api::<WordPressSite>::namespaced(scene.admin.clone(), NAMESPACE);
    let patch = Patch::Merge(json!({"spec": spec}));
    let generation = sites
        .patch(SITE, &PatchParams::default(), &patch)
        .await?
        .metadata
        .generation;
    let reason = match phase {
        Phase::Running => "Ready".to_owned(),
        other => format!("{other:?}"),
    };
    let begun = Instant::now();
    loop {
        let site = sites.get(SITE).await?;
        let status = site.status.clone().unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready");
        let said =
            ready.is_some_and(|ready| ready.reason == reason && ready.observed_generation >= generation);
        if said && status.phase == Some(phase) && status.tasks.is_empty() && holds(&status) {
            return Ok(status);
        }
        if begun.elapsed() > LIMIT {
            let words = ready.map_or("", |ready| ready.message.as_str());
            let seconds = LIMIT.as_secs();
            return Err(other(format!(
                "{}: not {phase:?} within {seconds} s; it says: {words}",
                site.name_any()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn runs(scene: &Scene, status: &WordPressSiteStatus, wanted: bool) -> Result<(), StageError> {
    let number = status
        .vmid
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or_default();
    let container = scene.backends.proxmox.container(number);
    match container {
        Some(container) if container.running == wanted => Ok(()),
        found => Err(other(format!(
            "container {number} should {} run: {found:?}",
            if wanted { "" } else { "not" }
        ))),
    }
}
