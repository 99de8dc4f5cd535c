//! What is printed for what was found.

use super::*;
use crate::api::WordPressSite;
use crate::domain::{Gib, Mib};
use crate::providers::reverse_proxy::{ProxyHostId, ProxyHostSpec};

fn candidate(name: &str, memory_mib: i32, disk_gib: i32) -> Candidate {
    let plan = serde_json::json!({
        "memoryMib": memory_mib, "diskGib": disk_gib, "compute": "pve", "proxy": "npm", "dns": "cf",
        "baseDomain": "sites.example.com", "highAvailability": false,
    });
    Candidate {
        name: name.to_owned(),
        plan: serde_json::from_value(plan).unwrap(),
        base_domain: "sites.example.com".parse().unwrap(),
    }
}

fn host(id: u64, names: &[&str], address: &str) -> ProxyHost {
    ProxyHost {
        id: ProxyHostId(id),
        mark: None,
        spec: ProxyHostSpec {
            domains: names.iter().map(|name| name.parse().unwrap()).collect(),
            forward_address: address.parse().unwrap(),
            forward_port: 80,
            certificate: None,
            notice: None,
        },
        deviates: false,
        enabled: true,
        problem: None,
    }
}

fn seen(id: i64, memory: u32, disk: u32) -> Seen {
    Seen {
        container: Container {
            id: Vmid::try_from(id).unwrap(),
            node: "pve1".to_owned(),
            mark: None,
            running: true,
            lock: None,
            hostname: "old\nshop".to_owned(),
            address: Some(std::net::Ipv4Addr::new(10, 0, 0, u8::try_from(id - 100).unwrap())),
            memory: Mib(memory),
            swap: Mib(512),
            cores: 2,
            disk: Gib(disk),
            deviates: false,
            network_deviates: false,
            usage: None,
            high_availability: None,
        },
        snapshots: Vec::new(),
        legacy: None,
    }
}

fn import() -> Import {
    let hosts = vec![
        host(3, &["jane.sites.example.com"], "10.0.0.17"),
        host(4, &["shop.example"], "10.0.0.17"),
        host(5, &["june.sites.example.com"], "10.0.0.18"),
        host(6, &["elsewhere.example"], "10.0.0.19"),
    ];
    Import {
        provider: "pve".to_owned(),
        namespace: Some("shop".to_owned()),
        owner_email: "owner@example.com".parse().ok(),
        candidates: vec![candidate("basic", 2048, 20), candidate("premium", 8192, 80)],
        hosts: BTreeMap::from([("npm".to_owned(), hosts)]),
    }
}

fn parsed(text: &str) -> Vec<WordPressSite> {
    let documents = text.split("---\n").skip(1);
    documents
        .map(|document| serde_yaml::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}")))
        .collect()
}

#[test]
fn each_container_that_can_be_reached_has_a_manifest() {
    let mut jane = seen(117, 2048, 20);
    jane.legacy = Some(LegacySite {
        service_id: Some("41".to_owned()),
        email: Some("jane@example.com".to_owned()),
        plan: Some("basic".to_owned()),
        domains: vec!["shop.example".to_owned(), "blog.example".to_owned()],
    });
    let mut june = seen(118, 6000, 60);
    june.container.running = false;
    let lost = BTreeMap::from([(150, LegacySite::default())]);
    let text = manifests(&import(), &[jane, june, seen(119, 512, 8)], &lost);
    let sites = parsed(&text);
    let [jane, june] = sites.as_slice() else {
        panic!("{text}")
    };
    assert_eq!(
        jane.metadata.annotations.as_ref().unwrap()[ADOPT_ANNOTATION],
        "117"
    );
    assert_eq!(
        (jane.metadata.name.as_deref(), jane.metadata.namespace.as_deref()),
        (Some("jane"), Some("shop"))
    );
    assert_eq!(
        (jane.spec.service_id.as_str(), jane.spec.owner.email.as_str()),
        ("41", "jane@example.com")
    );
    assert_eq!(
        (jane.spec.plan.as_str(), jane.spec.subdomain.as_deref()),
        ("basic", Some("jane"))
    );
    assert_eq!(jane.spec.domains, ["shop.example", "blog.example"]);
    assert!(!jane.spec.suspended);
    assert_eq!(
        (june.spec.service_id.as_str(), june.spec.owner.email.as_str()),
        ("imported-118", "owner@example.com")
    );
    assert_eq!((june.spec.plan.as_str(), june.spec.suspended), ("premium", true));
    for said in [
        "proxy host 4 serves it today",
        "# Check: proxy host 4 leads shop.example here too",
        "# Check: Plan premium changes memory 6000 -> 8192 MiB, disk 60 -> 80 GiB",
        "# Check: the owner's mail address is only the default",
        "# Left out: container 119 (old shop): no proxy host of a name below sites.example.com leads to 10.0.0.19",
        "# Left out: the table has a site with container 150",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(
        manifests(&import(), &[], &BTreeMap::new()),
        "# Provider pve has no container without a mark\n"
    );
}

#[test]
fn the_plan_that_fits_best_is_taken() {
    let plans = import().candidates;
    let best = |memory, disk| {
        let seen = seen(117, memory, disk);
        site(&import(), &seen)
            .map(|site| site.candidate.name.clone())
            .unwrap()
    };
    assert_eq!(plans.len(), 2);
    for (memory, disk, name) in [
        (2048, 20, "basic"),
        (5120, 20, "basic"),
        (5121, 20, "premium"),
        // A disk cannot shrink.
        (2048, 21, "premium"),
        (2048, 81, "basic"),
    ] {
        assert_eq!(best(memory, disk), name, "{memory} MiB, {disk} GiB");
    }
    let mut table = seen(117, 8192, 80);
    table.legacy = Some(LegacySite {
        plan: Some("basic".to_owned()),
        ..LegacySite::default()
    });
    assert_eq!(site(&import(), &table).unwrap().candidate.name, "basic");
}

#[test]
fn without_an_owner_there_is_no_manifest() {
    let import = Import {
        owner_email: None,
        ..import()
    };
    let text = manifests(&import, &[seen(117, 2048, 20)], &BTreeMap::new());
    assert!(
        text.contains("--owner-email") && parsed(&text).is_empty(),
        "{text}"
    );
}
