//! `hostwright orphans`: what carries the mark of this cluster outside but belongs to no object, and what to do about
//! it. Deleting is for one thing at a time, asked for by name, after a fresh look.

mod removal;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;

use super::question::confirmed;
use super::session::{Access, Session, SessionError, title, words};
use crate::api::{DnsZone, WordPressSite};
use crate::config::{OrphansOptions, OutputFormat};
use crate::controllers::connections::{Backend, Compute, Dns, Proxy};
use crate::controllers::sweeper::inventory::{Orphan, Owners, Tally, Thing};
use crate::controllers::sweeper::{base_domains, covering, tally_of_containers};
use crate::domain::Fqdn;
use crate::providers::ErrorKind;
use crate::providers::dns_host::ZoneId;

/// Objects per page of a list.
const PAGE: u32 = 500;

/// The command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OrphansError {
    /// The cluster could not be read.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Something that is asked for cannot be done; the whole sentence.
    #[error("{0}")]
    Refused(String),
    /// The output was closed.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// One thing that was left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What `--delete` takes.
    pub name: String,
    /// Name of the Provider.
    pub provider: String,
    /// What it is, for people.
    pub what: String,
    /// The mark that it carries.
    pub mark: String,
    /// What to do.
    pub advice: String,
    #[serde(skip)]
    orphan: Orphan,
}

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What was left behind, by Provider.
    pub orphans: Vec<Entry>,
    /// What could not be read, so that more may be there.
    pub problems: Vec<String>,
}

/// Runs the command; the answer is the exit code: 0 without orphans, 2 with some, 1 when something could not be read
/// and nothing was found elsewhere.
///
/// # Errors
/// When the cluster cannot be read, or a deletion is not possible.
pub async fn orphans(options: &OrphansOptions, out: &mut (impl Write + Send)) -> Result<u8, OrphansError> {
    if let Some(name) = &options.delete {
        delete(options, name, out).await?;
        return Ok(0);
    }
    let session = Session::open(&options.session, Access::ReadOnly).await?;
    let report = find(&session, options.provider.as_deref()).await?;
    match options.output {
        OutputFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(match (report.orphans.is_empty(), report.problems.is_empty()) {
        (false, _) => 2,
        (true, false) => 1,
        (true, true) => 0,
    })
}

fn print(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    for problem in &report.problems {
        writeln!(out, "Not all could be read: {problem}")?;
    }
    if report.orphans.is_empty() && report.problems.is_empty() {
        return writeln!(
            out,
            "Nothing carries the mark of this cluster without belonging to an object."
        );
    }
    for entry in &report.orphans {
        writeln!(
            out,
            "{}\n  {}, {}\n  {}",
            entry.name, entry.what, entry.mark, entry.advice
        )?;
    }
    Ok(())
}

/// Looks at the back-ends of all Providers, or of one.
///
/// # Errors
/// When the objects of the cluster cannot be listed, or there is no such Provider.
pub async fn find(session: &Session, only: Option<&str>) -> Result<Report, OrphansError> {
    let mut names: Vec<String> = session
        .providers
        .each()
        .map(|provider| provider.name_any())
        .filter(|name| only.is_none_or(|only| only == name))
        .collect();
    names.sort();
    if let (Some(only), true) = (only, names.is_empty()) {
        return Err(OrphansError::Refused(format!("Provider {only} does not exist")));
    }
    let mut report = Report::default();
    for name in names {
        let backend = match session.connections.of(&name) {
            Ok(connection) => connection.backend,
            Err(refusal) => {
                report.problems.push(refusal.message);
                continue;
            }
        };
        let before = uids(session).await?;
        let tally = match backend {
            Backend::Compute(compute) => containers(session, &compute, before).await,
            Backend::Proxy(proxy) => hosts(session, &proxy, before).await,
            Backend::Dns(dns) => records(session, &dns, before, &mut report.problems).await,
        };
        match tally {
            Ok(mut tally) => {
                // Objects are listed again when all is read: what was made meanwhile has its owner.
                tally.judge_again(&owners(session, uids(session).await?));
                let entries = tally.orphans.into_iter().map(|orphan| entry(&name, orphan));
                report.orphans.extend(entries);
            }
            Err(problem) => report.problems.push(format!("Provider {name}: {problem}")),
        }
    }
    Ok(report)
}

fn entry(provider: &str, orphan: Orphan) -> Entry {
    let name = format!("{provider}/{}", orphan.thing.name());
    let keep = match orphan.thing {
        Thing::Container(..) => {
            "take the mark out of its description and its tags in Proxmox VE, and it is nobody's business but yours"
        }
        Thing::Host(..) => {
            "save it once in Nginx Proxy Manager's own interface under another account, or make it anew"
        }
        Thing::Record(..) => "take the mark out of its comment at the DNS host",
    };
    Entry {
        advice: format!(
            "Its object is gone: deleted with deletionPolicy Retain, or lost. To remove it: hostwright orphans --delete {name}. To keep it: {keep}."
        ),
        name,
        provider: provider.to_owned(),
        what: orphan.thing.to_string(),
        mark: orphan.mark.to_string(),
        orphan,
    }
}

/// UIDs of all objects in all namespaces, whatever the operator serves and whether or not they can be understood.
async fn uids(session: &Session) -> Result<BTreeSet<String>, OrphansError> {
    let sites = uids_of::<WordPressSite>(session, "WordPressSites in all namespaces");
    let zones = uids_of::<DnsZone>(session, "DnsZones in all namespaces");
    let (mut sites, zones) = futures::try_join!(sites, zones)?;
    sites.extend(zones);
    Ok(sites)
}

async fn uids_of<K>(session: &Session, what: &str) -> Result<BTreeSet<String>, OrphansError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let api: Api<K> = Api::all(session.client.clone());
    let mut uids = BTreeSet::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api
            .list_metadata(&params)
            .await
            .map_err(|error| SessionError::List {
                what: what.to_owned(),
                reason: words(&error),
            })?;
        uids.extend(page.items.iter().filter_map(ResourceExt::uid));
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(uids);
        }
    }
}

fn owners(session: &Session, uids: BTreeSet<String>) -> Owners {
    Owners {
        cluster: session.cluster.clone(),
        uids,
        complete: true,
    }
}

type Counted = Result<Tally, String>;

async fn containers(session: &Session, compute: &Compute, uids: BTreeSet<String>) -> Counted {
    let survey = compute.survey(Duration::ZERO).await;
    let survey = survey.map_err(|error| error.message().to_owned())?;
    let owners = owners(session, uids);
    let tally = tally_of_containers(compute, &survey, &owners, &mut Default::default()).await;
    tally.map_err(|obstacle| obstacle.message)
}

async fn hosts(session: &Session, proxy: &Proxy, uids: BTreeSet<String>) -> Counted {
    let index = proxy.survey(Duration::ZERO).await;
    let index = index.map_err(|error| error.message().to_owned())?;
    let mut tally = Tally::default();
    tally.take_hosts(&owners(session, uids), &index);
    Ok(tally)
}

/// Records carry marks at some hosts only. Looked at are the zones of objects and those that hold the names of sites.
async fn records(
    session: &Session,
    dns: &Dns,
    uids: BTreeSet<String>,
    problems: &mut Vec<String>,
) -> Counted {
    let mut tally = Tally::default();
    if !dns.dns.abilities().marks {
        return Ok(tally);
    }
    let owners = owners(session, uids);
    for zone in zones(session, dns).await? {
        match dns.read_records(&zone).await {
            Ok(records) => tally.take_records(&owners, &zone, &records),
            Err(error) => problems.push(format!("Provider {}: {}", dns.name, error.message())),
        }
    }
    Ok(tally)
}

async fn zones(session: &Session, dns: &Dns) -> Result<BTreeSet<ZoneId>, String> {
    let list = match dns.zone_list.all(dns.dns.as_ref(), Duration::ZERO).await {
        Ok(list) => list,
        Err(error) if error.kind() == ErrorKind::Denied => Default::default(),
        Err(error) => return Err(error.message().to_owned()),
    };
    let mut domains: BTreeSet<Fqdn> = base_domains(session.plans.each(), &dns.name);
    for site in session.sites.each() {
        let status = site.status.as_ref();
        let here = status
            .and_then(|status| status.providers.as_ref())
            .is_some_and(|p| p.dns == dns.name);
        let domain = status.and_then(|status| status.base_domain.as_deref());
        domains.extend(
            domain
                .filter(|_| here)
                .and_then(|domain| domain.parse::<Fqdn>().ok()),
        );
    }
    let mut ids = BTreeSet::new();
    for domain in &domains {
        match covering(&list, domain) {
            Some((_, zone)) => drop(ids.insert(zone.id.clone())),
            None => ids.extend(
                dns.zone_for(domain)
                    .await
                    .map_err(|error| error.message().to_owned())?,
            ),
        }
    }
    for object in session.zones.each() {
        let claimed = object.status.as_ref().and_then(|status| status.zone_id.clone());
        ids.extend(claimed.filter(|_| object.spec.provider == dns.name).map(ZoneId));
    }
    Ok(ids)
}

/// Deletes one orphan, asked for by its whole name.
async fn delete(
    options: &OrphansOptions,
    name: &str,
    out: &mut (impl Write + Send),
) -> Result<(), OrphansError> {
    let refused = |words: String| Err(OrphansError::Refused(words));
    let Some((provider, _)) = name.split_once('/') else {
        return refused(format!(
            "{name} names nothing; write it as `hostwright orphans` shows it"
        ));
    };
    let session = Session::open(&options.session, Access::ReadOnly).await?;
    let entry = one(&session, provider, name).await?;
    if !options.yes {
        if !std::io::stdin().is_terminal() {
            return refused(format!(
                "{name} is not deleted without a question; at no terminal, say --yes"
            ));
        }
        let question = format!("{} ({}) is deleted for good.", entry.what, entry.mark);
        if !confirmed(&question, out).await? {
            return refused("Nothing was deleted.".to_owned());
        }
    }
    // An answer takes its time, and the world moves on.
    let session = Session::open(&options.session, Access::ReadWrite).await?;
    let fresh = one(&session, provider, name).await?;
    if fresh.orphan.mark != entry.orphan.mark {
        return refused(format!(
            "{name} has changed its owner meanwhile; nothing was deleted"
        ));
    }
    let connection = session.connections.of(provider);
    let backend = connection
        .map_err(|refusal| OrphansError::Refused(refusal.message))?
        .backend;
    removal::remove(&backend, &fresh.orphan)
        .await
        .map_err(|words| OrphansError::Refused(format!("{}: {words}", fresh.what)))?;
    Ok(writeln!(out, "{} is deleted.", fresh.what)?)
}

async fn one(session: &Session, provider: &str, name: &str) -> Result<Entry, OrphansError> {
    let report = find(session, Some(provider)).await?;
    let Some(entry) = report.orphans.into_iter().find(|entry| entry.name == name) else {
        let problems = report.problems.join(" ");
        return Err(OrphansError::Refused(
            format!("{name} is no orphan, or none any more; nothing was deleted. {problems}")
                .trim_end()
                .to_owned(),
        ));
    };
    // An object that was restored from a copy has another UID, and its status still names what was its own.
    if let Some(site) = session
        .sites
        .each()
        .find(|site| is_named_by(site, provider, &entry.orphan.thing))
    {
        return Err(OrphansError::Refused(format!(
            "{name} carries another mark, but the status of WordPressSite {} names it; nothing was deleted",
            title(site.as_ref())
        )));
    }
    Ok(entry)
}

fn is_named_by(site: &WordPressSite, provider: &str, thing: &Thing) -> bool {
    let Some(status) = &site.status else { return false };
    let Some(providers) = &status.providers else {
        return false;
    };
    let host = status.host.as_deref();
    match thing {
        Thing::Container(id, _) => {
            providers.compute == provider
                && status.vmid.and_then(|id| u32::try_from(id).ok()) == Some(id.get())
        }
        Thing::Host(_, names) => {
            providers.proxy == provider && names.iter().any(|name| host == Some(name.as_str()))
        }
        Thing::Record(_, record) => {
            providers.dns == provider && host.is_some_and(|host| record.spec.name.to_string() == host)
        }
    }
}
