//! Rules for all records of a zone together, and the records that a zone has by default.

use std::collections::{BTreeMap, BTreeSet};

use super::super::name::Fqdn;
use super::data::{RecordData, RecordKind, RecordSpec, Target};
use super::name::RecordName;
use super::owner_name::{Complaint, owner_name};
use super::refusal::{RecordRefusal, RecordRule};
use super::rules::{TypedRecord, ZoneSetting, check_record};

/// Time to live in seconds of records that are made by default: the replaced system's value, as in the schema.
const DEFAULT_TTL: u32 = 3_600;

type Outcome = Result<RecordSpec, RecordRefusal>;
/// What one rule has against records, by their place in the list.
type Found = Vec<(usize, Complaint)>;

/// All records of a zone in the order of the list, each with an outcome of its own: a bad record blocks itself
/// only. Of two records that cannot be together, it is always the same one that is refused: the later duplicate,
/// the later other time to live, the alias beside other data, the null MX beside other MX, the data beside or below
/// NS. What the quota has no room for is the end of the list.
pub fn check_records(setting: &ZoneSetting<'_>, typed: &[TypedRecord<'_>]) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = typed.iter().map(|one| check_record(setting, one)).collect();
    // What an earlier rule refused does not count for the later ones; the quota comes last, for it counts what is
    // left.
    let rules = [
        duplicates,
        below_delegations,
        aliases_not_alone,
        alias_targets,
        null_mx_not_alone,
        times_to_live,
    ];
    for rule in rules {
        let found = rule(&outcomes);
        refuse(&mut outcomes, typed, found);
    }
    if let Some(quota) = setting.quota {
        let over = passed(&outcomes).skip(quota).map(|(at, _)| {
            let what = format!("the Plan has room for {quota} records, and those before this one fill it; remove records or choose a larger Plan");
            (at, (RecordRule::QuotaExceeded, what))
        });
        let found = over.collect();
        refuse(&mut outcomes, typed, found);
    }
    outcomes
}

fn passed(outcomes: &[Outcome]) -> impl Iterator<Item = (usize, &RecordSpec)> {
    outcomes
        .iter()
        .enumerate()
        .filter_map(|(at, outcome)| Some((at, outcome.as_ref().ok()?)))
}

fn refuse(outcomes: &mut [Outcome], typed: &[TypedRecord<'_>], found: Found) {
    for (at, (rule, what)) in found {
        if let (Some(outcome), Some(typed)) = (outcomes.get_mut(at), typed.get(at)) {
            *outcome = Err(RecordRefusal::new(typed, rule, &what));
        }
    }
}

fn duplicates(outcomes: &[Outcome]) -> Found {
    let mut first = BTreeMap::new();
    let mut found = Vec::new();
    for (at, spec) in passed(outcomes) {
        match first.get(&(&spec.name, &spec.data)) {
            Some(before) => {
                let what = format!("records[{before}] of the list says the same; remove one of the two");
                found.push((at, (RecordRule::Duplicate, what)));
            }
            None => drop(first.insert((&spec.name, &spec.data), at)),
        }
    }
    found
}

/// Names above this one, from the nearest.
fn above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.').map(|(_, rest)| rest), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    })
}

fn below_delegations(outcomes: &[Outcome]) -> Found {
    let cuts: BTreeSet<&str> = passed(outcomes)
        .filter(|(_, spec)| matches!(spec.data, RecordData::Ns(_)))
        .map(|(_, spec)| spec.name.as_str())
        .collect();
    let mut found = Vec::new();
    for (at, spec) in passed(outcomes) {
        let name = spec.name.as_str();
        let glue = matches!(spec.data, RecordData::A(_) | RecordData::Aaaa(_)) && !spec.name.is_wildcard();
        let what = if cuts.contains(name) && !matches!(spec.data, RecordData::Ns(_)) {
            "NS records give this name to other name servers, which answer for it; write it there, or remove the NS records".to_owned()
        } else if let Some(cut) = above(name).find(|above| cuts.contains(above)).filter(|_| !glue) {
            let cut = super::quote::quoted(cut);
            format!(
                "NS records give {cut} to other name servers, and below it only addresses of name servers stand here; write it there, or remove the NS records"
            )
        } else {
            continue;
        };
        found.push((at, (RecordRule::BelowDelegation, what)));
    }
    found
}

fn aliases_not_alone(outcomes: &[Outcome]) -> Found {
    let mut others: BTreeMap<&RecordName, (usize, &str)> = BTreeMap::new();
    for (at, spec) in passed(outcomes) {
        if !matches!(spec.data, RecordData::Cname(_)) {
            others.entry(&spec.name).or_insert((at, spec.data.type_name()));
        }
    }
    let mut found = Vec::new();
    for (at, spec) in passed(outcomes) {
        if !matches!(spec.data, RecordData::Cname(_)) {
            continue;
        }
        match others.get(&spec.name) {
            Some((before, kind)) => {
                let what = format!(
                    "an alias stands alone at its name, and records[{before}] of the list is of type {kind} there; remove one of the two"
                );
                found.push((at, (RecordRule::AliasNotAlone, what)));
            }
            // An earlier alias is other data for the later ones.
            None => drop(others.insert(&spec.name, (at, "CNAME"))),
        }
    }
    found
}

fn alias_targets(outcomes: &[Outcome]) -> Found {
    let aliases: BTreeMap<&str, &RecordName> = passed(outcomes)
        .filter_map(|(_, spec)| match &spec.data {
            RecordData::Cname(target) => Some((spec.name.as_str(), target)),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    for (at, spec) in passed(outcomes) {
        let (RecordData::Mx {
            exchange: Target::Host(host),
            ..
        }
        | RecordData::Srv {
            target: Target::Host(host),
            ..
        }
        | RecordData::Ns(host)) = &spec.data
        else {
            continue;
        };
        if let Some(target) = aliases.get(host.as_str()) {
            let (host, target) = (
                super::quote::quoted(host.as_str()),
                super::quote::quoted(target.as_str()),
            );
            let what = format!(
                "{host} is an alias, and the target is a name with addresses; write {target}, or make {host} an A record"
            );
            found.push((at, (RecordRule::TargetAlias, what)));
        }
    }
    found
}

fn null_mx_not_alone(outcomes: &[Outcome]) -> Found {
    let exchanges: BTreeSet<&RecordName> = passed(outcomes)
        .filter(|(_, spec)| {
            matches!(
                spec.data,
                RecordData::Mx {
                    exchange: Target::Host(_),
                    ..
                }
            )
        })
        .map(|(_, spec)| &spec.name)
        .collect();
    passed(outcomes)
        .filter(|(_, spec)| matches!(spec.data, RecordData::Mx { exchange: Target::Nowhere, .. }))
        .filter(|(_, spec)| exchanges.contains(&spec.name))
        .map(|(at, _)| {
            let what = "a single dot says that the name takes no mail, and other MX records of the list say that it does; remove this one or the others";
            (at, (RecordRule::NullMxNotAlone, what.to_owned()))
        })
        .collect()
}

fn times_to_live(outcomes: &[Outcome]) -> Found {
    let mut first: BTreeMap<(&RecordName, Option<RecordKind>), (usize, u32)> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, spec) in passed(outcomes) {
        let ttl = spec.ttl.unwrap_or_default();
        let (before, shared) = *first.entry((&spec.name, spec.data.kind())).or_insert((at, ttl));
        if shared != ttl {
            let what = format!(
                "records of one name and type share one time to live, and records[{before}] of the list has {shared} seconds; set ttl to {shared}, or all of them to {ttl}"
            );
            found.push((at, (RecordRule::TtlDiffers, what)));
        }
    }
    found
}

/// The records that a zone has without being asked: A of the zone and of `www` to the proxy. A name for which the
/// list has an A, AAAA or CNAME record, even a refused one, is the user's, and gets none; nor does a name that
/// accepted NS records of the list give away.
pub fn default_records(
    setting: &ZoneSetting<'_>,
    typed: &[TypedRecord<'_>],
    outcomes: &[Result<RecordSpec, RecordRefusal>],
) -> Vec<RecordSpec> {
    let Some(address) = setting.proxy else {
        return Vec::new();
    };
    let hosts = [RecordKind::A, RecordKind::Aaaa, RecordKind::Cname];
    let mut taken: BTreeSet<RecordName> = typed
        .iter()
        .filter(|one| hosts.contains(&one.kind))
        .filter_map(|one| owner_name(setting.zone, one.name).ok())
        .collect();
    let given_away = passed(outcomes).filter(|(_, spec)| matches!(spec.data, RecordData::Ns(_)));
    taken.extend(given_away.map(|(_, spec)| spec.name.clone()));
    let www = format!("www.{}", setting.zone).parse().ok();
    [Some(RecordName::from(setting.zone)), www]
        .into_iter()
        .flatten()
        .filter(|name| !taken.contains(name))
        .map(|name| RecordSpec {
            name,
            data: RecordData::A(address),
            ttl: Some(DEFAULT_TTL),
            proxied: false,
        })
        .collect()
}

/// The zone's own NS records, for hosts of zones where they are ours to write. Each server once, in order.
pub fn name_server_records(zone: &Fqdn, servers: &[Fqdn]) -> Vec<RecordSpec> {
    let mut seen = BTreeSet::new();
    servers
        .iter()
        .filter(|server| seen.insert(*server))
        .map(|server| RecordSpec {
            name: RecordName::from(zone),
            data: RecordData::Ns(server.clone()),
            ttl: Some(DEFAULT_TTL),
            proxied: false,
        })
        .collect()
}
