//! Rules for one record: from what a user typed to what is sent, or to why it is not.

use std::net::Ipv4Addr;

use super::super::name::Fqdn;
use super::content::content;
use super::data::{RecordData, RecordKind, RecordSpec};
use super::owner_name::{Complaint, fits_type, owner_name};
use super::refusal::{RecordRefusal, RecordRule};

pub use super::text::TXT_MAX;

/// Times to live, in seconds, that every back-end takes.
const TTL: std::ops::RangeInclusive<u32> = 60..=86_400;

/// One record as a user typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypedRecord<'a> {
    /// Name below the zone; `@` or nothing is the zone itself; whole with a final dot or the zone's name at its end.
    pub name: &'a str,
    /// Type.
    pub kind: RecordKind,
    /// Content, without the priority.
    pub content: &'a str,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Preference of MX, priority of SRV.
    pub priority: Option<u16>,
}

/// What records are judged against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneSetting<'a> {
    /// The zone.
    pub zone: &'a Fqdn,
    /// What `PROXYSRV` stands for.
    pub proxy: Option<Ipv4Addr>,
    /// How many records of the list there may be; no limit without it. What is made by default does not count.
    pub quota: Option<usize>,
}

/// One record by itself. Names, targets and addresses come out in canonical form: what passes is accepted by every
/// back-end and reads back equal.
///
/// # Errors
/// Which rule it breaks, and what to do.
pub fn check_record(setting: &ZoneSetting<'_>, typed: &TypedRecord<'_>) -> Result<RecordSpec, RecordRefusal> {
    judge(setting, typed).map_err(|(rule, what)| RecordRefusal::new(typed, rule, &what))
}

fn judge(setting: &ZoneSetting<'_>, typed: &TypedRecord<'_>) -> Result<RecordSpec, Complaint> {
    let name = owner_name(setting.zone, typed.name)?;
    fits_type(setting.zone, &name, typed.kind)?;
    if !TTL.contains(&typed.ttl) {
        let what = format!(
            "a time to live is {} to {} seconds, and not {}; set ttl within",
            TTL.start(),
            TTL.end(),
            typed.ttl
        );
        return Err((RecordRule::TtlRange, what));
    }
    if typed.priority.is_some() && !matches!(typed.kind, RecordKind::Mx | RecordKind::Srv) {
        let what = "only MX and SRV records have a priority; remove it";
        return Err((RecordRule::PriorityMisplaced, what.to_owned()));
    }
    let data = content(setting, typed)?;
    if matches!(&data, RecordData::Cname(target) if *target == name) {
        let what = "the alias points to itself; name the host that is meant";
        return Err((RecordRule::AliasLoop, what.to_owned()));
    }
    Ok(RecordSpec {
        name,
        data,
        ttl: Some(typed.ttl),
        proxied: false,
    })
}
