//! What a look at the model shows: the same parts in the same order as a look at real back-ends.

use super::super::plan::adopt;
use super::super::site::{NameCheck, NameFound, Prospect, Steady, Vacancy};
use super::model::{Guest, World};
use super::*;
use crate::api::condition::is_true;
use crate::controllers::ledger::Taken;
use crate::domain::DnsLabel;
use crate::providers::container_host::GuestSummary;

impl World {
    pub(super) fn look(&self, subject: &SiteSubject, mut known: Observed) -> Observed {
        known.terms = Some(self.terms.clone());
        let reservation = Reservation::of(&subject.status);
        let conditions = &subject.status.conditions;
        let settled = is_true(conditions, kinds::READY) && is_true(conditions, kinds::SYNCED);
        if !subject.deleting && settled && !subject.precise {
            known.steady = Some(self.steady(reservation.as_ref()));
            return known;
        }
        match reservation {
            None if subject.deleting => {}
            None if self.terms.adopt.is_some() => self.look_at_prospect(&mut known),
            None => self.look_around(&mut known),
            Some(reservation) => self.look_at_parts(subject, &reservation, &mut known),
        }
        known
    }

    fn steady(&self, reservation: Option<&Reservation>) -> Steady {
        let good = reservation.and_then(|reservation| {
            let found = &self.guests.get(&reservation.vmid)?.container;
            let named = self.records_of(&reservation.host);
            let mut ours = named.iter().filter(|record| self.ours(record.mark.as_ref()));
            let wanted = self.terms.record(&reservation.host);
            let named = ours.next().is_some_and(|record| record.spec == wanted) && ours.next().is_none();
            let served = self.proxy_of(&reservation.host).hosts.iter().any(|host| {
                let right = host.spec.forward_address == std::net::IpAddr::V4(reservation.address);
                self.ours(host.mark.as_ref())
                    && right
                    && host.enabled
                    && !host.deviates
                    && host.problem.is_none()
            });
            let runs = self.ours(found.mark.as_ref()) && found.running && found.lock.is_none();
            (runs && named && served).then(|| found.node.clone())
        });
        match good {
            Some(node) => Steady::Agrees {
                node: Some(node),
                usage: None,
                expires_at: None,
                waits: false,
            },
            None => Steady::Differs("something".to_owned()),
        }
    }

    fn survey(&self) -> Arc<Survey> {
        let summary = |guest: &Guest| GuestSummary {
            node: guest.container.node.clone(),
            is_container: true,
            running: Some(guest.container.running),
            owner_hint: guest.container.mark.as_ref().map(|mark| mark.uid.clone()),
            memory: guest.container.memory,
            lock: guest.container.lock.clone(),
            usage: None,
        };
        Arc::new(Survey {
            guests: self
                .guests
                .iter()
                .map(|(id, guest)| (*id, summary(guest)))
                .collect(),
            ..cluster()
        })
    }

    fn look_around(&self, known: &mut Observed) {
        known.survey = Fact::Known(self.survey());
        let names = self.names();
        let orphan = self
            .guests
            .values()
            .find(|guest| self.ours(guest.container.mark.as_ref()));
        known.vacancy = Fact::Known(Vacancy {
            taken: Taken::default(),
            in_use: self
                .guests
                .values()
                .filter_map(|guest| guest.container.address)
                .collect(),
            orphan: orphan.map(|guest| guest.container.clone()),
            names,
            turn: None,
        });
    }

    fn look_at_prospect(&self, known: &mut Observed) {
        known.survey = Fact::Known(self.survey());
        let Some(Ok(id)) = adopt::wished(&self.terms) else {
            return;
        };
        let container = self.guests.get(&id).map(|guest| guest.container.clone());
        let address = container.as_ref().and_then(|container| container.address);
        let hosts = address.map(|address| adopt::leading_to(self.proxy.hosts.iter(), address));
        let name = adopt::name_of(&self.terms, &hosts.unwrap_or_default());
        let name = name.map(|name| {
            name.map(|(label, host)| NameFound {
                label,
                taken: false,
                records: self.records_of(&host),
                proxy: self.proxy_of(&host),
                host,
            })
        });
        let names = match (&name, &container) {
            (Ok(None), Some(_)) => self.names(),
            _ => Vec::new(),
        };
        known.prospect = Fact::Known(Prospect {
            taken: Taken::default(),
            machine: false,
            container,
            name,
            names,
            turn: None,
        });
    }

    fn names(&self) -> Vec<NameCheck> {
        let mut names = Vec::new();
        let suffix: DnsLabel = self.terms.owner.uid.short().parse().unwrap();
        for label in [self.terms.label.clone(), self.terms.label.with_suffix(&suffix)] {
            let host = self.terms.base_domain.child(&label).unwrap();
            let foreign_record = self.records_of(&host).iter().any(|r| !self.ours(r.mark.as_ref()));
            let survey = self.proxy_of(&host);
            let foreign_host = survey.hosts.iter().any(|h| !self.ours(h.mark.as_ref()));
            let certified = survey.hosts.is_empty() && !survey.certificates.is_empty();
            let obstacle = (foreign_record || foreign_host || certified).then(|| "in use".to_owned());
            names.push(NameCheck {
                label,
                host,
                obstacle,
            });
        }
        names
    }

    fn records_of(&self, host: &Fqdn) -> Vec<Record> {
        self.records
            .iter()
            .filter(|r| r.spec.name == *host)
            .cloned()
            .collect()
    }

    fn proxy_of(&self, host: &Fqdn) -> ProxySurvey {
        let hosts = self.proxy.hosts.iter().filter(|h| h.spec.domains.contains(host));
        let certificates = self
            .proxy
            .certificates
            .iter()
            .filter(|c| c.domains.contains(host));
        ProxySurvey {
            hosts: hosts.cloned().collect(),
            certificates: certificates.cloned().collect(),
        }
    }

    fn look_at_parts(&self, subject: &SiteSubject, reservation: &Reservation, known: &mut Observed) {
        if known.tasks.is_empty() {
            let state = |task: &SiteTask| self.tasks.get(&task.id).cloned().unwrap_or(TaskState::Unknown);
            let tasks = subject.status.tasks.iter();
            known.tasks = tasks
                .map(|task| (task.clone(), Fact::Known(state(task))))
                .collect();
        }
        let running = |fact: &Fact<_>| !matches!(fact, Fact::Known(state) if *state != TaskState::Running);
        if known.tasks.iter().any(|(_, state)| running(state)) {
            return;
        }
        let found = self.guests.get(&reservation.vmid);
        let snapshots = || match found {
            Some(guest) => Fact::Known(guest.snapshots.clone()),
            None => Fact::Unknown(error(ErrorKind::NotFound)),
        };
        if !subject.deleting && !subject.precise && plan::only_snapshot_missing(&subject.status) {
            known.carried = true;
            known.snapshots = snapshots();
            return;
        }
        let awaited = !subject.deleting && !subject.precise && plan::only_install_awaited(&subject.status);
        if awaited && subject.status.node.is_some() && known.install.is_unread() {
            known.install = Fact::Known(self.install.clone());
            known.installing = self.install == InstallState::Running;
            if known.installing {
                return;
            }
        }
        if known.container.is_unread() {
            known.container = Fact::Known(found.map(|guest| guest.container.clone()));
        }
        if known.proxy.is_unread() || known.records.is_unread() {
            known.zone = Fact::Known(self.zone.then(zone));
            let records = self.zone.then(|| self.records_of(&reservation.host));
            known.records = Fact::Known(records.unwrap_or_default());
            known.proxy = Fact::Known(self.proxy_of(&reservation.host));
        }
        let unmarked = found.is_none_or(|g| g.container.mark.is_none() && g.container.lock.is_some());
        if unmarked && subject.status.node.is_none() && known.creations.is_unread() {
            known.creations = Fact::Known(self.creations.clone());
        }
        if found.is_none() && subject.deleting {
            known.volumes = Fact::Known(Vec::new());
        }
        if found.is_none() && known.survey.is_unread() {
            known.survey = Fact::Known(self.survey());
        }
        let Some(ours) = found.filter(|guest| self.ours(guest.container.mark.as_ref())) else {
            return;
        };
        if subject.deleting {
            known.snapshots = snapshots();
            return;
        }
        if known.install.is_unread() && ours.container.running && !reservation.adopted {
            known.install = Fact::Known(self.install.clone());
        }
        let before = &super::super::verdict::PARTS[..5];
        if before
            .iter()
            .filter(|kind| !(reservation.adopted && **kind == kinds::INSTALL_READY))
            .all(|kind| is_true(&subject.status.conditions, kind))
        {
            known.page = Fact::Known(match self.install {
                InstallState::Done => Page::WordPress,
                _ => Page::Other("status 502".to_owned()),
            });
            known.snapshots = snapshots();
        }
    }
}
