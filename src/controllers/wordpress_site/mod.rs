//! `WordPressSite`: from an object to a page that answers, and back to nothing.
//!
//! `resolve` finds what the object refers to, `observe` reads, `plan` and `remove` decide (pure), `act` does,
//! `report` writes the status (pure). `site` and `verdict` are the words they share.

mod act;
mod adopt;
mod domains;
mod foretell;
mod observe;
mod plan;
mod remove;
mod report;
mod reserve;
mod resolve;
mod secret;
pub mod settled;
mod site;
#[cfg(test)]
mod tests;
mod usage;
mod verdict;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::connections::Connections;
use super::ledger::{Claim, Entry, Ledger};
use super::runner::{Acted, Kind, Outcome, Plan, Poker, Subject};
use super::tasks;
use crate::api::condition::{kinds, reasons};
use crate::api::{Plan as PlanObject, SiteRestore, TaskOperation, WordPressSite, WordPressSiteStatus};
use crate::controllers::runner::Cache;
use crate::controllers::site_backup::shelf::Shelf;
use crate::domain::ClusterId;
use crate::providers::ProviderError;
use crate::providers::fence::Fence;
use crate::runtime::metrics::{Kind as MetricKind, Metrics};

pub use plan::adopt::{label_below, leading_to};
use site::{Action, Done, Observed, Reservation};
use verdict::Verdict;

type SiteSubject = Subject<SiteKind>;
type References = HashMap<String, ObjectRef<WordPressSite>>;

/// Everything that passes of sites share.
pub struct SiteKind {
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// For the Secrets of sites.
    pub client: kube::Client,
    /// Plans.
    pub plans: Cache<PlanObject>,
    /// Sites.
    pub sites: Cache<WordPressSite>,
    /// Restores, which may have a site's container for themselves.
    pub restores: Cache<SiteRestore>,
    /// All backups, for they count against the quota of their sites.
    pub shelf: Arc<Shelf>,
    /// Back-ends.
    pub connections: Arc<Connections>,
    /// What sites hold.
    pub ledger: Arc<Ledger>,
    /// Wakes sites.
    pub poker: Poker<WordPressSite>,
    /// Counts.
    pub metrics: Metrics,
    /// Closes when nothing may be written any more.
    pub fence: Arc<dyn Fence>,
    /// Sites whose installation was begun by this process, by UID.
    pub installing: Arc<Mutex<References>>,
}

impl fmt::Debug for SiteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKind")
    }
}

#[async_trait]
impl Kind for SiteKind {
    type Object = WordPressSite;
    type Status = WordPressSiteStatus;
    type Observed = Observed;
    type Action = Action;
    type Verdict = (Verdict, Option<site::Terms>);
    type Done = Done;

    const KIND: MetricKind = MetricKind::WordPressSite;
    const FINALIZES: bool = true;

    fn status(object: &WordPressSite) -> WordPressSiteStatus {
        object.status.clone().unwrap_or_default()
    }

    fn conditions(status: &WordPressSiteStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(status: &mut WordPressSiteStatus, conditions: Vec<Condition>) {
        status.conditions = conditions;
    }

    fn must_be_stored(old: &WordPressSiteStatus, new: &WordPressSiteStatus) -> bool {
        let new_task = tasks::is_any_new(&old.tasks, &new.tasks);
        let restart = new.restart.is_some() && new.restart != old.restart;
        let recovery = new.recovery != old.recovery;
        let held = |status: &WordPressSiteStatus| {
            let held = status.domains.iter().filter(|domain| domain.state.is_held());
            held.map(|domain| domain.name.clone()).collect::<BTreeSet<_>>()
        };
        let new_domain = !held(new).is_subset(&held(old));
        new_task || restart || recovery || new_domain || Reservation::of(old) != Reservation::of(new)
    }

    async fn observe(&self, subject: &SiteSubject, known: Observed) -> Observed {
        self.look(subject, known).await
    }

    fn plan(
        &self,
        subject: &SiteSubject,
        observed: &Observed,
        now: Timestamp,
    ) -> Plan<Action, Self::Verdict> {
        let plan = match subject.deleting {
            true => remove::gone(&subject.status, subject.object.spec.deletion_policy, observed),
            false => {
                let plan = plan::live(&subject.status, observed, now);
                let plan = plan::with_domains(plan, &subject.status, observed);
                plan::with_announcement(plan, &subject.status, observed)
            }
        };
        Plan {
            actions: plan.actions,
            next: plan.next,
            verdict: (plan.verdict, observed.terms.clone()),
        }
    }

    async fn act(&self, subject: &SiteSubject, action: &Action) -> Result<Outcome<Done>, ProviderError> {
        self.perform(subject, action).await
    }

    fn repair(action: &Action) -> Option<String> {
        act::repair(action)
    }

    fn absorb(&self, observed: Observed, done: &Done) -> Observed {
        act::absorb(observed, done)
    }

    fn report(
        &self,
        subject: &SiteSubject,
        (verdict, terms): &Self::Verdict,
        outcomes: &[Acted<'_, Self>],
        now: Timestamp,
    ) -> WordPressSiteStatus {
        let mut status = report::status(subject, verdict, outcomes, terms.as_ref(), now);
        if let Some(terms) = terms {
            let site = (
                subject.object.namespace().unwrap_or_default(),
                subject.object.name_any(),
            );
            let used = i32::try_from(self.shelf.used(&site)).unwrap_or(i32::MAX);
            report::count_backups(&mut status, used, &terms.wishes);
        }
        status
    }

    fn seen(&self, site: &WordPressSite) {
        let uid = site.uid().unwrap_or_default();
        self.ledger.enter(&uid, entry(site));
        let created_at = site.creation_timestamp().map(|time| time.0);
        let waiting = self
            .ledger
            .enter_domains(&uid, created_at, domains::names_of(site));
        self.poke_uids(waiting);
    }

    fn after(&self, subject: &SiteSubject) {
        // Whoever does not wait any more (paused, refused, failed) must not stand in the way of those behind.
        let waits = subject
            .status
            .conditions
            .iter()
            .any(|condition| condition.reason == reasons::QUEUED);
        if !waits || subject.is_paused() {
            self.poke_uids(self.ledger.leave_queue(&subject.uid()));
        }
        // Nobody looks at the task of a paused site, so that its end would not be noticed.
        let holds = !subject.is_paused()
            && subject
                .status
                .tasks
                .iter()
                .any(|task| needs_place(task.operation));
        if !holds {
            self.poke_uids(self.ledger.leave_place(&subject.uid()));
        }
    }

    fn gone(&self, site: &WordPressSite) {
        let uid = site.uid().unwrap_or_default();
        let mut waiting: BTreeSet<String> = self.ledger.forget_domains(&uid).into_iter().collect();
        waiting.extend(self.ledger.holders_of(&site.spec.service_id));
        waiting.extend(self.ledger.forget(&uid));
        waiting.extend(self.ledger.without_room());
        self.installing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&uid);
        // Those who waited for what it held look again.
        self.poke_uids(waiting);
    }
}

impl SiteKind {
    fn poke_uids(&self, uids: impl IntoIterator<Item = String>) {
        self.poker.poke_uids(&self.sites, &uids.into_iter().collect());
    }
}

/// Whether a site waits until another one frees a number or address.
fn finds_no_room(status: &WordPressSiteStatus) -> bool {
    status.conditions.iter().any(|condition| {
        let full =
            [reasons::ADDRESS_POOL_FULL, reasons::VMID_RANGE_FULL].contains(&condition.reason.as_str());
        condition.type_ == kinds::SYNCED && full
    })
}

fn needs_place(operation: TaskOperation) -> bool {
    matches!(
        operation,
        TaskOperation::Create | TaskOperation::Destroy | TaskOperation::Recover
    )
}

fn entry(site: &WordPressSite) -> Entry {
    let status = site.status.clone().unwrap_or_default();
    let compute = status
        .providers
        .as_ref()
        .map(|providers| providers.compute.clone());
    let claim = Reservation::of(&status)
        .zip(compute.clone())
        .map(|(reservation, compute)| Claim {
            compute,
            vmid: reservation.vmid,
            address: reservation.address,
            host: reservation.host,
        });
    let holds = status.tasks.iter().any(|task| needs_place(task.operation));
    Entry {
        title: format!("{}/{}", site.namespace().unwrap_or_default(), site.name_any()),
        service_id: site.spec.service_id.clone(),
        created_at: site.creation_timestamp().map(|time| time.0),
        claim,
        storage_task_on: compute.filter(|_| holds),
        without_room: finds_no_room(&status),
    }
}
