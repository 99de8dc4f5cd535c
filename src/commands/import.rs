//! `hostwright import`: a manifest for what exists outside, so that an object can take it over as it is.

mod legacy;
pub mod sites;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use crate::api::ADOPT_ANNOTATION;
use crate::config::ImportZoneOptions;
use crate::controllers::connections::Refusal;
use crate::domain::Fqdn;
use crate::domain::dns::{
    RecordData, RecordKind, RecordName, RecordSpec, WrittenRecord, ZoneNameError, ZoneSetting, check_records,
    written, zone_name,
};
use crate::providers::ProviderError;
use crate::providers::dns_host::Record;

use super::session::{Access, Session, SessionError};

/// Time to live of a record that does not say, as in the schema.
const TTL: u32 = 3_600;
/// Time to live that is written where the vendor chose one: what Cloudflare answers with for "automatic".
const TTL_OF_VENDOR: u32 = 300;
/// Records that a DnsZone can have, as in the schema.
const RECORDS_MAX: usize = 3_500;
/// Type of the Provider whose zones belong to customers of its own.
const HAS_CUSTOMERS: &str = "ispconfig";

/// A zone that is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The cluster could not be read.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No zone has such a name.
    #[error(transparent)]
    Name(#[from] ZoneNameError),
    /// The Provider cannot be used.
    #[error("{0}")]
    Refused(String),
    /// The back-end did not tell.
    #[error("Provider {provider}: {message}")]
    Provider {
        /// Its name.
        provider: String,
        /// What went wrong.
        message: String,
    },
    /// The table of the older backend cannot be used.
    #[error("{0}")]
    Legacy(#[from] legacy::LegacyError),
    /// There is none.
    #[error(
        "Provider {provider} has no zone {zone}; look at its name there, and whether the credentials see it"
    )]
    NoZone {
        /// The Provider.
        provider: String,
        /// The zone.
        zone: Fqdn,
    },
}

impl From<Refusal> for ImportError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.message)
    }
}

/// Prints the manifest of a zone.
///
/// # Errors
/// When the cluster or the zone cannot be read, or there is no such zone.
pub async fn dnszone(options: &ImportZoneOptions) -> Result<ExitCode, ImportError> {
    let zone = zone_name(&options.zone)?;
    let session = Session::open(&options.session, Access::ReadOnly).await?;
    let provider = &options.provider;
    let connection = session.connections.of(provider)?;
    let dns = connection.zones(provider)?;
    let failed = |error: ProviderError| ImportError::Provider {
        provider: provider.clone(),
        message: error.message().to_owned(),
    };
    let Some(found) = dns.dns.zone(&zone).await.map_err(failed)? else {
        return Err(ImportError::NoZone {
            provider: provider.clone(),
            zone,
        });
    };
    let records = dns.dns.records(&found.id).await.map_err(failed)?;
    let import = Import {
        name: options.name.clone().unwrap_or_else(|| zone.to_string()),
        namespace: options.namespace.as_ref().map(ToString::to_string),
        provider: provider.clone(),
        shown: options.zone.trim_end_matches('.').to_owned(),
        has_customers: connection.kind == HAS_CUSTOMERS,
        proxy: session.connections.proxy_address(&dns)?,
        name_servers: match dns.name_servers.is_empty() {
            true => found.name_servers,
            false => dns.name_servers.clone(),
        },
        active: found.active || !dns.dns.abilities().suspends,
        zone,
        records,
    };
    print!("{}", manifest(&import));
    Ok(ExitCode::SUCCESS)
}

/// A zone as it was found, and what its object shall be called.
#[derive(Debug, Clone)]
struct Import {
    name: String,
    namespace: Option<String>,
    provider: String,
    /// The zone's name as it was asked for.
    shown: String,
    zone: Fqdn,
    /// The back-end files zones under customers of its own.
    has_customers: bool,
    /// What PROXYSRV stands for.
    proxy: Option<Ipv4Addr>,
    /// Name servers that are not listed, for they come from the Provider.
    name_servers: Vec<Fqdn>,
    active: bool,
    records: Vec<Record>,
}

/// A record that becomes one of the object's.
struct Taken<'a> {
    seen: &'a RecordSpec,
    written: WrittenRecord,
}

/// Text as YAML, which JSON strings are too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The whole manifest.
fn manifest(import: &Import) -> String {
    let mut left: Vec<(&RecordSpec, String)> = Vec::new();
    let taken = taken(import, &mut left);
    let mut text = String::new();
    // Writing into a text cannot fail.
    let _ = head(&mut text, import, taken.is_empty());
    let proxied = taken.iter().filter(|record| record.seen.proxied).count();
    if proxied > 0 {
        let _ = writeln!(
            text,
            "    # Proxied records have an automatic time to live at the vendor; ttl counts only when the proxy is switched off."
        );
    }
    for record in &taken {
        let _ = writeln!(text, "    {}", line(record));
    }
    if !left.is_empty() {
        let count = left.len();
        let _ = writeln!(
            text,
            "  # Not taken over, {count} in number; they stay in the zone as they are:"
        );
        for (spec, why) in left {
            let name = &spec.name;
            let _ = writeln!(text, "  #   {name} {}: {why}", harmless(&spec.data.to_string()));
        }
    }
    text
}

fn head(text: &mut String, import: &Import, no_records: bool) -> std::fmt::Result {
    let Import { zone, provider, .. } = import;
    writeln!(
        text,
        "# {zone} as it is at Provider {provider}. Applied like this, the object takes the zone over"
    )?;
    writeln!(
        text,
        "# as it is; see what it would do before: hostwright plan -f FILE"
    )?;
    writeln!(
        text,
        "apiVersion: hostwright.dev/v1alpha1\nkind: DnsZone\nmetadata:"
    )?;
    writeln!(text, "  name: {}", quoted(&import.name))?;
    if let Some(namespace) = &import.namespace {
        writeln!(text, "  namespace: {}", quoted(namespace))?;
    }
    writeln!(
        text,
        "  annotations:\n    {ADOPT_ANNOTATION}: {}",
        quoted(zone.as_str())
    )?;
    writeln!(text, "spec:\n  zone: {}", quoted(&import.shown))?;
    writeln!(text, "  provider: {}", quoted(provider))?;
    if import.has_customers {
        writeln!(
            text,
            "  # The customer's user name at the Provider, under whom new records are made; it cannot be set later.\n  # owner: P17"
        )?;
    }
    writeln!(text, "  createDefaults: false\n  verifyNameservers: true")?;
    if !import.active {
        writeln!(
            text,
            "  # The zone is not answered at the moment.\n  suspended: true"
        )?;
    }
    match no_records {
        true => writeln!(text, "  records: []"),
        false => writeln!(text, "  records:"),
    }
}

/// What the object can have, in the order of names; the rest goes to `left` with the reason.
fn taken<'a>(import: &'a Import, left: &mut Vec<(&'a RecordSpec, String)>) -> Vec<Taken<'a>> {
    let zone = &import.zone;
    let mut specs: Vec<&RecordSpec> = import.records.iter().map(|record| &record.spec).collect();
    specs.sort_by_key(|spec| (!spec.name.is_apex(zone), *spec));
    let mut shared: BTreeMap<(&RecordName, Option<RecordKind>), u32> = BTreeMap::new();
    for spec in &specs {
        if let Some(ttl) = spec.ttl {
            shared.entry((&spec.name, spec.data.kind())).or_insert(ttl);
        }
    }
    let mut candidates = Vec::new();
    for spec in specs {
        if is_providers(import, spec) {
            continue;
        }
        let own = if spec.proxied { TTL } else { TTL_OF_VENDOR };
        let ttl = shared.get(&(&spec.name, spec.data.kind())).copied();
        match written(zone, spec, import.proxy, ttl.unwrap_or(own)) {
            Some(written) => candidates.push(Taken { seen: spec, written }),
            None => left.push((
                spec,
                "a type or content that Hostwright does not write".to_owned(),
            )),
        }
    }
    let setting = ZoneSetting {
        zone,
        proxy: import.proxy,
        quota: Some(RECORDS_MAX),
    };
    let typed: Vec<_> = candidates.iter().map(|record| record.written.typed()).collect();
    let outcomes = check_records(&setting, &typed);
    let mut taken = Vec::with_capacity(outcomes.len());
    for (record, outcome) in candidates.iter().zip(outcomes) {
        match outcome {
            Ok(spec) if spec.data == record.seen.data && spec.name == record.seen.name => {
                taken.push(Taken {
                    seen: record.seen,
                    written: record.written.clone(),
                });
            }
            Ok(spec) => left.push((record.seen, format!("would be written as {}", spec.data))),
            Err(refusal) => left.push((record.seen, refusal.message)),
        }
    }
    taken
}

/// Start of authority and name servers of the zone itself, which the Provider's settings say.
fn is_providers(import: &Import, spec: &RecordSpec) -> bool {
    let kind = spec.data.type_name();
    let own_server = matches!(&spec.data, RecordData::Ns(server) if import.name_servers.contains(server));
    spec.name.is_apex(&import.zone) && (kind == "SOA" || own_server)
}

/// One record as an item of the list.
fn line(record: &Taken<'_>) -> String {
    let WrittenRecord {
        name,
        kind,
        content,
        ttl,
        priority,
    } = &record.written;
    let mut item = format!(
        "- {{name: {}, type: {kind}, content: {}",
        quoted(name),
        quoted(content)
    );
    if let Some(priority) = priority {
        item.push_str(&format!(", priority: {priority}"));
    }
    if *ttl != TTL {
        item.push_str(&format!(", ttl: {ttl}"));
    }
    item.push('}');
    match (record.seen.proxied, record.seen.ttl) {
        (true, _) => item.push_str(" # proxied, which stays so"),
        (false, None) => {
            item.push_str(" # its time to live is automatic; taking over writes this one, and our mark")
        }
        _ => {}
    }
    item
}

/// Text that cannot end a comment.
fn harmless(text: &str) -> String {
    /// Enough to know the record by.
    const SHOWN: usize = 120;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().map(plain).take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
