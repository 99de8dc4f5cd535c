//! Whether the token works and what it may do.

use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

use super::client::Client;
use super::failure::Failure;
use super::wire;
use super::zones::Zones;
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::health::Health;
use crate::providers::http::Call;

const ZONE_READ: &str = "Zone:Read";
const DNS_EDIT: &str = "DNS:Edit";
/// What every token can that works at all.
const CAPABILITIES: [&str; 3] = ["batch-changes", "proxied-records", "record-marks"];
/// Zones can be made and deleted. Its right is none that is missing: a Provider for sites needs it not.
const MAKES_ZONES: &str = "zones";

/// The checks so far.
struct Check<'a> {
    client: &'a Client,
    latency: Duration,
    missing: Vec<String>,
    /// Zones can be made, as far as the token's rights show.
    zones: bool,
    /// A call other than the one about the token succeeded.
    worked: bool,
}

/// Token, zones, records, without a write. Whether records may be written shows only where a zone lists our
/// permissions; reading them is part of `DNS:Edit`, so that a refused read proves that it is missing.
pub(super) async fn check(client: &Client, zones: &Zones) -> Result<Health, ProviderError> {
    let mut check = Check {
        client,
        latency: Duration::MAX,
        missing: Vec::new(),
        zones: zones.only().is_none(),
        worked: false,
    };
    let refused = check.token().await?;
    let zone = match zones.only() {
        Some(zone) => check.one_zone(&zone.0).await?,
        None => check.any_zone(zones.account.is_some()).await?,
    };
    if let Some(zone) = &zone {
        check.records(zone).await?;
    }
    if let Some(refusal) = refused
        && !check.worked
    {
        return Err(refusal);
    }
    Ok(Health {
        version: String::new(),
        capabilities: CAPABILITIES
            .into_iter()
            .chain(check.zones.then_some(MAKES_ZONES))
            .map(str::to_owned)
            .collect(),
        missing_rights: check.missing,
        latency: check.latency,
    })
}

impl Check<'_> {
    async fn timed<T: serde::de::DeserializeOwned>(&mut self, call: Call) -> Result<T, Failure> {
        let begun = Instant::now();
        let result = self.client.result(call).await;
        self.latency = self.latency.min(begun.elapsed());
        self.worked |= result.is_ok();
        result
    }

    /// Asks about the token itself. A refusal is not the last word: tokens that belong to an account and not
    /// to a user are unknown at this address, but work everywhere else.
    async fn token(&mut self) -> Result<Option<ProviderError>, ProviderError> {
        let call = Call::get("tokens.verify", "/user/tokens/verify");
        match self.timed::<wire::Token>(call).await {
            Ok(token) if token.status == "active" => Ok(None),
            Ok(_) => {
                let message =
                    "the API token is disabled or has expired; make a new one and put it into the Secret";
                Err(ProviderError::new(ErrorKind::Denied, message))
            }
            Err(failure) if failure.error.kind() == ErrorKind::Denied => Ok(Some(failure.error)),
            Err(failure) => Err(failure.error),
        }
    }

    /// An account that is named may be empty yet: its zones are still to be made.
    async fn any_zone(&mut self, may_be_empty: bool) -> Result<Option<String>, ProviderError> {
        // 5 is the smallest page that Cloudflare takes.
        let call = Call::get("zones.list", "/zones").query("per_page", 5);
        let zones: Vec<wire::Zone> = match self.timed(call).await {
            Ok(zones) => zones,
            Err(failure) => {
                // Who cannot see zones cannot tell whether one is there before making it.
                self.zones = false;
                self.lacks(failure, &format!("{ZONE_READ} (all zones that it shall serve)"))?;
                return Ok(None);
            }
        };
        let Some(zone) = zones.into_iter().next() else {
            if !may_be_empty {
                self.missing.push(format!("{ZONE_READ} (the token sees no zone)"));
            }
            return Ok(None);
        };
        self.permissions(&zone);
        Ok(Some(zone.id))
    }

    /// Reading the one zone is not needed for work, so that a refusal is no missing right.
    async fn one_zone(&mut self, id: &str) -> Result<Option<String>, ProviderError> {
        match self
            .timed::<wire::Zone>(Call::get("zones.get", format!("/zones/{id}")))
            .await
        {
            Ok(zone) => self.permissions(&zone),
            Err(failure) if failure.error.kind() == ErrorKind::Denied => {}
            Err(failure) => return Err(failure.error),
        }
        Ok(Some(id.to_owned()))
    }

    async fn records(&mut self, zone: &str) -> Result<(), ProviderError> {
        let path = format!("/zones/{}/dns_records", super::records::checked_id(zone)?);
        let call = Call::get("dns_records.sample", path).query("per_page", 1);
        match self.timed::<Vec<IgnoredAny>>(call).await {
            Ok(_) => Ok(()),
            Err(failure) => self.lacks(failure, &format!("{DNS_EDIT} (zone {zone})")),
        }
    }

    fn permissions(&mut self, zone: &wire::Zone) {
        let edits = zone
            .permissions
            .iter()
            .any(|right| right.as_str() == "#dns_records:edit");
        if !zone.permissions.is_empty() && !edits {
            self.missing.push(format!("{DNS_EDIT} (zone {})", zone.id));
        }
        let edits_zones = zone.permissions.iter().any(|right| right == "#zone:edit");
        self.zones &= zone.permissions.is_empty() || edits_zones;
    }

    /// Notes a refused call as a missing right; anything else is an error of the check.
    fn lacks(&mut self, failure: Failure, right: &str) -> Result<(), ProviderError> {
        if failure.error.kind() != ErrorKind::Denied {
            return Err(failure.error);
        }
        if !self.missing.iter().any(|known| known == right) {
            self.missing.push(right.to_owned());
        }
        Ok(())
    }
}
