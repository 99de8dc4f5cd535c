//! From an object to what its zone shall be and the back-end that holds it.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use ring::digest::{Context, SHA256};

use super::zone::{Refused, Terms, Wanted};
use super::{ZoneKind, ZoneSubject};
use crate::api::condition::reasons;
use crate::api::{ADOPT_ANNOTATION, DnsZoneSpec, ZoneRecord, ZoneRecordType};
use crate::controllers::connections::{Dns, Refusal};
use crate::domain::dns::{
    RecordKind, TypedRecord, ZoneSetting, check_records, default_records, name_server_records, zone_name,
};
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::dns_host::{Soa, ZoneSpec};

/// A zone whose references all lead somewhere.
pub struct Resolved {
    /// What it shall be.
    pub terms: Terms,
    /// Who hosts it.
    pub dns: Arc<Dns>,
}

impl ZoneKind {
    /// Resolves everything that an object refers to.
    ///
    /// # Errors
    /// The first thing that is missing or cannot be used, with its remedy.
    pub(super) fn resolve(&self, subject: &ZoneSubject) -> Result<Resolved, Refusal> {
        let spec = &subject.object.spec;
        let namespace = subject.object.namespace().unwrap_or_default();
        let name = &spec.provider;
        let connection = match subject.deleting {
            // Whatever was allowed once must be removable.
            true => self.connections.of(name)?,
            false => self.connections.allowed(name, &namespace)?,
        };
        let dns = connection.zones(name)?;
        let terms = self.terms(subject, &dns, namespace)?;
        Ok(Resolved { terms, dns })
    }

    fn terms(&self, subject: &ZoneSubject, dns: &Arc<Dns>, namespace: String) -> Result<Terms, Refusal> {
        let spec = &subject.object.spec;
        let invalid = |error: &dyn std::fmt::Display| Refusal::new(reasons::INVALID_SPEC, error.to_string());
        let zone = zone_name(&spec.zone).map_err(|error| invalid(&error))?;
        let uid = subject.uid().parse().map_err(|error| invalid(&error))?;
        let abilities = dns.dns.abilities();
        let limit = self.limit(spec)?;
        let setting = ZoneSetting {
            zone: &zone,
            proxy: self.connections.proxy_address(dns)?,
            quota: limit,
        };
        let typed: Vec<TypedRecord<'_>> = spec.records.iter().map(typed).collect();
        let outcomes = check_records(&setting, &typed);
        let mut defaults = match spec.create_defaults {
            true => default_records(&setting, &typed, &outcomes),
            false => Vec::new(),
        };
        if abilities.authority {
            defaults.extend(name_server_records(&zone, &dns.name_servers));
        }
        let (mut wanted, mut refused) = (Vec::new(), Vec::new());
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(spec) => wanted.push(Wanted {
                    index: Some(index),
                    spec,
                }),
                Err(refusal) => refused.push(Refused { index, refusal }),
            }
        }
        wanted.extend(defaults.into_iter().map(|spec| Wanted { index: None, spec }));
        let adopt = subject.object.annotations().get(ADOPT_ANNOTATION);
        let adopt = adopt.is_some_and(|value| zone_name(value).is_ok_and(|name| name == zone));
        Ok(Terms {
            owner: OwnerMark {
                cluster: self.cluster.clone(),
                uid,
            },
            namespace,
            provider: spec.provider.clone(),
            shown: spec.zone.trim_end_matches('.').to_owned(),
            created_at: subject.object.creation_timestamp().map(|time| time.0),
            digest: digest(&wanted),
            spec: zone_spec(spec, dns, zone)?,
            wanted,
            refused,
            quota: (spec.records.len(), limit),
            abilities,
            name_servers: dns.name_servers.clone(),
            verify: spec.verify_nameservers,
            suspended: spec.suspended,
            adopt,
        })
    }

    /// Records that the Plan allows, when one is named.
    fn limit(&self, spec: &DnsZoneSpec) -> Result<Option<usize>, Refusal> {
        let Some(name) = &spec.plan else { return Ok(None) };
        let plan = self.plans.get(&ObjectRef::new(name)).ok_or_else(|| {
            let message = format!("Plan {name} does not exist; create it, or name another plan");
            Refusal::new(reasons::PLAN_NOT_FOUND, message)
        })?;
        let limit = plan.spec.dns.as_ref().map(|dns| dns.records);
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()))
    }
}

/// Hexadecimal digits of the digest of a whole zone: as many as of one record's.
const DIGEST_DIGITS: usize = 16;

/// One digest for everything that the records shall be.
fn digest(wanted: &[Wanted]) -> String {
    let mut hash = Context::new(&SHA256);
    for wanted in wanted {
        hash.update(wanted.spec.digest().as_bytes());
    }
    let octets = hash.finish();
    let digits = octets.as_ref().iter().map(|octet| format!("{octet:02x}"));
    digits.collect::<String>().chars().take(DIGEST_DIGITS).collect()
}

/// A record as the user typed it.
pub fn typed(record: &ZoneRecord) -> TypedRecord<'_> {
    TypedRecord {
        name: &record.name,
        kind: kind(record.type_),
        content: &record.content,
        ttl: u32::try_from(record.ttl).unwrap_or_default(),
        priority: record.priority.and_then(|priority| u16::try_from(priority).ok()),
    }
}

pub(super) fn kind(kind: ZoneRecordType) -> RecordKind {
    match kind {
        ZoneRecordType::A => RecordKind::A,
        ZoneRecordType::Aaaa => RecordKind::Aaaa,
        ZoneRecordType::Caa => RecordKind::Caa,
        ZoneRecordType::Cname => RecordKind::Cname,
        ZoneRecordType::Mx => RecordKind::Mx,
        ZoneRecordType::Ns => RecordKind::Ns,
        ZoneRecordType::Srv => RecordKind::Srv,
        ZoneRecordType::Txt => RecordKind::Txt,
    }
}

/// What the zone itself shall be.
pub(super) fn zone_spec(spec: &DnsZoneSpec, dns: &Dns, name: Fqdn) -> Result<ZoneSpec, Refusal> {
    Ok(ZoneSpec {
        soa: soa(dns, &name)?,
        name,
        active: !spec.suspended,
        customer: spec.owner.clone(),
    })
}

/// The zone's start of authority by the Provider's settings.
fn soa(dns: &Dns, zone: &Fqdn) -> Result<Soa, Refusal> {
    let settings = &dns.soa;
    let mailbox = match settings.mailbox.split_once('@') {
        Some((local, domain)) => format!("{local}.{domain}"),
        None => format!("{}.{zone}", settings.mailbox),
    };
    let mailbox = mailbox.parse().map_err(|error| {
        let message = format!("Provider {}: soa.mailbox: {error}", dns.name);
        Refusal::new(reasons::PROVIDER_INVALID, message)
    })?;
    let seconds = |seconds: i32| u32::try_from(seconds).unwrap_or_default();
    Ok(Soa {
        primary: dns.name_servers.first().unwrap_or(zone).clone(),
        mailbox,
        refresh: seconds(settings.refresh),
        retry: seconds(settings.retry),
        expire: seconds(settings.expire),
        minimum: seconds(settings.minimum),
        ttl: seconds(settings.ttl),
    })
}
