//! Sites: container, proxy host and record.

use std::net::Ipv4Addr;

use hostwright::stage::{CLOUDFLARE_ZONE, plan};
use serde_json::{Value, json};

use super::{assert_calm, is_repaired, passes, repairs, sweep, sweep_often, sweeps};
use crate::world::{Operator, World, eventually};

/// More sites than a repair takes passes, so that waking all of them would show.
const SITES: u64 = 9;
const PROVIDERS: [&str; 3] = ["pve", "npm", "cloudflare"];

async fn ready_sites() -> (World, Operator) {
    let world = World::new().await;
    sweep_often(&world).await;
    // Without a manager that starts containers by itself.
    world
        .apply(&plan(&world.plan(), &world.pool, 2048, 20, false))
        .await;
    let operator = world.operator().await;
    for number in 0..SITES {
        world.apply(&world.site(&format!("s{number}"))).await;
    }
    for number in 0..SITES {
        world.wait_for(&format!("s{number}"), "Ready", "True").await;
    }
    assert_calm(&operator, &world, &PROVIDERS).await;
    (world, operator)
}

async fn number(world: &World, site: &str) -> u32 {
    u32::try_from(world.status(site).await.vmid.unwrap()).unwrap()
}

fn host(world: &World, name: &str) -> Option<Value> {
    let hosts = world.backends.npm.hosts();
    hosts.into_iter().find(|host| host["domain_names"][0] == name)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_settled_sites_cost_pages_and_no_writes() {
    let (world, operator) = ready_sites().await;
    let counted = || PROVIDERS.map(|name| sweeps(&operator, &world, name));
    let (calls, before) = (operator.calls(&world), counted());
    for name in PROVIDERS {
        sweep(&operator, &world, name, 3).await;
    }
    let (after, most) = (operator.calls(&world), counted());
    let most = most
        .iter()
        .zip(before)
        .map(|(now, then)| now - then)
        .max()
        .unwrap();
    let grown = after
        .iter()
        .map(|(call, count)| (call, count - calls.get(call).unwrap_or(&0)));
    let grown: Vec<_> = grown.filter(|(_, count)| *count > 0).collect();
    println!("drift: {SITES} sites, at most {most} sweeps of each Provider: {grown:?} beside zones.list");
    for (call, count) in &grown {
        assert!(*count <= most + 1, "{call}: {count} calls in {most} sweeps");
    }
    let names: Vec<&str> = grown.iter().map(|(call, _)| call.as_str()).collect();
    assert_eq!(
        names,
        [
            "cluster.resources",
            "dns_records.list",
            // The panel, which has no zone here.
            "dns_zone_get",
            "npm.certificates",
            "npm.hosts"
        ]
    );
    for (name, owned) in [("pve", 9), ("npm", 9), ("cloudflare", 9)] {
        let counted = |status: &hostwright::api::ProviderStatus| {
            let inventory = status.inventory.unwrap_or_default();
            (inventory.owned, inventory.orphaned) == (owned, 0)
        };
        world.wait_for_provider(name, "counted", counted).await;
    }
    the_metrics_tell_what_sites_use(&world, &operator).await;
    operator.stop().await;
    world.close().await;
}

/// What the simulator says of a site's container is in the metrics after a sweep, and no more when the site is gone.
async fn the_metrics_tell_what_sites_use(world: &World, operator: &Operator) {
    let vmid = number(world, "s0").await;
    world.backends.proxmox.set_usage(vmid, 0.25, 512 << 20, 3 << 30);
    sweep(operator, world, "pve", 2).await;
    let labels = format!("{{site_namespace=\"{}\",site=\"s0\"}}", world.namespace);
    let told = || operator.metrics.encode().unwrap();
    for (metric, value) in [
        ("cpu_ratio", "0.25"),
        ("memory_bytes", "536870912.0"),
        ("memory_limit_bytes", "2147483648.0"),
        ("disk_bytes", "3221225472.0"),
    ] {
        let line = format!("hostwright_site_{metric}{labels} {value}");
        assert!(told().contains(&line), "no line {line} in\n{}", told());
    }
    for metric in ["disk_limit_bytes", "uptime_seconds"] {
        assert!(told().contains(&format!("hostwright_site_{metric}{labels} ")));
    }
    let series = || {
        told()
            .lines()
            .filter(|line| line.starts_with("hostwright_site_"))
            .count()
    };
    assert_eq!(series(), 6 * usize::try_from(SITES).unwrap());
    world.delete("s0").await;
    world.wait_until_gone("s0").await;
    let left = 6 * usize::try_from(SITES - 1).unwrap();
    eventually("the site has no series any more", || async {
        let gone = !told().contains(&labels) && series() == left;
        gone.then_some(()).ok_or_else(told)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_by_hand_is_put_right() {
    let (world, operator) = ready_sites().await;
    let fix = async |site: &str, by_hand: &dyn Fn(), is_right: &dyn Fn() -> bool| {
        is_repaired(&world, &operator, site, SITES, by_hand, is_right).await;
        world.wait_for(site, "Ready", "True").await;
        assert_calm(&operator, &world, &PROVIDERS).await;
    };
    let (cloudflare, npm, proxmox) = (
        &world.backends.cloudflare,
        &world.backends.npm,
        &world.backends.proxmox,
    );
    let names = async |site: &str| world.status(site).await.host.unwrap();
    let record = |name: &str| {
        let records = cloudflare.records(CLOUDFLARE_ZONE);
        records.into_iter().find(|record| record.name == name)
    };

    let name = names("s0").await;
    let id = record(&name).unwrap().id;
    fix("s0", &|| assert!(cloudflare.delete_by_hand(&id)), &|| {
        record(&name).is_some()
    })
    .await;

    let name = names("s1").await;
    let old = record(&name).unwrap();
    let edit = || {
        assert!(cloudflare.edit_by_hand(&old.id, |record| record.content = Ipv4Addr::LOCALHOST.to_string()))
    };
    fix("s1", &edit, &|| {
        record(&name).is_some_and(|record| record.content == old.content)
    })
    .await;

    let vmid = number(&world, "s2").await;
    let runs = || proxmox.container(vmid).is_some_and(|container| container.running);
    fix("s2", &|| proxmox.stop_container(vmid), &runs).await;

    let field = |name: &str, key: &str| host(&world, name).map(|host| host[key].clone());
    let name = names("s3").await;
    let id = host(&world, &name).unwrap()["id"].as_u64().unwrap();
    let disable = || npm.edit_host_by_hand(id, json!({"enabled": false})).unwrap();
    fix("s3", &disable, &|| field(&name, "enabled") != Some(json!(false))).await;

    let name = names("s4").await;
    let right = host(&world, &name).unwrap();
    let id = right["id"].as_u64().unwrap();
    let edit = || {
        npm.edit_host_by_hand(id, json!({"forward_host": "10.99.0.1"}))
            .unwrap()
    };
    fix("s4", &edit, &|| {
        field(&name, "forward_host").as_ref() == right.get("forward_host")
    })
    .await;

    let name = names("s5").await;
    let id = host(&world, &name).unwrap()["id"].as_u64().unwrap();
    fix("s5", &|| assert!(npm.delete_host_by_hand(id)), &|| {
        host(&world, &name).is_some()
    })
    .await;

    for site in ["s6", "s7", "s8"] {
        assert_eq!(repairs(&world, site).await, Vec::<String>::new());
    }
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_is_followed_and_what_was_destroyed_is_reported() {
    let (world, operator) = ready_sites().await;
    let before = passes(&operator);
    let vmid = number(&world, "s0").await;
    let from = world.status("s0").await.node.unwrap();
    let to = if from == "pve1" { "pve2" } else { "pve1" };
    world.backends.proxmox.move_container(vmid, to);
    eventually("the new node is known", || async {
        let node = world.status("s0").await.node;
        if node.as_deref() == Some(to) {
            Ok(())
        } else {
            Err(format!("{node:?}"))
        }
    })
    .await;
    assert_eq!(repairs(&world, "s0").await, Vec::<String>::new());

    let vmid = number(&world, "s1").await;
    world.backends.proxmox.destroy_by_hand(vmid);
    world.wait_for_refusal("s1", "Degraded", &["restore it"]).await;
    let done = passes(&operator) - before;
    assert!(done < SITES, "{done} passes");
    assert_calm(&operator, &world, &PROVIDERS).await;
    assert!(world.backends.proxmox.container(vmid).is_none());
    operator.stop().await;
    world.close().await;
}
