use super::*;
use serde_json::json;

const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

fn config(json: Value) -> GuestConfig {
    serde_json::from_value(json).unwrap()
}

fn listing(json: Value) -> Result<Listing, ProviderError> {
    Listing::of(
        serde_json::from_value::<crate::providers::rows::Rows<ResourceRow>>(json)
            .unwrap()
            .0,
    )
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("20G", Some(20 << 30)),
        ("20GiB", Some(20 << 30)),
        ("512M", Some(512 << 20)),
        ("1.5T", Some(3 << 39)),
        ("4K", Some(4096)),
        ("4096", Some(4096)),
        ("20.5G", Some((41 << 30) / 2)),
        ("", None),
        ("G", None),
        ("20X", None),
        ("-1G", None),
        ("99999999999999T", None),
    ] {
        assert_eq!(parse_size(text), bytes, "{text}");
    }
}

#[test]
fn a_configuration_is_understood() {
    let mark = format!("hostwright:prod:{UID}");
    let seen = config(json!({
        "cores": 4, "memory": "2048", "hostname": "jane", "digest": "66c960",
        "rootfs": "drbdstorage:pm-1a2b3c4d_907,size=20484M",
        "net0": "name=eth0,bridge=vmbr0,hwaddr=8E:3C:EB:6F:A8:63,ip=10.0.0.7/24,gw=10.0.0.1,type=veth",
        "net1": "name=eth1,bridge=vmbr1,ip=dhcp",
        "net2": "name=eth2,bridge=vmbr2,ip=10.9.0.7/16,ip6=auto",
        "description": format!("WordPress of Jane\n{mark}\n"),
        "lxc": [["lxc.cgroup2.devices.allow", "c 226:0 rwm"]],
    }));
    assert_eq!(seen.number("memory"), Some(2048));
    assert_eq!(seen.number("cores"), Some(4));
    assert_eq!(seen.disk(), Gib(20));
    assert_eq!(seen.address("net0"), Some(Ipv4Addr::new(10, 0, 0, 7)));
    assert_eq!(
        seen.addresses(),
        BTreeSet::from([Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 9, 0, 7)])
    );
    assert_eq!(seen.mark(), Some(mark.parse().unwrap()));
    let machine =
        config(json!({"net0": "virtio=8E:3C,bridge=vmbr0", "ipconfig0": "ip=10.0.0.8/24,gw=10.0.0.1"}));
    assert_eq!(machine.addresses(), BTreeSet::from([Ipv4Addr::new(10, 0, 0, 8)]));
    assert_eq!(config(json!({})).disk(), Gib(0));
    assert_eq!(config(json!({"lock": "create"})).mark(), None);
}

#[test]
fn what_is_written_is_read_back() {
    let mark: OwnerMark = format!("hostwright:prod:{UID}").parse().unwrap();
    let description = description_for(&mark);
    assert_eq!(OwnerMark::find_in(&description), Some(mark.clone()));
    assert_eq!(description.lines().nth(1), Some(mark.to_string().as_str()));
    let tags = tags_for(&mark);
    assert_eq!(owner_of_tags(&tags), Some(mark.uid.clone()));
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    for tag in tags.split(';') {
        assert!(tag.starts_with(first));
        assert!(
            tag.chars().all(|c| first(c) || matches!(c, '.' | '+' | '-')),
            "{tag}"
        );
    }
    assert_eq!(owner_of_tags("hw-nobody;other"), None);
    let gateway = Ipv4Addr::new(10, 0, 0, 1);
    let address = Ipv4Addr::new(10, 0, 0, 7);
    assert_eq!(
        net0("vmbr0", address, 24, gateway, Some(12)),
        "name=eth0,bridge=vmbr0,ip=10.0.0.7/24,gw=10.0.0.1,tag=12"
    );
}

#[test]
fn environment_has_the_form_of_the_schema() {
    let of = |pairs: &[(&str, &str)]| {
        let map = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        environment(&map.collect())
    };
    assert_eq!(of(&[("B", "2=3"), ("A", "x y")]).unwrap(), "A=x y\0B=2=3");
    for bad in [("A-B", "x"), ("", "x"), ("A", "a\0b"), ("A", "a\nb")] {
        assert_eq!(of(&[bad]).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn usage_is_read_leniently() {
    let usage = |extra: Value| {
        let mut row =
            json!({"type": "lxc", "id": "lxc/733", "vmid": 733, "node": "pve", "status": "running"});
        row.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let seen = listing(json!([{"type": "node", "node": "pve", "status": "online"}, row])).unwrap();
        seen.guests[&Vmid::try_from(733).unwrap()].summary.usage
    };
    let used = |cpu_permille, memory_bytes, disk_bytes, uptime_seconds| {
        Some(Usage {
            cpu_permille,
            memory_bytes,
            disk_bytes,
            disk_size_bytes: None,
            uptime_seconds,
        })
    };
    let size = |maxdisk: u64| {
        usage(json!({"uptime": 1, "maxdisk": maxdisk}))
            .unwrap()
            .disk_size_bytes
    };
    assert_eq!(
        (size(0), size(20 << 30)),
        (None, Some(20 << 30)),
        "unknown is not full"
    );
    // As it was recorded.
    assert_eq!(
        usage(
            json!({"uptime": 81418, "cpu": 0.002_629_628_812_970_5, "mem": 74_940_416, "disk": 838_225_920})
        ),
        used(3, 74_940_416, 838_225_920, 81418)
    );
    assert_eq!(
        usage(json!({"uptime": "60", "cpu": "0.5", "mem": "1024"})),
        used(500, 1024, 0, 60)
    );
    assert_eq!(usage(json!({"uptime": 1, "cpu": 1.7})), used(1000, 0, 0, 1));
    for cpu in [json!(null), json!("NaN"), json!(-1), json!([])] {
        assert_eq!(usage(json!({"uptime": 1, "cpu": cpu})), used(0, 0, 0, 1), "{cpu}");
    }
    for none in [
        json!({}),
        json!({"uptime": 0, "cpu": 0.5}),
        json!({"uptime": null}),
    ] {
        assert_eq!(usage(none.clone()), None, "{none}");
    }
}

#[test]
fn the_cluster_list_is_lenient_about_metrics_only() {
    let seen = listing(json!([
        {"type": "node", "node": "pve1", "status": "online", "maxmem": 16668827648_u64, "maxcpu": 4, "id": "node/pve1"},
        {"type": "node", "node": "pve2", "status": "offline", "id": "node/pve2"},
        {"type": "storage", "storage": "drbd", "node": "pve1", "shared": 1, "status": "available"},
        {"type": "sdn", "sdn": "localnetwork", "node": "pve1", "status": "ok"},
        {"type": "pool", "pool": "wp", "id": "/pool/wp"},
        {"type": "lxc", "id": "lxc/907", "vmid": "907", "node": "pve1", "status": "unknown"},
        {"type": "lxc", "id": "lxc/908", "node": "pve1", "status": "running", "maxmem": "2147483648",
         "tags": format!("x;hw-{UID}"), "lock": "snapshot", "hastate": "error"},
        {"type": "qemu", "id": "qemu/101", "vmid": 101, "node": "pve2", "status": "stopped", "template": 1},
    ]))
    .unwrap();
    let guest = |id| &seen.guests[&Vmid::try_from(id).unwrap()];
    assert_eq!(guest(907).summary.running, None);
    assert_eq!(guest(908).summary.running, Some(true));
    assert_eq!(guest(908).summary.memory, Mib(2048));
    assert_eq!(guest(908).summary.lock.as_deref(), Some("snapshot"));
    assert_eq!(
        guest(908).summary.owner_hint.as_ref().map(ObjectUid::as_str),
        Some(UID)
    );
    assert_eq!(guest(908).ha_state.as_deref(), Some("error"));
    assert!(!guest(101).summary.is_container);
    assert!(seen.nodes["pve1"].online && !seen.nodes["pve2"].online);
    assert!(seen.storages[0].shared && seen.storages[0].available);
}

#[test]
fn a_list_that_hides_guests_is_no_list() {
    for bad in [
        json!([]),
        json!([{"type": "lxc", "vmid": 907, "node": "pve1"}]),
        json!([{"type": "node", "node": "pve1"}, {"type": "lxc", "node": "pve1"}]),
        json!([{"type": "node", "node": "pve1"}, {"type": "lxc", "vmid": 907}]),
    ] {
        assert_eq!(listing(bad).unwrap_err().kind(), ErrorKind::Unexpected);
    }
}
