//! Backups in the story: taken as far as the plan goes, brought back, and the site as it was made.

use std::fmt::Debug;
use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::life::SITE;
use super::proof;
use super::scene::{NAMESPACE, Scene};
use super::story::LIMIT;
use super::{Clock, LOOK};
use crate::api::condition::{kinds, reasons};
use crate::api::{BackupPhase, RestorePhase, SiteBackup, SiteBackupStatus, SiteRestore, WordPressSite};
use crate::providers::container_host::INITIAL_SNAPSHOT;
use crate::sim::directory::{ContainerDirectory, Installed};
use crate::stage::StageError;

/// Backups that the plan basic allows.
const KEPT: [&str; 2] = ["before-the-sale", "after-the-sale"];
/// One too many.
const REFUSED: &str = "one-too-many";
/// What the customer writes, and somebody else later.
const WRITTEN: &str = "Fresh bread since 1902";
const SPOILT: &str = "Cheap pills";

fn other(message: impl Into<String>) -> StageError {
    StageError::Other(message.into())
}

/// The site: its container, and its name.
struct Place {
    number: u32,
    host: String,
}

/// Tells of the backups.
///
/// # Errors
/// What did not hold.
pub async fn of_a_site(scene: &Scene, clock: &mut Clock) -> Result<(), StageError> {
    let sites = Api::<WordPressSite>::namespaced(scene.admin.clone(), NAMESPACE);
    let status = sites.get(SITE).await?.status.unwrap_or_default();
    let number = status.vmid.and_then(|number| u32::try_from(number).ok());
    let place = Place {
        number: number.unwrap_or_default(),
        host: status.host.unwrap_or_default(),
    };
    as_many_as_allowed(scene, clock, &place).await?;

    write(scene, &place, SPOILT)?;
    reads(scene, &place, SPOILT).await?;
    let [first, _] = KEPT;
    clock.say(&format!(
        "Somebody breaks into {SITE}, visitors read \"{SPOILT}\": a SiteRestore to {first}"
    ));
    restored(scene, "undo", json!({"backup": first})).await?;
    reads(scene, &place, WRITTEN).await?;
    clock.step(&format!(
        "Rolled back and started again; visitors read \"{WRITTEN}\""
    ));

    clock.say(&format!(
        "The customer wants to begin anew: a SiteRestore to the snapshot {INITIAL_SNAPSHOT}"
    ));
    restored(scene, "reset", json!({"snapshot": INITIAL_SNAPSHOT})).await?;
    let fresh = Installed::fresh(place.host.as_str()).headline;
    reads(scene, &place, &fresh).await?;
    all_go(scene, &place).await?;
    clock.step(&format!(
        "Visitors read \"{fresh}\" as on the first day; the backups are deleted, and their snapshots with them"
    ));
    Ok(())
}

/// Two backups, and one too many.
async fn as_many_as_allowed(scene: &Scene, clock: &mut Clock, place: &Place) -> Result<(), StageError> {
    write(scene, place, WRITTEN)?;
    reads(scene, place, WRITTEN).await?;
    clock.say(&format!(
        "The customer writes \"{WRITTEN}\" on the front page and asks for backups; the plan basic has {}",
        KEPT.len()
    ));
    let mut wanted = vec![INITIAL_SNAPSHOT.to_owned()];
    for name in KEPT {
        let status = backed_up(scene, name, BackupPhase::Ready).await?;
        let snapshot = status.snapshot.unwrap_or_default();
        clock.say(&format!("  SiteBackup {name}: snapshot {snapshot}"));
        wanted.push(snapshot);
    }
    let status = backed_up(scene, REFUSED, BackupPhase::Refused).await?;
    let (reason, message) = ready(&status.conditions);
    if reason != reasons::QUOTA_EXCEEDED {
        return Err(other(format!(
            "{REFUSED} is refused for another reason: {message}"
        )));
    }
    clock.say(&format!("  SiteBackup {REFUSED}: {message}"));
    let taken = snapshots(scene, place);
    if taken != wanted {
        return Err(other(format!("the snapshots are {taken:?} and not {wanted:?}")));
    }
    clock.step("Two snapshots are taken, the third backup is refused, and Proxmox was not asked for it");
    Ok(())
}

/// Asks for a backup and waits for its phase.
async fn backed_up(scene: &Scene, name: &str, phase: BackupPhase) -> Result<SiteBackupStatus, StageError> {
    let spec = json!({"site": SITE});
    scene.cluster.apply(&[object("SiteBackup", name, &spec)]).await?;
    let there = |backup: &SiteBackup| {
        let status = backup.status.clone().unwrap_or_default();
        let ended = status.phase == Some(phase) && status.tasks.is_empty();
        ended.then_some(status)
    };
    wait(scene, name, there).await
}

/// Asks for a restore and waits for its end.
async fn restored(scene: &Scene, name: &str, mut spec: Value) -> Result<(), StageError> {
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("site".to_owned(), json!(SITE));
    }
    scene.cluster.apply(&[object("SiteRestore", name, &spec)]).await?;
    let ended = |restore: &SiteRestore| {
        let status = restore.status.as_ref()?;
        let phase = status.phase.filter(|phase| phase.is_over())?;
        Some((phase, ready(&status.conditions).1))
    };
    match wait(scene, name, ended).await? {
        (RestorePhase::Completed, _) => Ok(()),
        (phase, message) => Err(other(format!("SiteRestore {name} is {phase:?}: {message}"))),
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    })
}

/// Waits until an object has come to something.
async fn wait<K, T>(scene: &Scene, name: &str, found: impl Fn(&K) -> Option<T>) -> Result<T, StageError>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::namespaced(scene.admin.clone(), NAMESPACE);
    let begun = Instant::now();
    loop {
        let object = api.get(name).await?;
        if let Some(found) = found(&object) {
            return Ok(found);
        }
        if begun.elapsed() > LIMIT {
            let seconds = LIMIT.as_secs();
            return Err(other(format!("{name}: not within {seconds} s: {object:?}")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Reason and message of condition Ready.
fn ready(conditions: &[Condition]) -> (String, String) {
    let ready = conditions.iter().find(|found| found.type_ == kinds::READY);
    ready
        .map(|ready| (ready.reason.clone(), ready.message.clone()))
        .unwrap_or_default()
}

/// Deletes backups and restores, and waits until only the first snapshot is left.
async fn all_go(scene: &Scene, place: &Place) -> Result<(), StageError> {
    let backups = Api::<SiteBackup>::namespaced(scene.admin.clone(), NAMESPACE);
    let restores = Api::<SiteRestore>::namespaced(scene.admin.clone(), NAMESPACE);
    let (delete, all) = (DeleteParams::default(), ListParams::default());
    restores.delete_collection(&delete, &all).await?;
    backups.delete_collection(&delete, &all).await?;
    let begun = Instant::now();
    loop {
        let left =
            backups.list_metadata(&all).await?.items.len() + restores.list_metadata(&all).await?.items.len();
        let taken = snapshots(scene, place);
        if left == 0 && taken == [INITIAL_SNAPSHOT] {
            return Ok(());
        }
        if begun.elapsed() > LIMIT {
            let seconds = LIMIT.as_secs();
            return Err(other(format!(
                "after {seconds} s {left} backups and restores are left, and the snapshots {taken:?}"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Names of the snapshots of the site's container.
fn snapshots(scene: &Scene, place: &Place) -> Vec<String> {
    let container = scene.backends.proxmox.container(place.number);
    let snapshots = container.map(|container| container.snapshots).unwrap_or_default();
    snapshots.into_iter().map(|snapshot| snapshot.name).collect()
}

/// Somebody who may edit the site's pages writes its headline.
fn write(scene: &Scene, place: &Place, headline: &str) -> Result<(), StageError> {
    let pve = &scene.backends.proxmox;
    let installed = pve
        .installed(place.number)
        .ok_or_else(|| other(format!("no WordPress is in container {}", place.number)))?;
    let written = Installed {
        headline: headline.to_owned(),
        ..installed
    };
    pve.set_installed(place.number, written);
    Ok(())
}

/// Visitors read the headline.
async fn reads(scene: &Scene, place: &Place, headline: &str) -> Result<(), StageError> {
    let (code, page) = proof::visit(&scene.backends, &place.host).await?;
    match code == 200 && page.contains(&format!("<h1>{headline}</h1>")) {
        true => Ok(()),
        false => Err(other(format!(
            "https://{}/ answers {code} and does not show \"{headline}\"",
            place.host
        ))),
    }
}
