//! The whole story without a terminal: three sites come up, the operator is killed while a fourth one is made, a
//! customer lives with a site, its domain, backups and bills, two zones come up and are repaired, all are deleted, and the
//! simulators say what is left.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams};

use super::backups;
use super::domain;
use super::life;
use super::look::{Look, SiteLook};
use super::proof::{self, Things};
use super::scene::{NAMESPACE, Scene};
use super::table::Changes;
use super::zones;
use super::{Clock, LOOK};
use crate::stage::{StageError, site};

/// Limit for each part of the story. Each takes 5 to 20 s; a machine may be busy with other things.
pub(super) const LIMIT: Duration = Duration::from_secs(180);
/// Sites of the examples.
const SITES: usize = 3;
/// Name of the site that is being made when the operator is killed.
const FOURTH: &str = "fourth";

/// Plays the story.
///
/// # Errors
/// What did not hold.
pub async fn play(scene: &mut Scene, clock: &mut Clock) -> Result<(), StageError> {
    let mut changes = Changes::default();
    three_come_up(scene, clock, &mut changes).await?;
    fourth_survives_a_kill(scene, clock, &mut changes).await?;
    domain::of_a_site(scene, clock).await?;
    backups::of_a_site(scene, clock).await?;
    life::with_a_site(scene, clock).await?;
    zones::two_come_up(scene, clock).await?;
    zones::drift_is_repaired(scene, clock).await?;
    zones::both_go(scene, clock).await?;
    all_go(scene, clock, &mut changes).await?;
    no_credential_was_told(scene, clock)
}

fn other(message: impl Into<String>) -> StageError {
    StageError::Other(message.into())
}

/// Waits until a look satisfies; tells every change meanwhile.
async fn until(
    scene: &mut Scene,
    clock: &Clock,
    changes: &mut Changes,
    what: &str,
    holds: impl Fn(&Look) -> bool,
) -> Result<Look, StageError> {
    let begun = Instant::now();
    loop {
        let look = Look::take(scene).await?;
        changes.tell(&look, clock);
        if holds(&look) {
            return Ok(look);
        }
        let words = |scene: &Scene| {
            let operator = scene.operator.as_ref();
            operator.map(|operator| operator.last_words()).unwrap_or_default()
        };
        if let Some(status) = scene.operator.as_mut().and_then(|operator| operator.ended()) {
            return Err(other(format!(
                "the operator ended with {status}; it says {}",
                words(scene)
            )));
        }
        if begun.elapsed() > LIMIT {
            return Err(other(format!(
                "{what}: not within {} s; the operator says {}",
                LIMIT.as_secs(),
                words(scene)
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn pages_answer(scene: &Scene, clock: &Clock, sites: &[SiteLook]) -> Result<(), StageError> {
    for site in sites {
        let host = site.host.as_deref().unwrap_or_default();
        let size = proof::fetch(&scene.backends, host).await?;
        clock.say(&format!(
            "  https://{host}/ answers through the proxy: WordPress, {size} bytes"
        ));
        let containers = proof::containers_of(&scene.backends, &site.uid);
        if containers != 1 {
            return Err(other(format!(
                "{} has {containers} containers and not one",
                site.name
            )));
        }
    }
    Ok(())
}

async fn three_come_up(
    scene: &mut Scene,
    clock: &mut Clock,
    changes: &mut Changes,
) -> Result<(), StageError> {
    clock.say("Applying three sites on three plans (examples/wordpresssite.yaml, examples/more-sites.yaml)");
    scene.apply_sites().await?;
    let look = until(scene, clock, changes, "three sites are Ready", |look| {
        look.are_ready(SITES)
    })
    .await?;
    pages_answer(scene, clock, &look.sites).await?;
    let table = scene
        .cluster
        .kubectl(&["get", "wordpresssites", "-A"], "")
        .await?;
    clock.say("kubectl get wps -A");
    table.lines().for_each(|line| clock.say(&format!("  {line}")));
    clock.step("Three sites are Ready, each page answers, each has exactly one container");
    Ok(())
}

async fn fourth_survives_a_kill(
    scene: &mut Scene,
    clock: &mut Clock,
    changes: &mut Changes,
) -> Result<(), StageError> {
    let before = proof::creations(&scene.backends);
    scene.kill_point.arm();
    scene
        .cluster
        .apply(&[site(NAMESPACE, FOURTH, "1004", "basic")])
        .await?;
    clock.say("Applying a fourth site");
    let reached = tokio::time::timeout(LIMIT, scene.kill_point.reached()).await;
    reached.map_err(|_| other("the fourth site's container was never ordered"))?;
    let pid = match scene.operator.take() {
        Some(operator) => {
            let pid = operator.pid().unwrap_or_default();
            operator.kill().await?;
            pid
        }
        None => return Err(other("there is no operator to kill")),
    };
    clock.say(&format!(
        "  kill -9 {pid}: Proxmox has accepted the creation of the container, the operator never got the answer"
    ));
    scene.start_operator().await?;
    clock.say("  the operator runs again and has forgotten everything");
    let look = until(scene, clock, changes, "the fourth site is Ready", |look| {
        look.are_ready(SITES + 1)
    })
    .await?;
    pages_answer(scene, clock, &look.sites).await?;
    let creations = proof::creations(&scene.backends) - before;
    if creations != 1 {
        return Err(other(format!(
            "Proxmox was asked for {creations} containers for one site"
        )));
    }
    clock.step("The fourth site is Ready after kill -9 and a restart: one creation, exactly one container");
    Ok(())
}

async fn all_go(scene: &mut Scene, clock: &mut Clock, changes: &mut Changes) -> Result<(), StageError> {
    clock.say("Deleting all four sites");
    let sites = Api::<crate::api::WordPressSite>::namespaced(scene.admin.clone(), NAMESPACE);
    sites
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    until(scene, clock, changes, "all sites are gone", |look| {
        look.sites.is_empty()
    })
    .await?;
    let mut left = scene.backends.leftovers();
    left.extend(Things::seen(&scene.backends).changes_since(&scene.before));
    let secrets = Api::<Secret>::namespaced(scene.admin.clone(), NAMESPACE);
    let secrets = secrets.list_metadata(&ListParams::default()).await?.items;
    left.extend(
        secrets
            .iter()
            .map(|secret| format!("Secret {}", secret.metadata.name.as_deref().unwrap_or("?"))),
    );
    if !left.is_empty() {
        return Err(other(format!("after the deletion: {}", left.join("; "))));
    }
    for backend in Look::take(scene).await?.outside {
        let others = if backend.others.is_empty() {
            String::new()
        } else {
            format!("; {} of other people as before", backend.others)
        };
        clock.say(&format!("  {:<22}{}{others}", backend.name, backend.ours));
    }
    clock.step("Nothing of the sites is left outside, and what was there before is unchanged");
    Ok(())
}

/// The credentials of the back-ends must not be in the operator's log.
fn no_credential_was_told(scene: &Scene, clock: &mut Clock) -> Result<(), StageError> {
    let path = scene.operator_log();
    let log = std::fs::read_to_string(&path).map_err(|source| StageError::Io {
        what: format!("cannot read {}", path.display()),
        source,
    })?;
    let told = scene
        .backends
        .secrets()
        .into_iter()
        .filter(|(_, secret)| log.contains(secret));
    let told: Vec<&str> = told.map(|(name, _)| name).collect();
    if !told.is_empty() {
        return Err(other(format!(
            "the operator's log has the credentials of {}",
            told.join(", ")
        )));
    }
    clock.step("The operator's log holds no credential");
    Ok(())
}
