//! A customer's domain in the story: it waits for its A record, says which one, and holds up nothing meanwhile.

use serde_json::{Value, json};

use super::Clock;
use super::life::{self, SITE};
use super::proof;
use super::scene::Scene;
use crate::api::{DomainState, Phase, SiteDomain, WordPressSiteStatus};
use crate::stage::{PUBLIC_ADDRESS, StageError};

/// The domain of the site's customer.
pub const DOMAIN: &str = "www.bakery.example";
/// HTTP status with which WordPress leads visitors to the site's own name.
const MOVED: u16 = 301;

fn other(message: impl Into<String>) -> StageError {
    StageError::Other(message.into())
}

fn of(status: &WordPressSiteStatus) -> Option<&SiteDomain> {
    status.domains.iter().find(|domain| domain.name == DOMAIN)
}

fn stands(status: &WordPressSiteStatus, state: DomainState) -> bool {
    of(status).is_some_and(|domain| domain.state == state)
}

fn says(status: &WordPressSiteStatus) -> &str {
    of(status).map_or("", |domain| domain.message.as_str())
}

fn host(scene: &Scene) -> Option<Value> {
    let hosts = scene.backends.npm.hosts();
    hosts
        .into_iter()
        .find(|host| host.get("domain_names") == Some(&json!([DOMAIN])))
}

/// Tells of the domain.
///
/// # Errors
/// What did not hold.
pub async fn of_a_site(scene: &Scene, clock: &mut Clock) -> Result<(), StageError> {
    clock.say(&format!("The customer of {SITE} wants {DOMAIN} as well: domains"));
    let asked = json!({"domains": [DOMAIN]});
    let waits = |status: &WordPressSiteStatus| stands(status, DomainState::PendingDns);
    // The site itself has to be Ready all the same.
    let status = life::change(scene, asked, Phase::Running, waits).await?;
    clock.say(&format!("  PendingDns: {}", says(&status)));
    if !says(&status).contains(&PUBLIC_ADDRESS.to_string()) {
        return Err(other("it does not say where the domain has to lead"));
    }
    if host(scene).is_some() {
        return Err(other(format!("{DOMAIN} is served before it leads here")));
    }
    scene.point(DOMAIN)?;
    clock.say("  the customer enters just that at the registrar");
    let ready = |status: &WordPressSiteStatus| stands(status, DomainState::Ready);
    life::change(scene, json!({}), Phase::Running, ready).await?;
    let certified = host(scene).and_then(|host| host.get("certificate_id")?.as_u64());
    if certified.is_none_or(|id| id == 0) {
        return Err(other(format!(
            "{DOMAIN} has no host with a certificate at the proxy"
        )));
    }
    let (code, _) = proof::visit(&scene.backends, DOMAIN).await?;
    if code != MOVED {
        return Err(other(format!("https://{DOMAIN}/ answers {code}, not {MOVED}")));
    }
    clock.step(&format!(
        "https://{DOMAIN}/ has its certificate and leads visitors to the site"
    ));
    Ok(())
}
