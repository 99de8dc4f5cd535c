//! Random walks: customers change what they ask for again and again while back-ends fail and the operator dies.
//! Afterwards the world outside is what the specs say, nothing more is written, and everything can go.
//!
//! A walk is repeated with its seed: `HOSTWRIGHT_WALK=<seed>`.

use std::collections::BTreeMap;

use fastrand::Rng;
use hostwright::api::{Phase, WordPressSite};
use hostwright::sim::faults::{Fault, Trouble};
use hostwright::stage::{BackendsOptions, Pool};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::world::{Operator, World, eventually};

/// Sites of one walk.
const SITES: usize = 20;
/// Changes of a spec in one walk.
const STEPS: u32 = 30;
/// The operator is killed before every so many changes.
const KILLED_EVERY: u32 = 6;
/// Seeds of the walks that are always gone.
const SEEDS: [u64; 2] = [1, 20_261_121];
/// The Plans that sites move between: memory in MiB, disk in GiB, high availability.
const PLANS: [(&str, u32, u32, bool); 3] = [
    ("small", 1024, 10, false),
    ("middle", 2048, 20, true),
    ("large", 4096, 30, false),
];

/// What a site is asked to be.
#[derive(Debug, Clone)]
struct Wish {
    plan: usize,
    stopped: bool,
    suspended: bool,
    shown: bool,
    /// The largest disk that it may have been given, for disks never shrink.
    disk_at_most: u32,
}

struct Walk {
    rng: Rng,
    world: World,
    operator: Option<Operator>,
    wishes: BTreeMap<String, Wish>,
    restarts: u32,
    faults: u32,
    kills: u32,
}

fn plan_name(world: &World, plan: usize) -> String {
    format!("{}-{}", world.plan(), PLANS[plan].0)
}

impl Walk {
    async fn begin(seed: u64) -> Self {
        let world = World::with(BackendsOptions::default(), Pool::default()).await;
        for (at, (_, memory, disk, managed)) in PLANS.into_iter().enumerate() {
            let mut plan = world.manifest_of_plan();
            plan["metadata"]["name"] = json!(plan_name(&world, at));
            let sizes = &mut plan["spec"]["wordpress"];
            sizes["memoryMib"] = json!(memory);
            sizes["diskGib"] = json!(disk);
            sizes["highAvailability"] = json!(managed);
            world.apply(&plan).await;
        }
        let operator = world.operator().await;
        let mut walk = Self {
            rng: Rng::with_seed(seed),
            world,
            operator: Some(operator),
            wishes: BTreeMap::new(),
            restarts: 0,
            faults: 0,
            kills: 0,
        };
        for number in 0..SITES {
            let name = format!("s{number}");
            let plan = walk.rng.usize(0..PLANS.len());
            let mut site = walk.world.site(&name);
            site["spec"]["plan"] = json!(plan_name(&walk.world, plan));
            walk.world.apply(&site).await;
            let wish = Wish {
                plan,
                stopped: false,
                suspended: false,
                shown: true,
                disk_at_most: PLANS[plan].2,
            };
            walk.wishes.insert(name, wish);
        }
        walk
    }

    /// One change of one spec.
    async fn step(&mut self, number: u32) {
        let name = format!("s{}", self.rng.usize(0..SITES));
        let kind = self.rng.u8(0..5);
        let plan = self.rng.usize(0..PLANS.len());
        let wish = self.wishes.get_mut(&name).unwrap();
        let spec = match kind {
            0 => {
                wish.stopped = !wish.stopped;
                json!({"power": if wish.stopped { "Stopped" } else { "Running" }})
            }
            1 => {
                wish.suspended = !wish.suspended;
                json!({"suspended": wish.suspended})
            }
            2 => {
                wish.shown = !wish.shown;
                json!({"proxyEnabled": wish.shown})
            }
            3 => {
                wish.plan = plan;
                wish.disk_at_most = wish.disk_at_most.max(PLANS[plan].2);
                json!({"plan": plan_name(&self.world, plan)})
            }
            _ => {
                self.restarts += 1;
                json!({"restartedAt": format!("2026-11-21T10:{:02}:00Z", number % 60)})
            }
        };
        self.world.patch(&name, json!({"spec": spec})).await;
    }

    /// Something outside goes wrong once, soon.
    fn trouble(&mut self) {
        let body = String::new();
        let trouble = match self.rng.u8(0..4) {
            0 => Trouble::CutBefore,
            1 => Trouble::CutAfter,
            2 => Trouble::FailAfterEffect { status: 500, body },
            _ => Trouble::Refuse {
                status: 503,
                body,
                retry_after: None,
            },
        };
        let servers = self.world.backends.faults();
        let (_, faults) = &servers[self.rng.usize(0..servers.len())];
        faults.order(Fault {
            method: None,
            path_contains: String::new(),
            skip: self.rng.u32(0..6),
            times: Some(1),
            trouble,
        });
        self.faults += 1;
    }

    async fn kill(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.kill();
        }
        self.operator = Some(self.world.operator().await);
        self.kills += 1;
    }

    /// Waits until every site is what it is asked to be, inside and outside.
    async fn arrives(&self) {
        eventually("all sites are as asked", || async {
            let sites = self.world.sites().list(&ListParams::default()).await.unwrap();
            let wrong = sites.items.iter().find_map(|site| {
                let wish = &self.wishes[&site.name_any()];
                let wrong = self.wrong(site, wish);
                wrong.map(|what| format!("{}: {what}; asked {wish:?}", site.name_any()))
            });
            wrong.map_or(Ok(()), Err)
        })
        .await;
    }

    fn wrong(&self, site: &WordPressSite, wish: &Wish) -> Option<String> {
        let status = site.status.clone().unwrap_or_default();
        let phase = match (wish.suspended, wish.stopped) {
            (true, _) => Phase::Suspended,
            (_, true) => Phase::Stopped,
            _ => Phase::Running,
        };
        let said = format!("{:?} {:?}", status.phase, status.conditions.first());
        if status.phase != Some(phase) || status.observed_generation != site.metadata.generation {
            return Some(said);
        }
        let Some(host) = status.host.as_deref().filter(|_| status.vmid.is_some()) else {
            // Suspended before anything was made.
            return (phase != Phase::Suspended).then_some(said);
        };
        let number = u32::try_from(status.vmid.unwrap()).unwrap();
        let Some(container) = self.world.backends.proxmox.container(number) else {
            return Some("no container".to_owned());
        };
        let (_, memory, disk, managed) = PLANS[wish.plan];
        let sized = container.memory_mib == u64::from(memory)
            && (u64::from(disk)..=u64::from(wish.disk_at_most)).contains(&container.disk_gib);
        let sid = format!("ct:{number}");
        let resources = self.world.backends.proxmox.ha_resources();
        let is_managed = resources.iter().any(|resource| resource.sid == sid);
        let runs = container.running == (phase == Phase::Running);
        // A suspended site waits with every other change.
        if !runs || (!wish.suspended && (!sized || is_managed != managed)) {
            return Some(format!("{container:?} managed {is_managed}"));
        }
        let hosts: Vec<Value> = self.world.backends.npm.hosts();
        let mut own = hosts.iter().filter(|row| row["domain_names"][0] == host);
        let (Some(row), None) = (own.next(), own.next()) else {
            return Some("not one proxy host".to_owned());
        };
        let notice = row["advanced_config"]
            .as_str()
            .is_some_and(|text| text.contains("suspended"));
        let shown = row["enabled"] == json!(wish.shown) && (!wish.shown || notice == wish.suspended);
        (!shown).then(|| row.to_string())
    }

    async fn ends(self, seed: u64) {
        let Self {
            world,
            operator,
            restarts,
            faults,
            kills,
            ..
        } = self;
        let operator = operator.unwrap();
        operator.assert_quiet(&world).await;
        println!(
            "walk {seed}: {SITES} sites, {STEPS} changes, {restarts} of them restarts; {faults} faults, {kills} kills: as asked, then quiet"
        );
        for number in 0..SITES {
            world.delete(&format!("s{number}")).await;
        }
        for number in 0..SITES {
            world.wait_until_gone(&format!("s{number}")).await;
        }
        assert_eq!(world.backends.leftovers(), Vec::<String>::new());
        operator.stop().await;
        world.close().await;
    }
}

async fn walk(seed: u64) {
    let mut walk = Walk::begin(seed).await;
    for number in 0..STEPS {
        if number % KILLED_EVERY == KILLED_EVERY - 1 {
            walk.kill().await;
        }
        walk.trouble();
        walk.step(number).await;
    }
    for (_, faults) in walk.world.backends.faults() {
        faults.clear();
    }
    walk.arrives().await;
    walk.ends(seed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_in_whatever_order_the_end_is_what_was_asked() {
    match std::env::var("HOSTWRIGHT_WALK") {
        Ok(seed) => walk(seed.parse().unwrap()).await,
        Err(_) => {
            for seed in SEEDS {
                walk(seed).await;
            }
        }
    }
}
