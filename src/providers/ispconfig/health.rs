//! Whether the log-in works and what the remote user may do.

use std::time::{Duration, Instant};

use super::Ispconfig;
use super::client::Ask;
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::health::Health;

/// How long a remote user who lacks nothing is believed to keep it so: the panel has no list of rights, so that every
/// group of functions costs a call.
const RIGHTS_KEPT: Duration = Duration::from_secs(3600);

/// Name of the calls that only find out whether a function may be called: they are no reads of zones.
const PROBE: &str = "rights.probe";

/// The groups in which the panel gives functions away, each with the function that reads and those that it stands
/// for.
const GROUPS: [(&str, &str); 9] = [
    (
        "dns_zone_get",
        "dns_zone_get, dns_zone_add, dns_zone_update, dns_zone_delete",
    ),
    ("dns_a_get", "dns_a_get, dns_a_add, dns_a_update, dns_a_delete"),
    ("dns_aaaa_get", "dns_aaaa_add, dns_aaaa_update, dns_aaaa_delete"),
    ("dns_caa_get", "dns_caa_add, dns_caa_update, dns_caa_delete"),
    (
        "dns_cname_get",
        "dns_cname_add, dns_cname_update, dns_cname_delete",
    ),
    ("dns_mx_get", "dns_mx_add, dns_mx_update, dns_mx_delete"),
    ("dns_ns_get", "dns_ns_add, dns_ns_update, dns_ns_delete"),
    ("dns_srv_get", "dns_srv_add, dns_srv_update, dns_srv_delete"),
    ("dns_txt_get", "dns_txt_add, dns_txt_update, dns_txt_delete"),
];

/// What the last probe found.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    at: Instant,
    customers: bool,
}

impl Ispconfig {
    /// One cheap call, and all groups of functions where the last probe is old or found something missing.
    pub(super) async fn look(&self) -> Result<Health, ProviderError> {
        let begun = Instant::now();
        // Any number will do: a row, or null for none.
        let first = self.may("dns_zone_get", "primary_id").await?;
        let latency = begun.elapsed();
        let mut probe = self.probe.lock().await;
        let kept = probe
            .as_ref()
            .filter(|known| first && known.at.elapsed() < RIGHTS_KEPT);
        let (customers, missing) = match kept {
            Some(known) => (known.customers, Vec::new()),
            None => self.rights(first).await?,
        };
        if kept.is_none() {
            let at = Instant::now();
            *probe = missing.is_empty().then_some(Probe { at, customers });
        }
        let mut capabilities = vec!["suspended-zones".to_owned()];
        if customers {
            capabilities.push("customers".to_owned());
        }
        Ok(Health {
            version: self.version().await,
            capabilities,
            missing_rights: missing,
            latency,
        })
    }

    async fn rights(&self, zones: bool) -> Result<(bool, Vec<String>), ProviderError> {
        let mut missing = Vec::new();
        for (place, (function, stands_for)) in GROUPS.into_iter().enumerate() {
            let may = match place {
                0 => zones,
                _ => self.may(function, "primary_id").await?,
            };
            if !may {
                missing.push(stands_for.to_owned());
            }
        }
        // Only zones of customers need these, and the group can delete clients: it is no missing right.
        let customers = self.may("client_get_id", "sys_userid").await?;
        Ok((customers, missing))
    }

    /// Whether a reading function may be called.
    async fn may(&self, function: &'static str, id: &str) -> Result<bool, ProviderError> {
        let ask = Ask::read(function).counted_as(PROBE).with(id, 1);
        match self.client.value(ask).await {
            Ok(_) => Ok(true),
            // Refused as a function, and not the log-in.
            Err(error) if error.kind() == ErrorKind::Denied && is_right(&error) => Ok(false),
            // An administrator whose number is another one.
            Err(error) if function == "client_get_id" && error.kind() == ErrorKind::Unexpected => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The program's version where it tells; the right to ask is not needed for anything else.
    async fn version(&self) -> String {
        let answer = self.client.value(Ask::read("server_get_app_version")).await;
        let told = answer.ok();
        let version = told
            .as_ref()
            .and_then(|value| value.get("ispc_app_version")?.as_str());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        version
            .map(|version| version.chars().filter(|c| plain(*c)).take(32).collect())
            .unwrap_or_default()
    }
}

fn is_right(error: &ProviderError) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.starts_with("You do not have the permissions"))
}
