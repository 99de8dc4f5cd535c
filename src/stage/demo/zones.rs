//! The zones of the story: one on each vendor, a record deleted by hand at each, and nothing left in the end.

use std::time::Instant;

use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};

use super::scene::{NAMESPACE, Scene};
use super::story::LIMIT;
use super::{Clock, LOOK};
use crate::api::DnsZone;
use crate::api::condition::{is_true, kinds, reasons};
use crate::stage::{StageError, zone};

/// Object, zone and Provider of each.
const ZONES: [(&str, &str, &str); 2] = [
    ("bakery", "bakery-zone.example", "ispconfig"),
    ("florist", "florist-zone.example", "cloudflare"),
];

fn other(message: impl Into<String>) -> StageError {
    StageError::Other(message.into())
}

/// Waits until something holds of the zones.
async fn until(
    scene: &Scene,
    what: &str,
    holds: impl AsyncFn(&[DnsZone]) -> bool,
) -> Result<Vec<DnsZone>, StageError> {
    let api = Api::<DnsZone>::namespaced(scene.admin.clone(), NAMESPACE);
    let begun = Instant::now();
    loop {
        let zones = api.list(&ListParams::default()).await?.items;
        if holds(&zones).await {
            return Ok(zones);
        }
        if begun.elapsed() > LIMIT {
            let said: Vec<String> = zones.iter().map(words).collect();
            let seconds = LIMIT.as_secs();
            return Err(other(format!(
                "{what}: not within {seconds} s; {}",
                said.join("; ")
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn words(zone: &DnsZone) -> String {
    let conditions = zone.status.as_ref().map(|status| status.conditions.as_slice());
    let ready = conditions
        .unwrap_or_default()
        .iter()
        .find(|c| c.type_ == kinds::READY);
    let message = ready.map_or("", |ready| ready.message.as_str());
    format!("{}: {message}", zone.name_any())
}

fn is_ready(zone: &DnsZone) -> bool {
    zone.status
        .as_ref()
        .is_some_and(|status| is_true(&status.conditions, kinds::READY))
}

/// Two zones come up.
///
/// # Errors
/// What did not hold.
pub async fn two_come_up(scene: &Scene, clock: &mut Clock) -> Result<(), StageError> {
    clock.say("Applying two customers' zones: one on ISPConfig, one on Cloudflare");
    let objects = ZONES.map(|(name, zone_name, provider)| zone(NAMESPACE, name, zone_name, provider));
    scene.cluster.apply(&objects).await?;
    until(scene, "two zones are Ready", async |zones: &[DnsZone]| {
        zones.len() == ZONES.len() && zones.iter().all(is_ready)
    })
    .await?;
    let table = scene.cluster.kubectl(&["get", "dnszones", "-A"], "").await?;
    clock.say("kubectl get dz -A");
    table.lines().for_each(|line| clock.say(&format!("  {line}")));
    clock.step("Two zones are Ready with their records, PROXYSRV stands for the proxy's address");
    Ok(())
}

/// Somebody deletes a record of each by hand, and it comes back.
///
/// # Errors
/// What did not hold.
pub async fn drift_is_repaired(scene: &Scene, clock: &mut Clock) -> Result<(), StageError> {
    let [(_, on_panel, _), (_, on_cloudflare, _)] = ZONES;
    let (panel, cloudflare) = (&scene.backends.ispconfig, &scene.backends.cloudflare);
    let there = |kind: &str| {
        let panel = panel
            .records(on_panel)
            .into_iter()
            .find(|record| record.kind == kind);
        let cloudflare = cloudflare
            .records(on_cloudflare)
            .into_iter()
            .find(|record| record.kind == kind);
        (panel, cloudflare)
    };
    let (Some(first), Some(second)) = there("TXT") else {
        return Err(other("the zones have no TXT record to delete"));
    };
    panel.delete_by_hand(first.id);
    // The panel's own pages do that behind every change.
    panel.move_serial_on(on_panel);
    cloudflare.delete_by_hand(&second.id);
    clock.say(
        "Somebody deletes the SPF record of each zone by hand, in the panel and in Cloudflare's dashboard",
    );
    until(scene, "the records are back", async |_: &[DnsZone]| {
        matches!(there("TXT"), (Some(_), Some(_)))
    })
    .await?;
    let told = async |_: &[DnsZone]| {
        let arguments = [
            "get",
            "events",
            "-n",
            NAMESPACE,
            "--field-selector",
            "reason=DriftRepaired",
            "-o",
            "name",
        ];
        let events = scene.cluster.kubectl(&arguments, "").await.unwrap_or_default();
        events.lines().count() >= ZONES.len()
    };
    until(scene, "both repairs are reported as events", told).await?;
    clock.step(&format!(
        "Both records are back, and an event {} says so for each zone",
        reasons::DRIFT_REPAIRED
    ));
    Ok(())
}

/// Both go.
///
/// # Errors
/// What did not hold.
pub async fn both_go(scene: &Scene, clock: &mut Clock) -> Result<(), StageError> {
    clock.say("Deleting both zones");
    let api = Api::<DnsZone>::namespaced(scene.admin.clone(), NAMESPACE);
    api.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    until(scene, "both zones are gone", async |zones: &[DnsZone]| {
        zones.is_empty()
    })
    .await?;
    for (_, name, _) in ZONES {
        let left = scene.backends.ispconfig.zone_id(name).is_some()
            || scene.backends.cloudflare.zone_id(name).is_some();
        if left {
            return Err(other(format!("the zone {name} is left over")));
        }
    }
    clock.step("Both zones are gone at the vendors, records first");
    Ok(())
}
