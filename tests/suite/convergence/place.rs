//! One world of this suite: back-ends with a tripwire, things of other people in them, an API gate, and a view of
//! the objects of one kind that costs the server one watch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hostwright::api::condition::{is_true, kinds};
use hostwright::stage::{BackendsOptions, Pool};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::gate::ApiGate;
use super::living::{Living, objects, shown};
use super::wire::Wire;
use crate::world::{Operator, PATIENCE, World, client};

/// How often the counters are looked at, which nobody announces.
const LOOK: Duration = Duration::from_millis(3);

/// Wait for an answer that never comes. Long enough for a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(10);

/// Providers of a world.
const PROVIDERS: [&str; 4] = ["pve", "npm", "cloudflare", "ispconfig"];

type Seen<O> = BTreeMap<String, O>;

pub struct Place<L: Living> {
    pub living: L,
    pub world: World,
    pub wire: Arc<Wire>,
    /// The operator's way to the API server behind the gates.
    server: Client,
    seen: watch::Receiver<Seen<L::Object>>,
    // Ends its task when it is dropped.
    _watching: JoinSet<()>,
    /// What a fresh operator asks of its back-ends before it has an object.
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

impl<L: Living> Place<L> {
    /// A world whose back-ends take this long for everything that takes time.
    pub async fn new(living: L, time: Duration) -> Self {
        let wire = Arc::new(Wire::default());
        let options = BackendsOptions {
            task_time: time,
            install_time: time,
            certificate_time: time,
            tripwire: Some(wire.clone()),
            ..BackendsOptions::default()
        };
        let mut world = match living.held() {
            true => World::with(options, Pool::default()).await,
            false => World::unheld(options, Pool::default()).await,
        };
        world.pace.deadline = DEADLINE;
        let server = client(&world.operator_kubeconfig).await;
        let (news, seen) = watch::channel(Seen::new());
        let mut watching = JoinSet::new();
        watching.spawn(follow(objects::<L>(&world), news));
        living.inhabit(&world).await;
        let mut place = Self {
            living,
            world,
            wire,
            server,
            seen,
            _watching: watching,
            greeting: BTreeMap::new(),
        };
        place.learn_greeting().await;
        place
    }

    /// Takes its Providers away.
    pub async fn close(self) {
        self.world.close().await;
    }

    /// The first operator writes the Providers' conditions; the calls of the second are those of every later one.
    async fn learn_greeting(&mut self) {
        for _ in 0..2 {
            self.wire.begin("");
            let running = self.start().await;
            for name in PROVIDERS {
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
    pub async fn quiet(&self) {
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

    /// Starts an operator and waits until it has looked at its Providers and at the objects that exist.
    pub async fn start_settled(&mut self) -> Result<Running, String> {
        self.wire.begin("");
        let objects = self.seen.borrow().len();
        let running = self.start().await;
        let begun = Instant::now();
        loop {
            let turns = self.wire.turns();
            let greeted = self
                .greeting
                .iter()
                .all(|(call, count)| turns.get(call).is_some_and(|made| made >= count));
            let looked = running.passes(L::KIND) >= u64::try_from(objects).unwrap_or_default()
                && L::BESIDE
                    .iter()
                    .all(|(kind, count)| running.passes(kind) >= *count);
            if greeted && looked {
                return Ok(running);
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("a fresh operator does not settle; it called {turns:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The object as the watch has it.
    pub fn object(&self, name: &str) -> Option<L::Object> {
        self.seen.borrow().get(name).cloned()
    }

    /// Waits until the watch shows an object in a state.
    pub async fn wait_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(Option<&L::Object>) -> bool,
    ) -> Result<(), String> {
        let mut seen = self.seen.clone();
        let wait = seen.wait_for(|objects| holds(objects.get(name)));
        match timeout(PATIENCE, wait).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                let seen = self.object(name).as_ref().map(shown::<L>);
                Err(format!(
                    "{name} is not {what} within {PATIENCE:?}; last seen: {seen:?}"
                ))
            }
        }
    }
}

async fn follow<O>(api: Api<O>, news: watch::Sender<Seen<O>>)
where
    O: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                news.send_modify(|seen| {
                    seen.insert(object.name_any(), object);
                });
            }
            Ok(Event::Delete(object)) => news.send_modify(|seen| {
                seen.remove(&object.name_any());
            }),
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
    }
}
