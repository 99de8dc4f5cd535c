//! The world outside as a few maps: actions change it at once or after a while, calls fail or lose their answers,
//! and whatever must never happen is written down.
//!
//! `looking` does what `observe` does with real back-ends, `pass` what the runner does with a real API server.

use std::collections::{BTreeMap, VecDeque};

use super::super::act::absorb;
use super::super::remove::gone;
use super::super::site::Done;
use super::super::{SiteKind, report};
use super::*;
use crate::api::DeletionPolicy;
use crate::controllers::runner::{Acted, Outcome, after_failure};
use crate::providers::container_host::ContainerSpec;

/// What may be taken over.
pub(super) const OLD_RECORD: &str = "old";
/// What may be taken over.
pub(super) const OLD_HOST: ProxyHostId = ProxyHostId(30);

/// Rounds of one pass, as in the runner.
const ROUNDS_MAX: u32 = 24;

/// What becomes of a call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Works,
    /// Nothing happens.
    Fails,
    /// It happens, and nobody hears of it.
    LosesAnswer,
    /// It happens, and the operator is gone before it can store anything.
    Crashes,
    /// The task that it begins ends with an error and has no effect.
    TaskFails,
}

/// What a task does at its end.
#[derive(Debug, Clone, PartialEq)]
enum Effect {
    Nothing,
    Create(ContainerSpec),
    Power(bool),
    Snapshot,
    DeleteSnapshot(String),
    Destroy,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guest {
    pub(super) container: Container,
    pub(super) snapshots: Vec<Snapshot>,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) terms: Terms,
    pub(super) guests: BTreeMap<Vmid, Guest>,
    pub(super) zone: bool,
    pub(super) records: Vec<Record>,
    pub(super) proxy: ProxySurvey,
    pub(super) install: InstallState,
    pub(super) secret: bool,
    /// The guest of our number, the record [`OLD_RECORD`] and the host [`OLD_HOST`] were made by an older backend and may
    /// be taken over.
    pub(super) legacy: bool,
    /// Tasks take until the next pass.
    pub(super) slow: bool,
    pub(super) fates: VecDeque<Fate>,
    /// What must never happen.
    pub(super) violations: Vec<String>,
    /// Actions of the last pass.
    pub(super) acted: Vec<String>,
    pub(super) tasks: BTreeMap<String, TaskState>,
    pending: Vec<(String, Vmid, Effect)>,
    pub(super) creations: Vec<TaskRecord>,
    serial: u64,
}

impl World {
    pub(super) fn empty(terms: Terms) -> Self {
        Self {
            terms,
            guests: BTreeMap::new(),
            zone: true,
            records: Vec::new(),
            proxy: ProxySurvey::default(),
            install: InstallState::Idle,
            secret: false,
            legacy: false,
            slow: false,
            fates: VecDeque::new(),
            violations: Vec::new(),
            acted: Vec::new(),
            tasks: BTreeMap::new(),
            pending: Vec::new(),
            creations: Vec::new(),
            serial: 100,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn ours(&self, mark: Option<&OwnerMark>) -> bool {
        mark == Some(&self.terms.owner)
    }

    /// What carries our mark or is ours by its name, in words.
    pub(super) fn left_of_ours(&self) -> Vec<String> {
        let guests = self
            .guests
            .values()
            .filter(|g| self.ours(g.container.mark.as_ref()));
        let records = self.records.iter().filter(|r| self.ours(r.mark.as_ref()));
        let hosts = self.proxy.hosts.iter().filter(|h| self.ours(h.mark.as_ref()));
        let mut left: Vec<String> = guests.map(|g| format!("container {}", g.container.id)).collect();
        left.extend(records.map(|r| format!("record {}", r.id.0)));
        left.extend(hosts.map(|h| format!("host {}", h.id.0)));
        left.extend(self.secret.then(|| "secret".to_owned()));
        left
    }

    /// Everything that is not ours, to be compared.
    pub(super) fn foreign(&self) -> String {
        let guests: Vec<_> = self
            .guests
            .values()
            .filter(|g| !self.ours(g.container.mark.as_ref()) && !self.legacy)
            .collect();
        let records: Vec<_> = self
            .records
            .iter()
            .filter(|r| !(self.ours(r.mark.as_ref()) || self.legacy && r.id.0 == OLD_RECORD))
            .collect();
        let hosts: Vec<_> = self
            .proxy
            .hosts
            .iter()
            .filter(|h| !(self.ours(h.mark.as_ref()) || self.legacy && h.id == OLD_HOST))
            .collect();
        let certificates: Vec<_> = self
            .proxy
            .certificates
            .iter()
            .filter(|c| !c.automatic || c.domains.len() > 1)
            .collect();
        format!("{guests:?} {records:?} {hosts:?} {certificates:?}")
    }

    /// Time passes: tasks end, the manager of high availability and the installer do their work.
    pub(super) fn tick(&mut self) {
        for (id, vmid, effect) in std::mem::take(&mut self.pending) {
            self.finish(&id, vmid, effect);
        }
        for guest in self.guests.values_mut() {
            let container = &mut guest.container;
            if container.lock.as_deref() != Some("create") {
                container.lock = None;
            }
            if let Some(managed) = &mut container.high_availability {
                match (managed.error, managed.requested) {
                    (true, HaState::Disabled) => managed.error = false,
                    (false, HaState::Started) => container.running = true,
                    (false, HaState::Disabled | HaState::Stopped) => container.running = false,
                    _ => {}
                }
            }
        }
        if self.install == InstallState::Running {
            self.install = InstallState::Done;
        }
    }

    fn begin(&mut self, operation: TaskOperation, vmid: Vmid, effect: Effect, fate: Fate) -> Done {
        self.serial += 1;
        let id = format!("UPID:a:{}", self.serial);
        if operation == TaskOperation::Create {
            let record = TaskRecord {
                id: TaskId(id.clone()),
                ..creation(TaskState::Running)
            };
            self.creations.push(record);
        }
        self.tasks.insert(id.clone(), TaskState::Running);
        let effect = match fate {
            Fate::TaskFails => Effect::Nothing,
            _ => effect,
        };
        if self.slow {
            if let Effect::Create(spec) = &effect {
                let mut hidden = new_container(spec);
                (hidden.mark, hidden.lock, hidden.running) = (None, Some("create".to_owned()), false);
                self.guests.insert(vmid, guest(hidden));
            }
            self.pending.push((id.clone(), vmid, effect));
        } else {
            self.finish(&id, vmid, effect);
        }
        Done::Task(SiteTask { operation, id })
    }

    fn finish(&mut self, id: &str, vmid: Vmid, effect: Effect) {
        let ended = match effect {
            Effect::Nothing => TaskState::Failed("no space".to_owned()),
            _ => TaskState::Succeeded { warnings: false },
        };
        let known = self.guests.get_mut(&vmid);
        match (effect, known) {
            (Effect::Create(spec), _) => drop(self.guests.insert(vmid, guest(new_container(&spec)))),
            (Effect::Destroy, _) => drop(self.guests.remove(&vmid)),
            (Effect::Power(on), Some(guest)) => guest.container.running = on,
            (Effect::Snapshot, Some(guest)) => guest.snapshots.push(snapshot(INITIAL_SNAPSHOT, 5)),
            (Effect::DeleteSnapshot(name), Some(guest)) => guest.snapshots.retain(|s| s.name != name),
            _ => {}
        }
        for record in self.creations.iter_mut().filter(|record| record.id.0 == id) {
            record.state = ended.clone();
        }
        self.tasks.insert(id.to_owned(), ended);
    }

    /// One pass. `None` when the operator crashed in it.
    pub(super) fn pass(&mut self, stored: &mut WordPressSiteStatus, deleting: bool) -> Option<Next> {
        self.acted.clear();
        let mut subject = subject(stored.clone(), deleting, false);
        let mut known = Observed::default();
        for _ in 0..ROUNDS_MAX {
            let (next, observed) = self.round(&mut subject, known)?;
            known = observed;
            let in_memory = matches!(
                next,
                Next::Again { persist: false } | Next::Closer | Next::Released { announce: false }
            );
            if !in_memory {
                *stored = subject.status.clone();
            }
            match next {
                Next::Again { .. } => {}
                Next::Closer => {
                    subject.precise = true;
                    known = Observed::default();
                }
                other => return Some(other),
            }
        }
        self.violations
            .push(format!("a pass without an end: {:?}", self.acted));
        Some(RETRY)
    }

    fn round(&mut self, subject: &mut SiteSubject, known: Observed) -> Option<(Next, Observed)> {
        let mut observed = self.look(subject, known);
        let plan = match subject.deleting {
            true => gone(&subject.status, DeletionPolicy::Delete, &observed),
            false => plan::live(&subject.status, &observed, now()),
        };
        self.inspect(&plan, &observed);
        if self.legacy && !subject.deleting {
            let disturbed = plan.actions.iter().filter(|action| disturbs(action));
            self.violations.extend(disturbed.map(line));
        }
        let mut next = plan.next;
        let mut outcomes: Vec<Acted<'_, SiteKind>> = Vec::new();
        for action in &plan.actions {
            let fate = self.fates.pop_front().unwrap_or(Fate::Works);
            self.acted.push(line(action));
            let mut outcome = match fate {
                Fate::Fails => Err(error(ErrorKind::Unavailable)),
                fate => self.act(subject, action, fate),
            };
            match fate {
                Fate::Crashes => return None,
                Fate::LosesAnswer => outcome = Err(error(ErrorKind::Ambiguous)),
                _ => {}
            }
            let (stop, follows) = match &outcome {
                Ok(Outcome::Done(_)) => (false, next),
                Ok(_) => (true, Next::Poll),
                Err(error) => (true, after_failure(error)),
            };
            if let Ok(Outcome::Done(done) | Outcome::Started(done) | Outcome::Wait(done)) = &outcome {
                observed = absorb(observed, done);
            }
            next = follows;
            outcomes.push((action, outcome));
            if stop {
                break;
            }
        }
        let terms = Some(&self.terms);
        subject.status = report::status(subject, &plan.verdict, &outcomes, terms, now());
        Some((next, observed))
    }

    /// What no plan may hold, whatever is observed.
    fn inspect(&mut self, plan: &SitePlan, observed: &Observed) {
        self.violations
            .extend(super::properties::faults_of(plan, observed));
    }

    fn act(
        &mut self,
        subject: &SiteSubject,
        action: &Action,
        fate: Fate,
    ) -> Result<Outcome<Done>, ProviderError> {
        let reserved = Reservation::of(&subject.status).map(|r| r.vmid);
        let id = reserved.unwrap_or_else(|| vmid(999));
        match action {
            Action::Reserve(reservation) => Ok(Outcome::Done(Done::Reserved(reservation.clone()))),
            Action::Create(spec) => {
                if self.guests.contains_key(&spec.id) {
                    return Ok(Outcome::Wait(Done::ContainerChanged));
                }
                let others = self
                    .left_of_ours()
                    .into_iter()
                    .filter(|what| what.starts_with("container"));
                let second = others.map(|what| format!("a second container beside {what}"));
                self.violations.extend(second);
                Ok(Outcome::Started(self.begin(
                    TaskOperation::Create,
                    spec.id,
                    Effect::Create(spec.clone()),
                    fate,
                )))
            }
            Action::Install { .. } => {
                self.secret = true;
                self.install = InstallState::Running;
                let secret = "jane-wordpress".to_owned();
                Ok(Outcome::Done(Done::Installing { secret }))
            }
            Action::DeleteSecret => {
                self.secret = false;
                Ok(Outcome::Done(Done::SecretGone))
            }
            Action::CreateRecord(..) | Action::UpdateRecord(..) | Action::DeleteRecord(..) => {
                self.change(action)
            }
            Action::RequestCertificate(_)
            | Action::CreateHost(_)
            | Action::UpdateHost(..)
            | Action::EnableHost(_)
            | Action::DeleteHost(_)
            | Action::DeleteCertificate(_) => self.serve(action),
            Action::Adopt | Action::AdoptRecord(..) | Action::AdoptHost(_) => self.take_over(id, action),
            _ => self.work_on(id, action, fate),
        }
    }

    /// Writes our mark where nobody's is.
    fn take_over(&mut self, id: Vmid, action: &Action) -> Result<Outcome<Done>, ProviderError> {
        let (mark, done) = match action {
            Action::AdoptRecord(_, seen, spec) => {
                let found = self.records.iter_mut().find(|record| record.id == seen.id);
                let mark = found.map(|record| {
                    record.spec = spec.clone();
                    &mut record.mark
                });
                (mark, Done::RecordsChanged)
            }
            Action::AdoptHost(id) => {
                let found = self.proxy.hosts.iter_mut().find(|host| host.id == *id);
                (found.map(|host| &mut host.mark), Done::ProxyChanged)
            }
            _ => {
                let found = self.guests.get_mut(&id);
                (
                    found.map(|guest| &mut guest.container.mark),
                    Done::ContainerChanged,
                )
            }
        };
        let mark = mark.ok_or_else(|| error(ErrorKind::NotFound))?;
        if mark.as_ref().is_some_and(|mark| *mark != self.terms.owner) {
            self.violations.push(format!("{} of somebody else", line(action)));
            return Err(error(ErrorKind::Conflict));
        }
        *mark = Some(self.terms.owner.clone());
        Ok(Outcome::Done(done))
    }

    fn work_on(&mut self, id: Vmid, action: &Action, fate: Fate) -> Result<Outcome<Done>, ProviderError> {
        let Some(found) = self.guests.get_mut(&id) else {
            return match action {
                Action::Stop | Action::Destroy | Action::RemoveHighAvailability => {
                    Ok(Outcome::Done(Done::ContainerChanged))
                }
                _ => Err(error(ErrorKind::NotFound)),
            };
        };
        if found.container.mark.as_ref() != Some(&self.terms.owner) {
            self.violations
                .push(format!("{} on somebody else's guest", line(action)));
            return Err(error(ErrorKind::Conflict));
        }
        let (operation, effect) = match action {
            Action::EnsureHighAvailability(state) => {
                let now = found
                    .container
                    .high_availability
                    .take()
                    .unwrap_or_else(|| managed(*state));
                found.container.high_availability = Some(HighAvailability {
                    requested: *state,
                    placed: true,
                    ..now
                });
                return Ok(Outcome::Done(Done::HighAvailability));
            }
            Action::RemoveHighAvailability => {
                found.container.high_availability = None;
                return Ok(Outcome::Done(Done::ContainerChanged));
            }
            Action::Start => (TaskOperation::Start, Effect::Power(true)),
            Action::Stop => (TaskOperation::Stop, Effect::Power(false)),
            Action::Snapshot if found.snapshots.iter().any(|s| s.name == INITIAL_SNAPSHOT) => {
                return Err(error(ErrorKind::Conflict));
            }
            Action::Snapshot => (TaskOperation::Snapshot, Effect::Snapshot),
            Action::DeleteSnapshot(name) => (
                TaskOperation::DeleteSnapshot,
                Effect::DeleteSnapshot(name.clone()),
            ),
            _ if found.container.running || !found.snapshots.is_empty() => {
                self.violations
                    .push("destroyed while it runs or has snapshots".to_owned());
                return Err(error(ErrorKind::Conflict));
            }
            _ => (TaskOperation::Destroy, Effect::Destroy),
        };
        Ok(Outcome::Started(self.begin(operation, id, effect, fate)))
    }

    fn change(&mut self, action: &Action) -> Result<Outcome<Done>, ProviderError> {
        let owner = self.terms.owner.clone();
        let not_ours = |record: &Record| record.mark.as_ref() != Some(&owner);
        match action {
            Action::CreateRecord(_, spec) => {
                let equal = self.records.iter().find(|r| r.spec == *spec && !not_ours(r));
                if let Some(record) = equal {
                    return Ok(Outcome::Done(Done::Record(record.clone())));
                }
                self.serial += 1;
                let made = Record {
                    id: RecordId(self.serial.to_string()),
                    mark: Some(owner),
                    spec: spec.clone(),
                };
                self.records.push(made.clone());
                Ok(Outcome::Done(Done::Record(made)))
            }
            Action::UpdateRecord(_, id, spec) => {
                let found = self.records.iter_mut().find(|record| record.id == id.id);
                let record = found.ok_or_else(|| error(ErrorKind::NotFound))?;
                if not_ours(record) {
                    self.violations.push("changed a foreign record".to_owned());
                }
                record.spec = spec.clone();
                Ok(Outcome::Done(Done::Record(record.clone())))
            }
            Action::DeleteRecord(_, id) => {
                if self
                    .records
                    .iter()
                    .any(|record| record.id == id.id && not_ours(record))
                {
                    self.violations.push("deleted a foreign record".to_owned());
                }
                self.records.retain(|record| record.id != id.id);
                Ok(Outcome::Done(Done::RecordsChanged))
            }
            _ => Ok(Outcome::Done(Done::RecordsChanged)),
        }
    }

    fn serve(&mut self, action: &Action) -> Result<Outcome<Done>, ProviderError> {
        self.serial += 1;
        let serial = self.serial;
        match action {
            Action::RequestCertificate(name) => {
                if plan::own_certificates(&self.proxy, name).next().is_some() {
                    self.violations.push("a second certificate".to_owned());
                }
                let made = certificate(serial, true, &[name.as_str()]);
                self.proxy.certificates.push(made.clone());
                return Ok(Outcome::Done(Done::Certificate(made)));
            }
            Action::CreateHost(spec) => {
                if self
                    .proxy
                    .hosts
                    .iter()
                    .any(|host| spec.domains.iter().any(|name| host.spec.domains.contains(name)))
                {
                    self.violations.push("a second host".to_owned());
                    return Err(error(ErrorKind::Conflict));
                }
                let made = ProxyHost {
                    spec: spec.clone(),
                    ..proxy_host(serial, Some(self.terms.owner.clone()))
                };
                self.proxy.hosts.push(made.clone());
                return Ok(Outcome::Done(Done::Host(made)));
            }
            Action::DeleteCertificate(id) => {
                if self
                    .proxy
                    .hosts
                    .iter()
                    .any(|host| host.spec.certificate == Some(*id))
                {
                    self.violations.push("deleted a certificate in use".to_owned());
                }
                self.proxy
                    .certificates
                    .retain(|certificate| certificate.id != *id);
                return Ok(Outcome::Done(Done::ProxyChanged));
            }
            _ => {}
        }
        let owner = self.terms.owner.clone();
        let of = |id: &ProxyHostId, host: &ProxyHost| host.id == *id && host.mark.as_ref() == Some(&owner);
        let hosts = &mut self.proxy.hosts;
        match action {
            Action::UpdateHost(id, spec) => {
                let host = hosts
                    .iter_mut()
                    .find(|host| of(id, host))
                    .ok_or_else(|| error(ErrorKind::Conflict))?;
                (host.spec, host.deviates, host.problem) = (spec.clone(), false, None);
                Ok(Outcome::Done(Done::Host(host.clone())))
            }
            Action::EnableHost(id) => {
                let host = hosts
                    .iter_mut()
                    .find(|host| of(id, host))
                    .ok_or_else(|| error(ErrorKind::Conflict))?;
                host.enabled = true;
                Ok(Outcome::Done(Done::ProxyChanged))
            }
            Action::DeleteHost(id) => {
                let before = hosts.len();
                hosts.retain(|host| !of(id, host));
                if hosts.len() == before {
                    self.violations.push("deleted a host that is not ours".to_owned());
                }
                Ok(Outcome::Done(Done::ProxyChanged))
            }
            _ => Ok(Outcome::Done(Done::ProxyChanged)),
        }
    }
}

/// What nobody may do to a site that is being taken over.
fn disturbs(action: &Action) -> bool {
    matches!(
        action,
        Action::Create(_)
            | Action::Install { .. }
            | Action::Stop
            | Action::Restart
            | Action::Destroy
            | Action::DeleteSnapshot(_)
            | Action::DeleteRecord(..)
            | Action::DeleteHost(_)
            | Action::DeleteCertificate(_)
    )
}

pub(super) fn guest(container: Container) -> Guest {
    Guest {
        container,
        snapshots: Vec::new(),
    }
}

fn new_container(spec: &ContainerSpec) -> Container {
    Container {
        id: spec.id,
        node: spec.node.clone(),
        mark: Some(spec.mark.clone()),
        address: Some(spec.address),
        ..container()
    }
}
