//! One world of this suite: back-ends with a tripwire, things of other people in them, an API gate, and a view of
//! the sites that costs the server one watch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hostwright::api::WordPressSite;
use hostwright::api::condition::{is_true, kinds};
use hostwright::stage::{BackendsOptions, Pool};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::gate::ApiGate;
use super::wire::Wire;
use crate::world::{Operator, PATIENCE, World, client};

/// How often the counters are looked at, which nobody announces.
const LOOK: Duration = Duration::from_millis(3);

/// Wait for an answer that never comes. Long enough for a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(10);

type Sites = BTreeMap<String, WordPressSite>;

pub struct Place {
    pub world: World,
    pub wire: Arc<Wire>,
    /// The operator's way to the API server behind the gates.
    server: Client,
    sites: watch::Receiver<Sites>,
    // Ends its task when it is dropped.
    _watching: JoinSet<()>,
    /// What a fresh operator asks of its back-ends before it has a site.
    greeting: BTreeMap<String, u32>,
}

/// An operator with the gate of its own.
pub struct Running {
    pub operator: Operator,
    pub gate: ApiGate,
}

impl Running {
    /// Kill -9.
    pub fn kill(self) {
        self.operator.kill();
    }

    /// Passes of a kind that have ended.
    fn passes(&self, kind: &str) -> u64 {
        let text = self.operator.metrics.encode().unwrap();
        let mine = format!("hostwright_passes_total{{kind=\"{kind}\"");
        text.lines()
            .filter(|line| line.starts_with(&mine))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

impl Place {
    /// A world whose back-ends take this long for everything that takes time.
    pub async fn new(time: Duration) -> Self {
        let wire = Arc::new(Wire::default());
        let options = BackendsOptions {
            task_time: time,
            install_time: time,
            certificate_time: time,
            tripwire: Some(wire.clone()),
            ..BackendsOptions::default()
        };
        let mut world = World::with(options, Pool::default()).await;
        world.pace.deadline = DEADLINE;
        let server = client(&world.operator_kubeconfig).await;
        let (seen, sites) = watch::channel(Sites::new());
        let mut watching = JoinSet::new();
        watching.spawn(follow(world.sites(), seen));
        let mut place = Self {
            world,
            wire,
            server,
            sites,
            _watching: watching,
            greeting: BTreeMap::new(),
        };
        place.inhabit();
        place.learn_greeting().await;
        place
    }

    /// Takes its Providers away.
    pub async fn close(self) {
        self.world.close().await;
    }

    /// Things of other people, on what a site would get first.
    fn inhabit(&self) {
        let proxmox = &self.world.backends.proxmox;
        let address = "name=eth0,bridge=vmbr1,ip=10.20.0.100/8,gw=10.0.0.1";
        proxmox.add_foreign_container(5_000, "pve1", &[("hostname", "shop"), ("net0", address)]);
        proxmox.add_vm(5_002, "pve2");
    }

    /// The first operator writes the Providers' conditions; the calls of the second are those of every later one.
    async fn learn_greeting(&mut self) {
        for _ in 0..2 {
            self.wire.begin("");
            let running = self.start().await;
            for name in ["pve", "npm", "cloudflare"] {
                self.wait_for_provider(&self.world.provider(name)).await;
            }
            // Nothing announces that no more calls come; after the conditions there are none.
            self.quiet().await;
            self.greeting = self.wire.turns();
            self.greeting
                .retain(|call, _| !call.starts_with(super::gate::SERVICE));
            running.operator.stop().await;
        }
    }

    async fn wait_for_provider(&self, name: &str) {
        let providers: kube::Api<hostwright::api::Provider> = kube::Api::all(self.world.admin.clone());
        crate::world::eventually(&format!("{name} is Ready"), || async {
            let status = providers.get(name).await.unwrap().status.unwrap_or_default();
            match is_true(&status.conditions, kinds::READY) {
                true => Ok(()),
                false => Err(format!("{status:?}")),
            }
        })
        .await;
    }

    /// Waits until no call was made for a while.
    async fn quiet(&self) {
        let mut before = usize::MAX;
        loop {
            let now = self.wire.points().len();
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Starts an operator.
    pub async fn start(&mut self) -> Running {
        let shared = crate::world::shared().await;
        let gate = ApiGate::start(&shared.operator, self.server.clone(), self.wire.clone()).await;
        self.world.operator_kubeconfig = gate.kubeconfig().to_owned();
        Running {
            operator: self.world.operator().await,
            gate,
        }
    }

    /// Starts an operator and waits until it has looked at its Providers and at the sites that exist.
    pub async fn start_settled(&mut self) -> Result<Running, String> {
        self.wire.begin("");
        let sites = self.sites.borrow().len();
        let running = self.start().await;
        let begun = Instant::now();
        loop {
            let turns = self.wire.turns();
            let greeted = self
                .greeting
                .iter()
                .all(|(call, count)| turns.get(call).is_some_and(|made| made >= count));
            if greeted && running.passes("WordPressSite") >= u64::try_from(sites).unwrap_or_default() {
                return Ok(running);
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("a fresh operator does not settle; it called {turns:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The site as the watch has it.
    pub fn site(&self, name: &str) -> Option<WordPressSite> {
        self.sites.borrow().get(name).cloned()
    }

    /// Waits until the watch shows a site in a state.
    pub async fn wait_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(Option<&WordPressSite>) -> bool,
    ) -> Result<(), String> {
        let mut sites = self.sites.clone();
        let wait = sites.wait_for(|sites| holds(sites.get(name)));
        match timeout(PATIENCE, wait).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                let site = self.site(name);
                let seen = site.map(|site| (site.finalizers().to_vec(), site.status));
                Err(format!(
                    "{name} is not {what} within {PATIENCE:?}; last seen: {seen:?}"
                ))
            }
        }
    }
}

/// Ready in the generation that it has.
pub fn is_ready(site: Option<&WordPressSite>) -> bool {
    let status = site.and_then(|site| site.status.as_ref());
    status.is_some_and(|status| is_true(&status.conditions, kinds::READY))
}

/// Gone.
pub fn is_gone(site: Option<&WordPressSite>) -> bool {
    site.is_none()
}

async fn follow(api: kube::Api<WordPressSite>, seen: watch::Sender<Sites>) {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(site) | Event::InitApply(site)) => {
                seen.send_modify(|sites| {
                    sites.insert(site.name_any(), site);
                });
            }
            Ok(Event::Delete(site)) => seen.send_modify(|sites| {
                sites.remove(&site.name_any());
            }),
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
    }
}
