//! `hostwright import sites`: a manifest for every container that somebody else made and visitors can reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;

use super::legacy::{self, LegacySite};
use super::{ImportError, harmless, quoted};
use crate::api::{ADOPT_ANNOTATION, WordPressPlan};
use crate::commands::session::{Access, Session};
use crate::config::ImportSitesOptions;
use crate::controllers::connections::Compute;
use crate::controllers::wordpress_site::{label_below, leading_to};
use crate::domain::{DnsLabel, Email, Fqdn, Vmid};
use crate::providers::ProviderError;
use crate::providers::container_host::{Container, Snapshot};
use crate::providers::reverse_proxy::ProxyHost;

/// Containers that are read at a time; the gate of the Provider limits calls further.
const READS: usize = 8;

/// One Plan that a site could have.
#[derive(Debug, Clone)]
struct Candidate {
    name: String,
    plan: WordPressPlan,
    base_domain: Fqdn,
}

/// A container and everything that leads to it.
#[derive(Debug, Clone)]
struct Seen {
    container: Container,
    snapshots: Vec<Snapshot>,
    legacy: Option<LegacySite>,
}

/// What the manifests are made of.
#[derive(Debug, Clone, Default)]
struct Import {
    provider: String,
    namespace: Option<String>,
    owner_email: Option<Email>,
    candidates: Vec<Candidate>,
    /// Hosts of the candidates' proxies, by Provider.
    hosts: BTreeMap<String, Vec<ProxyHost>>,
}

/// Prints a manifest for each site.
///
/// # Errors
/// When the cluster, a back-end or the older backend's table cannot be read, or no Plan names the Provider.
pub async fn sites(options: &ImportSitesOptions) -> Result<ExitCode, ImportError> {
    let mut table = match &options.legacy_database {
        Some(file) => legacy::read(file)?,
        None => BTreeMap::new(),
    };
    let session = Session::open(&options.session, Access::ReadOnly).await?;
    let provider = &options.provider;
    let compute = session.connections.of(provider)?.compute(provider)?;
    let candidates = candidates(&session, options)?;
    let mut hosts = BTreeMap::new();
    for proxy in candidates
        .iter()
        .map(|candidate| &candidate.plan.proxy)
        .collect::<BTreeSet<_>>()
    {
        let connection = session.connections.of(proxy)?.proxy(proxy)?;
        let survey = connection.proxy.survey().await;
        let survey = survey.map_err(|error| failed(proxy, &error))?;
        hosts.insert(proxy.clone(), survey.hosts);
    }
    let mut found = unmarked(&compute)
        .await
        .map_err(|error| failed(provider, &error))?;
    for seen in &mut found {
        seen.legacy = table.remove(&seen.container.id.get());
    }
    let import = Import {
        provider: provider.clone(),
        namespace: options.namespace.as_ref().map(ToString::to_string),
        owner_email: options.owner_email.clone(),
        candidates,
        hosts,
    };
    print!("{}", manifests(&import, &found, &table));
    Ok(ExitCode::SUCCESS)
}

fn failed(provider: &str, error: &ProviderError) -> ImportError {
    ImportError::Provider {
        provider: provider.to_owned(),
        message: error.message().to_owned(),
    }
}

/// The Plans that run sites at the Provider, or the one that was asked for.
fn candidates(session: &Session, options: &ImportSitesOptions) -> Result<Vec<Candidate>, ImportError> {
    let mut candidates = Vec::new();
    for plan in session.plans.each() {
        let name = plan.name_any();
        let Some(wordpress) = plan.spec.wordpress.clone() else {
            continue;
        };
        let asked = options.plan.as_ref().is_none_or(|asked| *asked == name);
        let base_domain = wordpress.base_domain.parse();
        if let (true, true, Ok(base_domain)) = (asked, wordpress.compute == options.provider, base_domain) {
            candidates.push(Candidate {
                name,
                plan: wordpress,
                base_domain,
            });
        }
    }
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    if candidates.is_empty() {
        let what = match &options.plan {
            Some(name) => format!(
                "there is no Plan {name} for sites at Provider {}",
                options.provider
            ),
            None => format!("no Plan runs sites at Provider {}", options.provider),
        };
        return Err(ImportError::Refused(format!("{what}; apply it first")));
    }
    Ok(candidates)
}

/// Every container without a mark, in the order of numbers.
async fn unmarked(compute: &Compute) -> Result<Vec<Seen>, ProviderError> {
    let survey = compute.host.survey().await?;
    let ids: Vec<Vmid> = survey
        .guests
        .iter()
        .filter(|(_, guest)| guest.is_container)
        .map(|(id, _)| *id)
        .collect();
    let read = |id| async move {
        let Some(container) = compute.host.container(id).await?.filter(|c| c.mark.is_none()) else {
            return Ok(None);
        };
        let snapshots = compute.host.snapshots(id).await?;
        Ok::<_, ProviderError>(Some(Seen {
            container,
            snapshots,
            legacy: None,
        }))
    };
    let seen: Vec<Option<Seen>> = futures::stream::iter(ids)
        .map(read)
        .buffered(READS)
        .try_collect()
        .await?;
    Ok(seen.into_iter().flatten().collect())
}

/// All manifests, and what has none.
fn manifests(import: &Import, found: &[Seen], without_container: &BTreeMap<u32, LegacySite>) -> String {
    let mut text = String::new();
    let mut left = Vec::new();
    let mut names = BTreeSet::new();
    for seen in found {
        match site(import, seen) {
            Err(why) => left.push((seen, why)),
            Ok(site) => {
                let suffix = seen.container.id.to_string().parse::<DnsLabel>().ok();
                let name = match (names.insert(site.label.clone()), suffix) {
                    (false, Some(suffix)) => site.label.with_suffix(&suffix).to_string(),
                    _ => site.label.to_string(),
                };
                // Writing into a text cannot fail.
                let _ = write_site(&mut text, import, seen, &site, &name);
            }
        }
    }
    for (seen, why) in left {
        let Container { id, hostname, .. } = &seen.container;
        let _ = writeln!(text, "# Left out: container {id} ({}): {why}", harmless(hostname));
    }
    for (vmid, site) in without_container {
        let service = site.service_id.as_deref().unwrap_or("none");
        let _ = writeln!(
            text,
            "# Left out: the table has a site with container {vmid}, service {}, but Provider {} has no such container without a mark",
            harmless(service),
            import.provider
        );
    }
    if text.is_empty() {
        let _ = writeln!(
            text,
            "# Provider {} has no container without a mark",
            import.provider
        );
    }
    text
}

/// A site that can be taken over.
struct Site<'a> {
    label: DnsLabel,
    host: Fqdn,
    candidate: &'a Candidate,
    service_id: String,
    email: String,
    /// Further hosts that lead to the container.
    others: Vec<ProxyHost>,
}

fn site<'a>(import: &'a Import, seen: &Seen) -> Result<Site<'a>, String> {
    let address = seen
        .container
        .address
        .ok_or("it has no static IPv4 address at its first interface, net0")?;
    let leading = |proxy: &str| leading_to(import.hosts.get(proxy).into_iter().flatten(), address);
    let named = import.candidates.iter().filter_map(|candidate| {
        let hosts = leading(&candidate.plan.proxy);
        let own: Vec<(DnsLabel, Fqdn)> = hosts
            .iter()
            .flat_map(|host| &host.spec.domains)
            .filter_map(|name| Some((label_below(&candidate.base_domain, name)?, name.clone())))
            .collect();
        let first = own.into_iter().min_by(|a, b| a.1.cmp(&b.1))?;
        Some((candidate, first, hosts))
    });
    let named: Vec<_> = named.collect();
    let legacy = seen.legacy.as_ref();
    let asked = legacy.and_then(|legacy| legacy.plan.as_deref());
    let best = named.into_iter().min_by_key(|(candidate, ..)| {
        let plan_of_table = Some(candidate.name.as_str()) == asked;
        (!plan_of_table, misfit(&candidate.plan, &seen.container))
    });
    let Some((candidate, (label, host), hosts)) = best else {
        let bases: BTreeSet<&str> = import.candidates.iter().map(|c| c.base_domain.as_str()).collect();
        let bases: Vec<&str> = bases.into_iter().collect();
        return Err(format!(
            "no proxy host of a name below {} leads to {address}",
            bases.join(" or ")
        ));
    };
    let email = legacy.and_then(|legacy| legacy.email.clone());
    let email = email.or_else(|| import.owner_email.as_ref().map(ToString::to_string));
    let email = email.ok_or("whose it is, is not known; give --owner-email or --legacy-database")?;
    let service_id = legacy.and_then(|legacy| legacy.service_id.clone());
    Ok(Site {
        service_id: service_id.unwrap_or_else(|| format!("imported-{}", seen.container.id)),
        others: hosts
            .into_iter()
            .filter(|other| !other.spec.domains.contains(&host))
            .collect(),
        label,
        host,
        candidate,
        email,
    })
}

/// How far a Plan is from what a container has: first what could never be brought to it, then MiB, GiB and cores.
fn misfit(plan: &WordPressPlan, container: &Container) -> (bool, u32, u32, u32) {
    let number = |number: i32| u32::try_from(number).unwrap_or_default();
    (
        container.disk.0 > number(plan.disk_gib),
        container.memory.0.abs_diff(number(plan.memory_mib)),
        container.disk.0.abs_diff(number(plan.disk_gib)),
        container.cores.abs_diff(number(plan.cores)),
    )
}

/// What the Plan would change about the container.
fn changes(plan: &WordPressPlan, container: &Container) -> Vec<String> {
    let number = |number: i32| u32::try_from(number).unwrap_or_default();
    let mut changes = Vec::new();
    for (what, unit, is, wanted) in [
        ("memory", "MiB", container.memory.0, number(plan.memory_mib)),
        ("swap", "MiB", container.swap.0, number(plan.swap_mib)),
        ("cores", "", container.cores, number(plan.cores)),
        ("disk", "GiB", container.disk.0, number(plan.disk_gib)),
    ] {
        if is == wanted {
            continue;
        }
        let change = match what == "disk" && is > wanted {
            true => format!("the disk of {is} GiB stays, for none can shrink to {wanted} GiB"),
            false => format!("{what} {is} -> {wanted} {unit}").trim_end().to_owned(),
        };
        changes.push(change);
    }
    if plan.high_availability && container.high_availability.is_none() {
        changes.push("high availability is set up".to_owned());
    }
    changes
}

fn write_site(
    text: &mut String,
    import: &Import,
    seen: &Seen,
    site: &Site<'_>,
    name: &str,
) -> std::fmt::Result {
    writeln!(text, "---")?;
    comments(text, seen, site)?;
    writeln!(
        text,
        "apiVersion: hostwright.dev/v1alpha1\nkind: WordPressSite\nmetadata:\n  name: {}",
        quoted(name)
    )?;
    if let Some(namespace) = &import.namespace {
        writeln!(text, "  namespace: {}", quoted(namespace))?;
    }
    let id = seen.container.id.to_string();
    writeln!(text, "  annotations:\n    {ADOPT_ANNOTATION}: {}", quoted(&id))?;
    writeln!(text, "spec:\n  serviceId: {}", quoted(&site.service_id))?;
    writeln!(text, "  plan: {}", quoted(&site.candidate.name))?;
    writeln!(text, "  subdomain: {}", quoted(site.label.as_str()))?;
    writeln!(text, "  owner:\n    email: {}", quoted(&site.email))?;
    if !seen.container.running {
        writeln!(
            text,
            "  # The container is stopped. Nothing is taken over until this is false; then it is started.\n  suspended: true"
        )?;
    }
    let domains = seen.legacy.as_ref().map(|legacy| legacy.domains.as_slice());
    let domains = domains.unwrap_or_default();
    if !domains.is_empty() {
        writeln!(text, "  domains:")?;
    }
    for domain in domains {
        let served = site.others.iter().find(|host| {
            let mut names = host.spec.domains.iter();
            names.any(|name| name.as_str() == domain.to_ascii_lowercase())
        });
        let remark = match served {
            Some(host) => format!(
                " # proxy host {} serves it today and is left alone; remove that host when the site shall serve it",
                host.id.0
            ),
            None => String::new(),
        };
        writeln!(text, "    - {}{remark}", quoted(domain))?;
    }
    Ok(())
}

/// What was found, and what a person must check.
fn comments(text: &mut String, seen: &Seen, site: &Site<'_>) -> std::fmt::Result {
    let Container {
        id,
        node,
        hostname,
        memory,
        cores,
        disk,
        ..
    } = &seen.container;
    writeln!(
        text,
        "# {}: container {id} ({}) on node {node}, {cores} cores, {memory} memory, {disk} disk. Applied like this, the\n# object takes it over as it runs; see what it would do before: hostwright plan -f FILE",
        site.host,
        harmless(hostname)
    )?;
    if !seen.snapshots.is_empty() {
        let names: Vec<&str> = seen
            .snapshots
            .iter()
            .map(|snapshot| snapshot.name.as_str())
            .collect();
        writeln!(text, "# Its snapshots stay: {}", harmless(&names.join(", ")))?;
    }
    let changes = changes(&site.candidate.plan, &seen.container);
    if !changes.is_empty() {
        writeln!(
            text,
            "# Check: Plan {} changes {}",
            site.candidate.name,
            changes.join(", ")
        )?;
    }
    let legacy = seen.legacy.as_ref();
    match legacy.and_then(|legacy| legacy.plan.as_deref()) {
        Some(plan) if plan != site.candidate.name => {
            writeln!(text, "# Check: the table says plan {}", harmless(plan))?;
        }
        _ => {}
    }
    if legacy.is_none_or(|legacy| legacy.service_id.is_none()) {
        writeln!(
            text,
            "# Check: serviceId cannot be changed later; it is the billing panel's key"
        )?;
    }
    if legacy.is_none_or(|legacy| legacy.email.is_none()) {
        writeln!(text, "# Check: the owner's mail address is only the default")?;
    }
    for other in &site.others {
        let names: Vec<&str> = other.spec.domains.iter().map(Fqdn::as_str).collect();
        let names = harmless(&names.join(", "));
        writeln!(
            text,
            "# Check: proxy host {} leads {names} here too and is not taken over",
            other.id.0
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
