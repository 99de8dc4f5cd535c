//! The look-up of addresses at the servers that speak for a name: bounded, its result kept for a while.
//!
//! Resolvers only show the way. They may remember an old address for hours, which neither the customer who has just
//! changed it nor the certificate authority cares about.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::addresses::{AddressLookup, Addresses, FoundAddresses};
use super::exchange::question;
use super::kept::Kept;
use super::parent::{Parent, View};
use super::questions::{Questions, name_servers, text};
use super::resolver_check::{CHECKS_AT_ONCE, ResolverSettings, dns_name};
use crate::domain::Fqdn;

/// Names that a look-up asks about: the name itself and the ends of its CNAMEs. BIND and Unbound follow about as many.
const NAMES_MAX: usize = 9;
/// Delegations that are followed below what the resolver knew of: one for each label would be a strange zone.
const REFERRALS_MAX: usize = 4;
/// Servers that must have told their view: during a change they differ.
const VIEWS_WANTED: usize = 2;
/// Servers asked at a time: one more than wanted, for one may be silent.
const ASKED_AT_ONCE: usize = VIEWS_WANTED + 1;

/// Asks the authoritative servers of names directly.
#[derive(Debug)]
pub struct ResolverLookup {
    settings: ResolverSettings,
    places: Semaphore,
    kept: Kept<BTreeSet<IpAddr>, Addresses>,
}

#[async_trait]
impl AddressLookup for ResolverLookup {
    async fn addresses(&self, name: &Fqdn, wanted: &BTreeSet<IpAddr>) -> Addresses {
        let ask = async {
            let result = self.look_up(name).await;
            let age = match result.lead_to(wanted) {
                true => self.settings.verified_age,
                false => self.settings.unverified_age,
            };
            (result, age)
        };
        self.kept.get(name, wanted, ask).await
    }

    fn forget(&self, name: &Fqdn) {
        self.kept.forget(name);
    }
}

impl ResolverLookup {
    /// A look-up with nothing known yet.
    pub fn new(settings: ResolverSettings) -> Self {
        Self {
            settings,
            places: Semaphore::new(CHECKS_AT_ONCE),
            kept: Kept::default(),
        }
    }

    async fn look_up(&self, name: &Fqdn) -> Addresses {
        let end = Instant::now() + self.settings.limit;
        let Ok(Ok(_place)) = timeout_at(end, self.places.acquire()).await else {
            return Addresses::Unknown("too many names are being looked up at the moment".to_owned());
        };
        let questions = match self.settings.questions().await {
            Ok(questions) => questions,
            Err(why) => return Addresses::Unknown(why),
        };
        let Some(name) = dns_name(name) else {
            return Addresses::Unknown("the name cannot be asked for".to_owned());
        };
        match timeout_at(end, follow(name, &questions)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(why)) => Addresses::Unknown(why),
            Err(_) => Addresses::Unknown("the name servers took too long".to_owned()),
        }
    }
}

/// What one server says about a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    v4: BTreeSet<Ipv4Addr>,
    v6: BTreeSet<Ipv6Addr>,
    /// The end of the CNAMEs, as far as this server may tell.
    alias: Option<Name>,
    /// That end, or the name itself, does not exist.
    absent: bool,
    /// The end lies in another zone: its own servers must be asked.
    elsewhere: bool,
}

/// An answer of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reply {
    Told(Told),
    /// It knows who serves the name: the zone and its servers.
    Referral(Name, BTreeSet<Name>),
}

/// Asks about the name and whatever its CNAMEs lead to.
async fn follow(name: Name, questions: &Questions) -> Result<Addresses, String> {
    let mut found = FoundAddresses {
        servers_agree: true,
        ..FoundAddresses::default()
    };
    let mut absent = None;
    let mut asked = BTreeSet::new();
    let mut ahead = BTreeSet::from([name]);
    while let Some(name) = ahead.pop_first() {
        if !asked.insert(name.clone()) {
            continue;
        }
        if asked.len() > NAMES_MAX {
            return Err("its CNAMEs lead from name to name without end".to_owned());
        }
        let views = views(&name, questions).await?;
        found.servers_agree &= views.windows(2).all(|pair| pair.first() == pair.last());
        for told in views {
            found.v4.extend(told.v4);
            found.v6.extend(told.v6);
            let end = told.alias.as_ref().unwrap_or(&name);
            if told.absent {
                absent = Some(text(end));
            }
            if let Some(alias) = told.alias {
                found.target = Some(text(&alias));
                if told.elsewhere {
                    ahead.insert(alias);
                }
            }
        }
    }
    match absent {
        Some(name) if found.v4.is_empty() && found.v6.is_empty() => Ok(Addresses::NxDomain { name }),
        absent => {
            found.servers_agree &= absent.is_none();
            Ok(Addresses::Found(found))
        }
    }
}

/// What the servers of a name say about it: at least two of them when two give an answer that counts.
async fn views(name: &Name, questions: &Questions) -> Result<Vec<Told>, String> {
    let (mut zone, known) = Parent::holding(name.clone(), questions).await?.into_parts();
    let mut servers = delegated(&zone, known, questions).await;
    for _ in 0..=REFERRALS_MAX {
        match ask_some(&servers, name, &zone, questions).await {
            Replies::Referral(child, to) => (zone, servers) = (child, to),
            Replies::Views(views) if !views.is_empty() => return Ok(views),
            Replies::Views(_) => {
                let (name, zone) = (text(name), text(&zone));
                return Err(format!(
                    "no name server of {zone} gave a usable answer about {name}"
                ));
            }
        }
    }
    Err(format!("its delegations lead too far below {}", text(&zone)))
}

/// What some servers of one zone say together.
enum Replies {
    Views(Vec<Told>),
    Referral(Name, BTreeSet<Name>),
}

/// Asks servers until enough of them have told their view. Whoever stays silent is not waited for once the others have
/// said enough.
async fn ask_some(servers: &BTreeSet<Name>, name: &Name, zone: &Name, questions: &Questions) -> Replies {
    let all: Vec<_> = servers
        .iter()
        .map(|server| asked(server, name, zone, questions))
        .collect();
    let mut replies = pin!(stream::iter(all).buffer_unordered(ASKED_AT_ONCE));
    let mut views = Vec::new();
    while views.len() < VIEWS_WANTED
        && let Some(reply) = replies.next().await
    {
        match reply {
            Some(Reply::Told(told)) => views.push(told),
            Some(Reply::Referral(child, to)) => return Replies::Referral(child, to),
            None => {}
        }
    }
    Replies::Views(views)
}

/// The servers to which the zone above delegates: a resolver may still remember those from before a move. What it knows
/// is taken when the zone above does not say.
async fn delegated(zone: &Name, known: BTreeSet<Name>, questions: &Questions) -> BTreeSet<Name> {
    if zone.is_root() {
        return known;
    }
    let views = async { Parent::of(zone, questions).await?.views(zone, questions).await };
    // One silent server above must not cost the time for those below.
    let bound = questions.patience.attempt * questions.patience.attempts;
    let views = timeout(bound, views).await.unwrap_or_else(|_| Err(String::new()));
    let mut servers = BTreeSet::new();
    for view in views.unwrap_or_default() {
        if let View::Delegated(names) = view {
            servers.extend(
                names
                    .iter()
                    .filter_map(|name| Name::from_ascii(format!("{name}.")).ok()),
            );
        }
    }
    match servers.is_empty() {
        true => known,
        false => servers,
    }
}

/// Asks one server for both kinds of address; `None` unless it answers both in a way that counts.
async fn asked(server: &Name, name: &Name, zone: &Name, questions: &Questions) -> Option<Reply> {
    let (v4, v6) = (question(name, RecordType::A), question(name, RecordType::AAAA));
    let (v4, v6) = tokio::join!(questions.direct(server, &v4), questions.direct(server, &v6));
    match (read(&v4?, name, zone)?, read(&v6?, name, zone)?) {
        (Reply::Told(mut told), Reply::Told(other)) => {
            told.v6 = other.v6;
            Some(Reply::Told(told))
        }
        (referral @ Reply::Referral(..), _) | (_, referral) => Some(referral),
    }
}

/// Reads one answer about a name from a server of `zone`; `None` when it says nothing: a failure, or a server that does
/// not serve the zone.
fn read(answer: &Message, name: &Name, zone: &Name) -> Option<Reply> {
    let absent = match answer.metadata.response_code {
        ResponseCode::NoError => false,
        ResponseCode::NXDomain => true,
        _ => return None,
    };
    if !answer.metadata.authoritative {
        return referral(answer, name, zone);
    }
    let mut told = Told::default();
    let mut end = name;
    // Each record is one step at most, so that a circle ends as well.
    for _ in &answer.answers {
        let alias = answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *end => Some(&target.0),
            _ => None,
        });
        let Some(alias) = alias else { break };
        end = alias;
        if !zone.zone_of(alias) {
            told.elsewhere = true;
            break;
        }
    }
    told.alias = (end != name).then(|| end.clone());
    if told.elsewhere {
        return Some(Reply::Told(told));
    }
    for record in answer.answers.iter().filter(|record| record.name == *end) {
        match &record.data {
            RData::A(address) => told.v4.extend([address.0]),
            RData::AAAA(address) => told.v6.extend([address.0]),
            _ => {}
        }
    }
    told.absent = absent;
    // Below its own zone cut a server has no say, whatever the CNAME is: the target's servers must be asked.
    told.elsewhere = told.alias.is_some() && told.v4.is_empty() && told.v6.is_empty() && !absent;
    Some(Reply::Told(told))
}

/// A delegation on the way from `zone` down to `name`.
fn referral(answer: &Message, name: &Name, zone: &Name) -> Option<Reply> {
    let cut = answer.authorities.iter().find(|record| {
        record.record_type() == RecordType::NS
            && record.name != *zone
            && zone.zone_of(&record.name)
            && record.name.zone_of(name)
    })?;
    let servers = name_servers(&answer.authorities, &cut.name).cloned().collect();
    Some(Reply::Referral(cut.name.clone(), servers))
}
