//! Sites that wait for a place at the container host.

use std::collections::BTreeMap;
use std::time::Duration;

use hostwright::stage::{BackendsOptions, Pool};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::world::{World, eventually};

/// Sites at once, of which one is created at a time.
const SITES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_keeps_its_number_while_it_waits() {
    let options = BackendsOptions {
        task_time: Duration::from_millis(300),
        ..BackendsOptions::default()
    };
    let pool = Pool {
        places: 1,
        ..Pool::default()
    };
    let world = World::with(options, pool).await;
    let operator = world.operator().await;
    for number in 0..SITES {
        world.apply(&world.site(&format!("site-{number}"))).await;
    }
    let mut numbers: BTreeMap<String, i32> = BTreeMap::new();
    let known = std::sync::Mutex::new(&mut numbers);
    eventually("all sites are Ready", || async {
        let sites = world.sites().list(&ListParams::default()).await.unwrap().items;
        let mut known = known.lock().unwrap();
        let mut ready = 0;
        for site in &sites {
            let (name, status) = (site.name_any(), site.status.clone().unwrap_or_default());
            match (known.get(&name), status.vmid) {
                (None, Some(vmid)) => drop(known.insert(name, vmid)),
                (before, now) => assert_eq!(before.copied(), now, "{name} keeps its number"),
            }
            ready += usize::from(hostwright::api::condition::is_true(&status.conditions, "Ready"));
        }
        match ready == SITES {
            true => Ok(()),
            false => Err(format!("{ready} are Ready")),
        }
    })
    .await;
    assert_eq!(world.backends.proxmox.containers().len(), SITES);
    operator.stop().await;
    world.close().await;
}
