//! Backups and restores on the real API server, with simulated back-ends.

mod refused_restores;
mod restores;
mod schedules;
mod snapshots;
mod trouble;

use hostwright::api::{
    BackupPhase, Phase, RestorePhase, SiteBackup, SiteBackupStatus, SiteRestore, SiteRestoreStatus,
};
use hostwright::sim::faults::{Fault, Trouble};
use hostwright::sim::proxmox::SimSnapshot;
use hostwright::stage::{BackendsOptions, Pool};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::world::{Operator, World, eventually};

/// A site that is up, and what is done to it.
struct Stage {
    world: World,
    operator: Operator,
    number: u32,
}

fn reason(conditions: &[Condition]) -> String {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.map(|ready| ready.reason.clone()).unwrap_or_default()
}

fn message(conditions: &[Condition]) -> String {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.map(|ready| ready.message.clone()).unwrap_or_default()
}

impl Stage {
    /// A site whose Plan allows so many backups.
    async fn with(backups: i32, high_availability: bool) -> Self {
        Self::on(
            World::with(BackendsOptions::default(), Pool::default()).await,
            backups,
            high_availability,
        )
        .await
    }

    async fn on(world: World, backups: i32, high_availability: bool) -> Self {
        let plan =
            json!({"spec": {"wordpress": {"backups": backups, "highAvailability": high_availability}}});
        world.patch_plan(plan).await;
        let operator = world.operator().await;
        world.apply(&world.site("jane")).await;
        let status = world.wait_for_phase("jane", Phase::Running).await;
        let number = u32::try_from(status.vmid.unwrap()).unwrap();
        Self {
            world,
            operator,
            number,
        }
    }

    fn backups(&self) -> Api<SiteBackup> {
        Api::namespaced(self.world.admin.clone(), &self.world.namespace)
    }

    fn restores(&self) -> Api<SiteRestore> {
        Api::namespaced(self.world.admin.clone(), &self.world.namespace)
    }

    async fn object(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "hostwright.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": self.world.namespace},
            "spec": spec,
        });
        self.world.apply(&object).await;
    }

    /// Asks for a backup.
    async fn back_up(&self, name: &str) {
        self.object("SiteBackup", name, json!({"site": "jane"})).await;
    }

    /// Asks for a restore.
    async fn restore(&self, name: &str, mut spec: Value) {
        spec["site"] = json!("jane");
        self.object("SiteRestore", name, spec).await;
    }

    async fn backup_in(&self, name: &str, phase: BackupPhase) -> SiteBackupStatus {
        eventually(&format!("backup {name} is {phase:?}"), || async {
            let status = self.backups().get(name).await.unwrap().status.unwrap_or_default();
            match status.phase == Some(phase) && (phase != BackupPhase::Ready || status.tasks.is_empty()) {
                true => Ok(status),
                false => Err(format!("{status:?}")),
            }
        })
        .await
    }

    async fn backup_says(&self, name: &str, wanted: &str) -> SiteBackupStatus {
        eventually(&format!("backup {name} says {wanted}"), || async {
            let status = self.backups().get(name).await.unwrap().status.unwrap_or_default();
            match reason(&status.conditions) == wanted {
                true => Ok(status),
                false => Err(format!("{status:?}")),
            }
        })
        .await
    }

    async fn restore_in(&self, name: &str, phase: RestorePhase) -> SiteRestoreStatus {
        let holds = |status: &SiteRestoreStatus| status.phase == Some(phase);
        self.restore_when(name, &format!("is {phase:?}"), holds).await
    }

    async fn restore_says(&self, name: &str, wanted: &str) -> SiteRestoreStatus {
        let holds = |status: &SiteRestoreStatus| reason(&status.conditions) == wanted;
        self.restore_when(name, &format!("says {wanted}"), holds).await
    }

    async fn restore_when(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&SiteRestoreStatus) -> bool,
    ) -> SiteRestoreStatus {
        eventually(&format!("restore {name} {what}"), || async {
            let restore = self.restores().get(name).await.unwrap();
            let status = restore.status.unwrap_or_default();
            match holds(&status) {
                true => Ok(status),
                false => Err(format!("{status:?}; site {:?}", self.world.status("jane").await)),
            }
        })
        .await
    }

    async fn delete_backup(&self, name: &str) {
        self.backups()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    async fn backup_gone(&self, name: &str) {
        eventually(&format!("backup {name} is gone"), || async {
            match self.backups().get_opt(name).await.unwrap() {
                None => Ok(()),
                Some(backup) => Err(format!("{:?}", backup.status)),
            }
        })
        .await;
    }

    async fn restore_gone(&self, name: &str) {
        eventually(&format!("restore {name} is gone"), || async {
            match self.restores().get_opt(name).await.unwrap() {
                None => Ok(()),
                Some(restore) => Err(format!("{:?} {:?}", restore.finalizers(), restore.status)),
            }
        })
        .await;
    }

    async fn patch_backup(&self, name: &str, patch: Value) {
        self.backups()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Snapshots of the site's container in order of creation.
    fn snapshots(&self) -> Vec<SimSnapshot> {
        let container = self.world.backends.proxmox.container(self.number).unwrap();
        container.snapshots
    }

    fn names(&self) -> Vec<String> {
        self.snapshots()
            .into_iter()
            .map(|snapshot| snapshot.name)
            .collect()
    }

    /// Calls of Proxmox with this method whose path ends so.
    fn calls(&self, method: &str, end: &str) -> u64 {
        let calls = self.world.backends.proxmox_server.faults.calls();
        let of = calls
            .iter()
            .filter(|(call, _)| call.starts_with(method) && call.ends_with(end));
        of.map(|(_, count)| count).sum()
    }

    fn trouble(&self, method: &str, path: &str, times: u32, trouble: Trouble) {
        self.world.backends.proxmox_server.faults.order(Fault {
            method: Some(method.to_owned()),
            path_contains: path.to_owned(),
            skip: 0,
            times: Some(times),
            trouble,
        });
    }

    async fn ends(self) {
        self.operator.assert_quiet(&self.world).await;
        self.leaves().await;
    }

    async fn leaves(self) {
        self.world.delete("jane").await;
        self.world.wait_until_gone("jane").await;
        assert_eq!(self.world.backends.leftovers(), Vec::<String>::new());
        self.operator.stop().await;
        self.world.close().await;
    }
}
