//! Two replicas as real processes on a real API server: one acts, and never both.

mod callers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostwright::sim::faults::{Fault, Trouble};
use hostwright::stage::{OperatorOptions, OperatorProcess};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{PATIENCE, World, eventually, shared};
use callers::Callers;

/// Lease of the replicas of one world, in the world's own namespace.
const LEASE: &str = "hostwright";
/// What a replica that lost its leadership ends with.
const LEADERSHIP_LOST: i32 = 3;
/// Sites that are made at the same time, so that some are in the middle of something at any moment.
const SITES: usize = 6;

/// Shorter terms than the usual ones, but long enough for a machine that is busy with other tests.
const SHORT: [&str; 3] = [
    "--lease-duration=6s",
    "--lease-renew-deadline=4s",
    "--lease-retry-period=200ms",
];

/// Where the replicas of a test live.
struct Replicas<'a> {
    world: &'a World,
    terms: &'a [&'a str],
    folder: TempDir,
}

impl<'a> Replicas<'a> {
    /// The operator's account may use leases of the chart's name in its own namespace only; here every world has one.
    async fn new(world: &'a World, terms: &'a [&'a str]) -> Self {
        let metadata = json!({"name": "replicas", "namespace": world.namespace});
        let api = "rbac.authorization.k8s.io/v1";
        let rules = [
            json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}),
            json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [LEASE],
                   "verbs": ["get", "update"]}),
        ];
        let account =
            json!({"kind": "ServiceAccount", "name": "hostwright", "namespace": "hostwright-system"});
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "replicas"});
        let objects = [
            json!({"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": rules}),
            json!({"apiVersion": api, "kind": "RoleBinding", "metadata": metadata, "roleRef": role,
                   "subjects": [account]}),
        ];
        for object in &objects {
            world.apply(object).await;
        }
        Self {
            world,
            terms,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.log(name)).unwrap()
    }

    async fn start(&self, name: &str) -> OperatorProcess {
        let options = OperatorOptions {
            kubeconfig: shared().await.operator.clone(),
            log: self.log(name),
            cluster_id: "replicas",
            flags: &[
                "--leader-election",
                "--task-poll-min=20ms",
                "--task-poll-max=200ms",
            ],
        };
        let namespace = &self.world.namespace;
        let mut flags = vec![
            format!("--watch-namespace={namespace}"),
            format!("--lease-namespace={namespace}"),
            format!("--lease-name={LEASE}"),
            format!("--pod-name={name}"),
        ];
        flags.extend(self.terms.iter().map(|flag| (*flag).to_owned()));
        let program = PathBuf::from(env!("CARGO_BIN_EXE_hostwright"));
        OperatorProcess::start_program(&program, &options, &flags)
            .await
            .unwrap()
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.world.admin.clone(), &self.world.namespace)
    }

    async fn patch(&self, patch: Value) -> Lease {
        let patch = Patch::Merge(&patch);
        let patched = self.leases().patch(LEASE, &PatchParams::default(), &patch).await;
        patched.unwrap()
    }

    async fn holder(&self) -> Option<String> {
        let lease = self.leases().get_opt(LEASE).await.unwrap()?;
        lease.spec?.holder_identity
    }
}

async fn leads(operator: &OperatorProcess) -> bool {
    operator.scrape().await.unwrap().value("hostwright_leader") == Some(1.0)
}

async fn wait_until_it_leads(operator: &OperatorProcess) {
    eventually("the replica leads", || async {
        leads(operator)
            .await
            .then_some(())
            .ok_or_else(|| operator.last_words())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_past_its_lease_writes_nothing_when_it_wakes() {
    let world = World::new().await;
    let replicas = Replicas::new(&world, &SHORT).await;
    let mut old = replicas.start("old").await;
    wait_until_it_leads(&old).await;
    let new = replicas.start("new").await;
    assert!(!leads(&new).await, "two replicas lead");

    let callers = Arc::new(Callers::new([old.pid().unwrap(), new.pid().unwrap()]));
    for (_, faults) in world.backends.faults() {
        faults.watch(Arc::clone(&callers) as _);
        // Every call takes a while: when the old one is stopped, answers are on their way that it has not read.
        faults.order(Fault {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: None,
            trouble: Trouble::Latency { milliseconds: 100 },
        });
    }
    let names: Vec<String> = (0..SITES).map(|number| format!("site{number}")).collect();
    for name in &names {
        world.apply(&world.site(name)).await;
    }
    let old_writes = || callers.writes_of(old.pid().unwrap());
    eventually("the old leader is in the middle of its work", || async {
        let writes = old_writes();
        (writes.len() >= SITES)
            .then_some(())
            .ok_or_else(|| format!("{writes:?}"))
    })
    .await;
    old.signal("STOP").await.unwrap();

    wait_until_it_leads(&new).await;
    assert!(replicas.holder().await.unwrap().starts_with("new_"));
    for (_, faults) in world.backends.faults() {
        faults.clear();
    }
    // The one that was stopped still has its connections, and its answers wait there.
    let before = old_writes();
    let pid = old.pid().unwrap();
    old.signal("CONT").await.unwrap();
    let ended = old.wait(PATIENCE).await.unwrap();
    assert_eq!(ended.code(), Some(LEADERSHIP_LOST), "{}", replicas.said("old"));
    let said = replicas.said("old");
    assert!(
        said.contains("leadership is lost, so this replica ends: the lease"),
        "{said}"
    );

    for name in &names {
        world.wait_for(name, "Ready", "True").await;
    }
    assert_eq!(
        callers.writes_of(pid),
        before,
        "the old leader wrote after it was woken"
    );
    assert_eq!(
        callers.strangers(),
        Vec::<String>::new(),
        "writes of nobody that we know"
    );
    assert!(!callers.writes_of(new.pid().unwrap()).is_empty());

    for name in &names {
        world.delete(name).await;
    }
    for name in &names {
        world.wait_until_gone(name).await;
    }
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    new.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_hands_over_at_once() {
    /// The default terms, apart from the pause between two looks.
    const DURATION: Duration = Duration::from_secs(15);
    let world = World::new().await;
    let replicas = Replicas::new(&world, &["--lease-retry-period=200ms"]).await;
    let first = replicas.start("first").await;
    wait_until_it_leads(&first).await;
    let second = replicas.start("second").await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    assert!(!leads(&second).await, "two replicas lead");

    let begun = Instant::now();
    first.stop().await.unwrap();
    wait_until_it_leads(&second).await;
    let took = begun.elapsed();
    assert!(took < DURATION / 2, "the hand-over took {took:?}");
    assert!(replicas.said("first").contains("the lease was given back"));
    assert!(replicas.holder().await.unwrap().starts_with("second_"));
    world.delete("jane").await;
    world.wait_until_gone("jane").await;

    // One that stands by ends as cleanly as one that leads, and leaves the lease alone.
    let third = replicas.start("third").await;
    third.stop().await.unwrap();
    assert!(replicas.holder().await.unwrap().starts_with("second_"));
    second.stop().await.unwrap();
    assert_eq!(replicas.holder().await, None);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_was_taken_ends() {
    let world = World::new().await;
    let replicas = Replicas::new(&world, &SHORT).await;
    let mut leader = replicas.start("leader").await;
    wait_until_it_leads(&leader).await;
    // An annotation is no reason to end: the lease is looked at again and renewed.
    let noted = json!({"metadata": {"annotations": {"note": "seen"}}});
    let version = replicas.patch(noted).await.metadata.resource_version;
    eventually("the lease is renewed", || async {
        let lease = replicas.leases().get(LEASE).await.unwrap();
        let renewed = lease.metadata.resource_version != version;
        renewed.then_some(()).ok_or_else(String::new)
    })
    .await;
    assert!(leads(&leader).await);
    replicas
        .patch(json!({"spec": {"holderIdentity": "somebody"}}))
        .await;
    let ended = leader.wait(PATIENCE).await.unwrap();
    let said = replicas.said("leader");
    assert_eq!(ended.code(), Some(LEADERSHIP_LOST), "{said}");
    assert!(said.contains("the lease is held by somebody now"), "{said}");
    world.close().await;
}
