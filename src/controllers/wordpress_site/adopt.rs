//! Reading what is needed to take a container over. Never a write.

use std::time::Duration;

use futures::future::{join, join3};

use super::plan::adopt;
use super::resolve::{Backends, Resolved};
use super::site::{NameFound, Observed, Prospect, Terms};
use super::{SiteKind, SiteSubject};
use crate::api::condition::reasons;
use crate::controllers::connections::Refusal;
use crate::controllers::judgement::Block;
use crate::domain::{DnsLabel, Fqdn, Vmid};
use crate::providers::ProviderError;
use crate::providers::container_host::Survey;
use crate::providers::reverse_proxy::ProxyHost;

/// Age of bulk reads that are good enough: what is taken over is read once more by itself.
const CHOICE_AGE: Duration = Duration::from_secs(1);

impl SiteKind {
    /// Looks at the container that the annotation names, and at everything that leads to it.
    pub(super) async fn look_at_prospect(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        known: &mut Observed,
    ) {
        let id = match adopt::wished(&resolved.terms) {
            Some(Ok(id)) => id,
            Some(Err(message)) => {
                known.refusal = Some(Refusal::new(reasons::INVALID_SPEC, message));
                return;
            }
            None => return,
        };
        known.survey = resolved.backends.compute.survey(CHOICE_AGE).await.into();
        if let Some(survey) = known.survey.known() {
            let prospect = self.prospect(&subject.uid(), resolved, id, survey).await;
            known.prospect = prospect.into();
        }
    }

    async fn prospect(
        &self,
        uid: &str,
        resolved: &Resolved,
        id: Vmid,
        survey: &Survey,
    ) -> Result<Prospect, ProviderError> {
        let Backends { compute, proxy, .. } = &resolved.backends;
        let machine = survey.guests.get(&id).is_some_and(|guest| !guest.is_container);
        let (container, hosts) = match machine {
            true => (None, Vec::new()),
            false => {
                let (container, hosts) = join(compute.host.container(id), proxy.survey(CHOICE_AGE)).await;
                let (container, hosts) = (container?, hosts?);
                let hosts = match container.as_ref().and_then(|container| container.address) {
                    Some(address) => adopt::leading_to(hosts.hosts.values(), address),
                    None => Vec::new(),
                };
                (container, hosts)
            }
        };
        let name = self.name_found(uid, resolved, &hosts).await?;
        let names = match (&name, &container) {
            (Ok(None), Some(_)) => self.names(uid, resolved).await?,
            _ => Vec::new(),
        };
        // What others hold is read last and under the turn, so that nobody else reserves in between.
        let turn = self.ledger.turn().await;
        Ok(Prospect {
            taken: self.ledger.taken_by_others(&compute.name, uid),
            machine,
            container,
            name,
            names,
            turn: Some(turn),
        })
    }

    async fn name_found(
        &self,
        uid: &str,
        resolved: &Resolved,
        hosts: &[ProxyHost],
    ) -> Result<Result<Option<NameFound>, Block>, ProviderError> {
        let (label, host) = match adopt::name_of(&resolved.terms, hosts) {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(Ok(None)),
            Err(block) => return Ok(Err(block)),
        };
        self.look_at_name(uid, resolved, label, host)
            .await
            .map(|found| Ok(Some(found)))
    }

    async fn look_at_name(
        &self,
        uid: &str,
        resolved: &Resolved,
        label: DnsLabel,
        host: Fqdn,
    ) -> Result<NameFound, ProviderError> {
        let (terms, backends): (&Terms, &Backends) = (&resolved.terms, &resolved.backends);
        let records = async {
            match backends.dns.zone_for(&terms.base_domain).await? {
                Some(zone) => backends.dns.dns.records_of(&zone, &(&host).into()).await,
                None => Ok(Vec::new()),
            }
        };
        let taken = async { self.ledger.host_is_taken(uid, &host) };
        let (records, proxy, taken) = join3(records, backends.proxy.proxy.find(&host), taken).await;
        Ok(NameFound {
            taken,
            records: records?,
            proxy: proxy?,
            label,
            host,
        })
    }
}
