//! What sites use, for metrics: looked up in the last bulk read of each container host when somebody asks for the
//! metrics. So graphs are as fresh as the youngest read, whoever made it, and cost no call and no write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use super::Sweeper;
use crate::api::WordPressSite;
use crate::domain::{ObjectUid, Vmid};
use crate::providers::container_host::{GuestSummary, Survey};
use crate::runtime::metrics::SiteSample;

const BYTES_PER_MIB: u64 = 1024 * 1024;

/// Until when a read tells anything: one sweep may fail, and each comes up to a tenth of the interval later. A graph
/// shall have a gap then and not a line that nobody has measured.
fn lasts(every: Duration) -> Duration {
    every * 5 / 2
}

impl Sweeper {
    /// What every site uses whose container runs and was seen lately, by namespace and name.
    pub fn usage(&self) -> Vec<SiteSample> {
        let mut surveys = BTreeMap::new();
        for provider in self.providers.each() {
            let name = provider.name_any();
            let fresh = self
                .connections
                .latest_survey(&name)
                .filter(|(begun, _)| begun.elapsed() <= lasts(provider.spec.sweep_every()));
            surveys.extend(fresh.map(|(_, survey)| (name, survey)));
        }
        let sites = self.roll.sites().into_iter();
        samples(sites.filter_map(|kept| kept.open()), &surveys)
    }
}

/// The samples of sites, given the last reads by name of the Provider. Pure.
fn samples(
    sites: impl Iterator<Item = Arc<WordPressSite>>,
    surveys: &BTreeMap<String, Arc<Survey>>,
) -> Vec<SiteSample> {
    let mut samples: Vec<SiteSample> = sites.filter_map(|site| sample(&site, surveys)).collect();
    samples.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    samples
}

fn sample(site: &WordPressSite, surveys: &BTreeMap<String, Arc<Survey>>) -> Option<SiteSample> {
    let status = site.status.as_ref()?;
    let survey = surveys.get(&status.providers.as_ref()?.compute)?;
    let id = Vmid::try_from(i64::from(status.vmid?)).ok()?;
    let uid: ObjectUid = site.uid()?.parse().ok()?;
    let guest = survey.guests.get(&id).filter(|guest| is_of(guest, &uid))?;
    let usage = guest.usage.as_ref()?;
    Some(SiteSample {
        namespace: site.namespace().unwrap_or_default(),
        name: site.name_any(),
        cpu_ratio: f64::from(usage.cpu_permille) / 1000.0,
        memory_bytes: usage.memory_bytes,
        memory_limit_bytes: u64::from(guest.memory.0).saturating_mul(BYTES_PER_MIB),
        disk_bytes: usage.disk_bytes,
        disk_limit_bytes: usage.disk_size_bytes,
        uptime_seconds: usage.uptime_seconds,
    })
}

/// A number that somebody else's guest has by now is not the site's.
fn is_of(guest: &GuestSummary, uid: &ObjectUid) -> bool {
    guest.is_container && guest.owner_hint.as_ref() == Some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Mib;
    use crate::providers::container_host::Usage;

    const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
    const OTHER: &str = "1b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

    fn site(name: &str) -> Arc<WordPressSite> {
        let object = serde_json::json!({
            "metadata": {"name": name, "namespace": "customers", "uid": UID},
            "spec": {"serviceId": "a", "plan": "a", "owner": {"email": "a@example.com"}},
            "status": {"vmid": 5000, "providers": {"compute": "pve", "proxy": "b", "dns": "c"}},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn seen(change: impl FnOnce(&mut GuestSummary)) -> BTreeMap<String, Arc<Survey>> {
        let mut guest = GuestSummary {
            node: "pve1".to_owned(),
            is_container: true,
            running: Some(true),
            owner_hint: Some(UID.parse().unwrap()),
            memory: Mib(2048),
            lock: None,
            usage: Some(Usage {
                cpu_permille: 125,
                memory_bytes: 512 << 20,
                disk_bytes: 3 << 30,
                disk_size_bytes: Some(20 << 30),
                uptime_seconds: 60,
            }),
        };
        change(&mut guest);
        let mut survey = Survey::default();
        survey.guests.insert(Vmid::try_from(5000).unwrap(), guest);
        BTreeMap::from([("pve".to_owned(), Arc::new(survey))])
    }

    #[test]
    fn a_site_is_told_of_by_what_its_own_container_uses() {
        let sites = [site("bakery")];
        let told = samples(sites.iter().cloned(), &seen(|_| {}));
        assert_eq!(
            told,
            [SiteSample {
                namespace: "customers".to_owned(),
                name: "bakery".to_owned(),
                cpu_ratio: 0.125,
                memory_bytes: 512 << 20,
                memory_limit_bytes: 2 << 30,
                disk_bytes: 3 << 30,
                disk_limit_bytes: Some(20 << 30),
                uptime_seconds: 60,
            }]
        );
        for change in [
            |guest: &mut GuestSummary| guest.usage = None,
            |guest: &mut GuestSummary| guest.owner_hint = None,
            |guest: &mut GuestSummary| guest.owner_hint = Some(OTHER.parse().unwrap()),
            |guest: &mut GuestSummary| guest.is_container = false,
        ] {
            assert_eq!(samples(sites.iter().cloned(), &seen(change)), []);
        }
        assert_eq!(
            samples(sites.iter().cloned(), &BTreeMap::new()),
            [],
            "nobody has looked lately"
        );
        assert_eq!(samples(std::iter::empty(), &seen(|_| {})), [], "the site is gone");
    }
}
