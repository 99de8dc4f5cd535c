//! Which settled sites are not as bulk reads show the world. Pure; zones have theirs in `dns_zone/settled.rs`.

use std::collections::BTreeMap;

use crate::controllers::connections::{ProxyIndex, RecordIndex};
use crate::controllers::wordpress_site::settled::{Settled, is_named, is_served, record, runs};
use crate::domain::Fqdn;
use crate::providers::container_host::Survey;

/// Whether the container is gone, down, somebody else's, or on another node than it was seen on.
pub fn container_differs(site: &Settled, survey: &Survey) -> bool {
    let on = survey.guests.get(&site.reservation.vmid).map(|guest| &guest.node);
    !runs(&site.owner, &site.reservation, site.running, survey) || on != site.node.as_ref()
}

/// Whether the proxy host of the site's name or of one of its domains is gone or different.
pub fn host_differs(site: &Settled, index: &ProxyIndex) -> bool {
    let address = site.reservation.address;
    let mut names = std::iter::once(&site.reservation.host).chain(&site.domains);
    !names.all(|name| is_served(&site.owner, name, address, site.served, index))
}

/// How the records of sites shall be at one DNS host.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// Time to live in seconds.
    pub ttl: u32,
    /// Through the vendor's own proxy.
    pub proxied: bool,
}

/// Whether the record is gone or different. `address` is where the site's proxy is reached.
pub fn record_differs(
    site: &Settled,
    naming: Naming,
    address: std::net::Ipv4Addr,
    records: &RecordIndex,
) -> bool {
    let wanted = record(&site.reservation.host, address, naming.ttl, naming.proxied);
    !is_named(&site.owner, &wanted, records)
}

/// The entry of the longest of a domain and its parents that has one.
pub fn covering<'a, T>(zones: &'a BTreeMap<Fqdn, T>, domain: &Fqdn) -> Option<(&'a Fqdn, &'a T)> {
    let mut candidate = Some(domain.clone());
    while let Some(name) = candidate {
        if let Some(found) = zones.get_key_value(&name) {
            return Some(found);
        }
        candidate = name
            .as_str()
            .split_once('.')
            .and_then(|(_, parent)| parent.parse().ok());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    use crate::api::Suspension;
    use crate::controllers::wordpress_site::settled::Settled;
    use crate::domain::{Mib, Names, OwnerMark, Vmid};
    use crate::providers::container_host::GuestSummary;
    use crate::providers::dns_host::{Record, RecordId};
    use crate::providers::reverse_proxy::{CertificateId, ProxyHost, ProxyHostId, ProxyHostSpec};

    const NAMING: Naming = Naming {
        ttl: 300,
        proxied: false,
    };
    const PROXY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(203, 0, 113, 10);

    fn mark(number: u32) -> OwnerMark {
        format!("hostwright:a:{number:08x}-9d1f-4d6c-8f52-2f6f5e0a9b11")
            .parse()
            .unwrap()
    }

    fn vmid(number: u32) -> Vmid {
        Vmid::try_from(i64::from(5_000 + number)).unwrap()
    }

    fn site(number: u32) -> Settled {
        let good = |kind: &str| {
            serde_json::json!({
                "type": kind, "status": "True", "reason": "x", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let status = serde_json::json!({
            "subdomain": format!("s{number}"), "host": format!("s{number}.sites.example.com"),
            "vmid": 5_000 + number, "privateIp": "10.20.0.100", "reservedAt": "2026-01-01T00:00:00Z",
            "node": "pve1", "baseDomain": "sites.example.com",
            "providers": {"compute": "a", "proxy": "b", "dns": "c"},
            "conditions": [good("Ready"), good("Synced")],
        });
        let object = serde_json::json!({
            "metadata": {"name": format!("s{number}"), "namespace": "a", "uid": mark(number).uid.as_str()},
            "spec": {"serviceId": "a", "plan": "a", "owner": {"email": "a@example.com"}},
            "status": status,
        });
        let site = serde_json::from_value(object).unwrap();
        Settled::of(&mark(0).cluster, &site, Suspension::Notice).unwrap()
    }

    fn guest(number: u32) -> GuestSummary {
        GuestSummary {
            node: "pve1".to_owned(),
            is_container: true,
            running: Some(true),
            owner_hint: Some(mark(number).uid),
            memory: Mib(512),
            lock: None,
            usage: None,
        }
    }

    fn host(number: u32) -> ProxyHost {
        ProxyHost {
            id: ProxyHostId(u64::from(number) + 1),
            mark: Some(mark(number)),
            spec: ProxyHostSpec {
                domains: Names::from([site(number).reservation.host]),
                forward_address: site(number).reservation.address.into(),
                forward_port: 80,
                certificate: Some(CertificateId(1)),
                notice: None,
            },
            deviates: false,
            enabled: true,
            problem: None,
        }
    }

    fn named(number: u32) -> Record {
        Record {
            id: RecordId(number.to_string()),
            mark: Some(mark(number)),
            spec: record(&site(number).reservation.host, PROXY, 300, false),
        }
    }

    /// A change by hand to one of three containers, hosts and records.
    fn change(kind: u8, at: u32, survey: &mut Survey, index: &mut ProxyIndex, records: &mut RecordIndex) {
        let name = site(at).reservation.host;
        let guest = survey.guests.get_mut(&vmid(at)).unwrap();
        let host = index.hosts.get_mut(&name).unwrap();
        let named = records.get_mut(&(&name).into()).unwrap();
        match kind {
            0 => guest.running = Some(false),
            1 => guest.owner_hint = None,
            2 => guest.owner_hint = Some(mark(99).uid),
            3 => guest.node = "pve2".to_owned(),
            4 => guest.is_container = false,
            5 => guest.lock = Some("create".to_owned()),
            6 => drop(survey.guests.remove(&vmid(at))),
            7 => host.enabled = false,
            8 => host.mark = None,
            9 => host.deviates = true,
            10 => host.spec.certificate = None,
            11 => host.spec.forward_address = PROXY.into(),
            12 => host.problem = Some("x".to_owned()),
            13 => drop(index.hosts.remove(&name)),
            14 => named[0].mark = None,
            15 => named[0].spec.ttl = Some(60),
            16 => named.clear(),
            _ => named[0].spec.proxied = true,
        }
    }

    fn differing(survey: &Survey, index: &ProxyIndex, records: &RecordIndex) -> [Vec<u32>; 3] {
        let of = |differs: &dyn Fn(&Settled) -> bool| (0..3).filter(|at| differs(&site(*at))).collect();
        [
            of(&|site| container_differs(site, survey)),
            of(&|site| host_differs(site, index)),
            of(&|site| record_differs(site, NAMING, PROXY, records)),
        ]
    }

    #[test]
    fn a_domain_of_the_customer_is_compared_like_the_name_of_the_site() {
        let mut site = site(0);
        let shop: Fqdn = "shop.example.org".parse().unwrap();
        site.domains.push(shop.clone());
        let mut index = ProxyIndex::default();
        index.hosts.insert(site.reservation.host.clone(), host(0));
        assert!(host_differs(&site, &index), "it is missing");
        index.hosts.insert(shop.clone(), host(0));
        assert!(!host_differs(&site, &index));
        for change in [
            |host: &mut ProxyHost| host.mark = None,
            |host: &mut ProxyHost| host.enabled = false,
            |host: &mut ProxyHost| host.spec.notice = Some("x".to_owned()),
            |host: &mut ProxyHost| host.spec.forward_address = PROXY.into(),
        ] {
            let mut changed = host(0);
            change(&mut changed);
            index.hosts.insert(shop.clone(), changed);
            assert!(host_differs(&site, &index));
        }
    }

    proptest! {
        #[test]
        fn what_was_changed_differs_and_nothing_else(kind in 0_u8..18, at in 0_u32..3) {
            let mut survey = Survey::default();
            let (mut index, mut records) = (ProxyIndex::default(), RecordIndex::default());
            for number in 0..3 {
                survey.guests.insert(vmid(number), guest(number));
                let name = site(number).reservation.host;
                index.hosts.insert(name.clone(), host(number));
                records.insert((&name).into(), vec![named(number)]);
            }
            let nobody = [vec![], vec![], vec![]];
            prop_assert_eq!(differing(&survey, &index, &records), nobody.clone());
            change(kind, at, &mut survey, &mut index, &mut records);
            let mut expected = nobody;
            let place = match kind { 0..=6 => 0, 7..=13 => 1, _ => 2 };
            expected[place] = vec![at];
            prop_assert_eq!(differing(&survey, &index, &records), expected);
        }
    }

    #[test]
    fn names_stand_in_the_longest_zone_around_them() {
        let name = |text: &str| text.parse::<Fqdn>().unwrap();
        let zones = BTreeMap::from([(name("example.com"), 1), (name("sites.example.com"), 2)]);
        let zone = |domain: &str| covering(&zones, &name(domain)).map(|(_, number)| *number);
        assert_eq!(zone("sites.example.com"), Some(2));
        assert_eq!(zone("a.sites.example.com"), Some(2));
        assert_eq!(zone("other.example.com"), Some(1));
        assert_eq!(zone("example.org"), None);
    }
}
