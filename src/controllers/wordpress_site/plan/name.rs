//! The public name of a site: one record that points to the proxy.

use super::super::site::{Action, Observed, Terms};
use super::super::verdict::Verdict;
use crate::api::condition::kinds;
use crate::controllers::fact::Fact;
use crate::domain::Fqdn;
use crate::providers::ErrorKind;
use crate::providers::dns_host::{Record, RecordData, ZoneId};

/// Plans the record of the name.
pub(super) fn name(
    verdict: &mut Verdict,
    terms: &Terms,
    host: &Fqdn,
    observed: &Observed,
    actions: &mut Vec<Action>,
) {
    let zone = match &observed.zone {
        Fact::Known(Some(zone)) => zone,
        Fact::Known(None) => {
            let message = format!(
                "no zone of Provider {} holds {host}; add the zone of {} there or correct the Plan's baseDomain",
                terms.providers.dns, terms.base_domain
            );
            return verdict.refused(kinds::NAME_READY, ErrorKind::Unavailable, message);
        }
        Fact::Unknown(error) => return verdict.failed(kinds::NAME_READY, error),
        Fact::Unread => return,
    };
    let records = match &observed.records {
        Fact::Known(records) => records,
        Fact::Unknown(error) => return verdict.failed(kinds::NAME_READY, error),
        Fact::Unread => return,
    };
    let wanted = terms.record(host);
    let ours = || {
        records
            .iter()
            .filter(|record| record.mark.as_ref() == Some(&terms.owner))
    };
    let Some(keep) = ours()
        .find(|record| record.spec == wanted)
        .or_else(|| ours().next())
    else {
        return make(verdict, terms, host, zone, records, actions);
    };
    let extra = ours().filter(|record| record.id != keep.id);
    actions.extend(extra.map(|record| Action::DeleteRecord(zone.clone(), record.clone())));
    if keep.spec == wanted {
        let message = format!("{host} points to {}.", terms.public_address);
        return verdict.good(kinds::NAME_READY, message);
    }
    verdict.making(
        kinds::NAME_READY,
        format!("The record of {host} is being corrected."),
    );
    actions.push(Action::UpdateRecord(zone.clone(), keep.clone(), wanted));
}

/// None of the records is ours: makes one unless somebody else's points elsewhere.
fn make(
    verdict: &mut Verdict,
    terms: &Terms,
    host: &Fqdn,
    zone: &ZoneId,
    records: &[Record],
    actions: &mut Vec<Action>,
) {
    let addressing = |data: &RecordData| {
        matches!(
            data,
            RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Cname(_)
        )
    };
    if let Some(foreign) = records.iter().find(|record| addressing(&record.spec.data)) {
        let message = format!(
            "{host} has the record {} at Provider {}, which does not carry our mark and is not touched; remove it there",
            foreign.spec.data, terms.providers.dns
        );
        return verdict.refused(kinds::NAME_READY, ErrorKind::Conflict, message);
    }
    verdict.making(kinds::NAME_READY, format!("The record of {host} is being made."));
    actions.push(Action::CreateRecord(zone.clone(), terms.record(host)));
}
