//! Zones come and go.

use reqwest::Method;
use serde::de::IgnoredAny;

use super::client::Client;
use super::failure::Failure;
use super::records::checked_id;
use super::wire;
use super::zones::{Zones, zone_of};
use crate::providers::dns_host::{Zone, ZoneId, ZoneSpec};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::{Body, Call};

/// The right that all of this needs.
const ZONE_EDIT: &str = "Zone:Edit";
/// The smallest page that Cloudflare takes, where one entry more or less tells everything.
const GLANCE: u64 = 5;

impl Zones {
    /// Makes a zone, which Cloudflare serves at once for whoever asks the servers that it names.
    pub async fn create(&self, client: &Client, spec: &ZoneSpec) -> Result<Zone, ProviderError> {
        let name = &spec.name;
        if self.only().is_some() {
            let message = format!(
                "{name} cannot be made: the Provider is limited to one zone; remove its zoneId, with a token \
                 that may edit zones, or use another Provider"
            );
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        }
        let account = self.account(client).await?;
        let body = wire::ZoneBody {
            name: name.as_str(),
            account: wire::Account { id: account },
            kind: "full",
        };
        let body = serde_json::to_value(&body).map_err(|error| {
            ProviderError::new(ErrorKind::Invalid, "the zone cannot be written as JSON").with_detail(error)
        })?;
        let call = Call::write("zones.create", Method::POST, "/zones").body(Body::Json(body));
        let made: wire::Zone = client
            .result(call)
            .await
            .map_err(|failure| self.not_made(spec, failure))?;
        let zone = zone_of(made).map_err(|error| error.as_kind(ErrorKind::Ambiguous))?;
        if zone.name != *name {
            let message = format!("{name}: Cloudflare made the zone {} of it", zone.name);
            return Err(ProviderError::new(ErrorKind::Ambiguous, message));
        }
        self.memory().learn_new(&zone, std::time::Instant::now());
        Ok(zone)
    }

    fn not_made(&self, spec: &ZoneSpec, failure: Failure) -> ProviderError {
        let name = &spec.name;
        let reworded = |message: String| {
            let error = ProviderError::new(failure.error.kind(), message);
            match failure.error.detail() {
                Some(detail) => error.with_detail(detail),
                None => error,
            }
        };
        // Whatever was remembered of the name, the world knows better.
        self.memory().forget_name(name);
        match failure.error.kind() {
            ErrorKind::Denied => reworded(format!(
                "{name} cannot be made: the API token lacks {ZONE_EDIT} for the account"
            )),
            ErrorKind::Conflict => reworded(format!(
                "a zone {name} exists already, in this Cloudflare account or in another"
            )),
            ErrorKind::Invalid => reworded(format!("{name} cannot be made: {}", failure.error.message())),
            _ => failure.error,
        }
    }

    /// The account in which zones are made.
    async fn account(&self, client: &Client) -> Result<String, ProviderError> {
        if let Some(named) = &self.account {
            return Ok(named.clone());
        }
        // Many zones that are made at once wait for one and the same answer.
        let found = self
            .found_account
            .get_or_try_init(|| only_account(client))
            .await?;
        Ok(found.clone())
    }

    /// Nothing about a zone can be changed that we know of: whether it is there, and as what.
    pub async fn confirm(
        &self,
        client: &Client,
        id: &ZoneId,
        spec: &ZoneSpec,
    ) -> Result<Zone, ProviderError> {
        let found = self.look(client, &spec.name).await?;
        found.filter(|zone| zone.id == *id).ok_or_else(|| {
            let message = format!("the zone {} is gone", spec.name);
            ProviderError::new(ErrorKind::NotFound, message)
        })
    }

    /// Removes a zone with its records.
    pub async fn delete(&self, client: &Client, id: &ZoneId) -> Result<(), ProviderError> {
        if self.only().is_some_and(|only| only != id) {
            let message = "the Provider is limited to another zone; it cannot delete this one";
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        }
        let path = format!("/zones/{}", checked_id(&id.0)?);
        let call = Call::write("zones.delete", Method::DELETE, path);
        let failure = match client.call::<IgnoredAny>(call).await {
            Ok(_) => {
                self.memory().forget(id);
                return Ok(());
            }
            Err(failure) => failure,
        };
        if failure.error.is_not_found() || failure.no_such_zone() {
            self.memory().forget(id);
            return Ok(());
        }
        if failure.error.kind() == ErrorKind::Denied {
            return self.refused(client, id, failure).await;
        }
        Err(failure.error)
    }

    /// A zone that is gone is refused in the same words as one that the token may not touch: only a look tells.
    async fn refused(&self, client: &Client, id: &ZoneId, refusal: Failure) -> Result<(), ProviderError> {
        let gone = match self.name_of(id) {
            Some(name) => self.look(client, &name).await?.is_none_or(|zone| zone.id != *id),
            None => is_gone(client, id).await?,
        };
        if gone {
            self.memory().forget(id);
            return Ok(());
        }
        let error = self.judged(id, refusal);
        if error.kind() != ErrorKind::Denied {
            return Err(error);
        }
        let message = format!("the zone cannot be deleted: the API token lacks {ZONE_EDIT} for it");
        let reworded = ProviderError::new(ErrorKind::Denied, message);
        Err(match error.detail() {
            Some(detail) => reworded.with_detail(detail),
            None => reworded,
        })
    }
}

/// Whether the token, which may read zones, does not see this one.
async fn is_gone(client: &Client, id: &ZoneId) -> Result<bool, ProviderError> {
    let call = Call::get("zones.get", format!("/zones/{}", checked_id(&id.0)?));
    match client.result::<wire::Zone>(call).await {
        Ok(_) => return Ok(false),
        Err(failure) if failure.no_such_zone() => return Ok(true),
        Err(failure) if failure.error.kind() == ErrorKind::Denied => {}
        Err(failure) => return Err(failure.error),
    }
    let call = Call::get("zones.list", "/zones").query("per_page", GLANCE);
    match client.result::<Vec<IgnoredAny>>(call).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.error.kind() == ErrorKind::Denied => Ok(false),
        Err(failure) => Err(failure.error),
    }
}

/// The account of the token, if it sees exactly one.
async fn only_account(client: &Client) -> Result<String, ProviderError> {
    let advice = |why: &str| {
        let message = format!("zones cannot be made: {why}; name the accountId in the Provider");
        ProviderError::new(ErrorKind::Invalid, message)
    };
    let call = Call::get("accounts.list", "/accounts").query("per_page", GLANCE);
    let accounts: Vec<wire::Account> = match client.result(call).await {
        Ok(accounts) => accounts,
        Err(failure) if failure.error.kind() == ErrorKind::Denied => {
            return Err(advice("the API token may not list accounts"));
        }
        Err(failure) => return Err(failure.error),
    };
    match accounts.as_slice() {
        [one] => {
            checked_id(&one.id).map_err(|error| error.as_kind(ErrorKind::Unexpected))?;
            Ok(one.id.clone())
        }
        [] => Err(advice("the API token sees no account")),
        _ => Err(advice("the API token sees several accounts")),
    }
}
