//! What to do for a zone that shall be gone. Pure and total. The finalizer goes only when everything of ours was
//! seen absent. A zone in which somebody else has records is left to them.

use super::plan::{AGAIN, ZonePlan, act, at_once, blocked, failed, wait};
use super::verdict::Verdict;
use super::zone::{Action, Observed, Terms};
use crate::api::condition::{kinds, reasons};
use crate::api::{DeletionPolicy, DnsZoneStatus};
use crate::controllers::fact::Fact;
use crate::controllers::judgement::Block;
use crate::controllers::runner::Next;
use crate::domain::dns::RecordData;
use crate::providers::dns_host::{Record, RecordChange, Zone};

/// The plan for a zone that shall be gone.
pub fn gone(status: &DnsZoneStatus, policy: DeletionPolicy, observed: &Observed) -> ZonePlan {
    let mut verdict = Verdict::of(status);
    verdict.going = true;
    if policy == DeletionPolicy::Retain {
        return released(
            verdict,
            "Everything outside is left as it is, for deletionPolicy is Retain.".to_owned(),
        );
    }
    let nothing_made = status.zone_id.is_none() && status.origin.is_none();
    if let Some(refusal) = &observed.refusal {
        if nothing_made {
            return wait(verdict, Next::Released { announce: false });
        }
        let message = format!(
            "{}; or set deletionPolicy to Retain, then nothing outside is removed.",
            refusal.message.trim_end_matches('.')
        );
        return blocked(verdict, refusal.reason, message, false);
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    if observed.rival.is_some() && nothing_made {
        // It never had the zone, and whoever has it keeps it.
        return wait(verdict, Next::Released { announce: false });
    }
    verdict.know(observed);
    let words = format!(
        "{} is being removed at Provider {}.",
        terms.spec.name, terms.provider
    );
    verdict.working(kinds::ZONE_READY, reasons::DELETING, words);
    match &observed.zone {
        Fact::Unread => wait(verdict, AGAIN),
        Fact::Unknown(error) => failed(verdict, kinds::ZONE_READY, error),
        Fact::Known(None) => wait(verdict, Next::Released { announce: false }),
        Fact::Known(Some(zone)) => present(verdict, terms, status, zone, observed),
    }
}

/// The last words, then nothing more.
fn released(mut verdict: Verdict, message: String) -> ZonePlan {
    verdict.block = Some(Block {
        reason: reasons::RETAINED,
        message,
        keeps_ready: false,
    });
    wait(verdict, Next::Released { announce: true })
}

fn present(
    mut verdict: Verdict,
    terms: &Terms,
    status: &DnsZoneStatus,
    zone: &Zone,
    observed: &Observed,
) -> ZonePlan {
    let Some(origin) = terms.made(zone, status) else {
        // Not ours: it never was, or somebody made it anew after ours had gone. The wish to adopt it is none that
        // was fulfilled.
        return wait(verdict, Next::Released { announce: false });
    };
    verdict.origin = Some(origin);
    verdict.zone = Some(zone.clone());
    let records = match &observed.records {
        Fact::Unread => return wait(verdict, AGAIN),
        Fact::Unknown(error) => return failed(verdict, kinds::RECORDS_IN_SYNC, error),
        Fact::Known(records) => records,
    };
    let (ours, others): (Vec<Record>, Vec<Record>) = records
        .iter()
        .map(|record| proven(record, &verdict, terms))
        .partition(|record| record.mark.as_ref() == Some(&terms.owner));
    // The zone's own name servers go with it; one that somebody added is theirs.
    let authority = |record: &Record| {
        let server = match &record.spec.data {
            RecordData::Ns(server) => server,
            _ => return false,
        };
        record.spec.name.is_apex(&zone.name)
            && (terms.name_servers.contains(server) || zone.name_servers.contains(server))
    };
    let foreign = others.iter().filter(|record| !authority(record)).count();
    verdict.foreign = Some(foreign);
    if let Some(error) = observed.failed.values().next() {
        return failed(verdict, kinds::RECORDS_IN_SYNC, error);
    }
    let with_zone = terms.abilities.records_go_with_zone && foreign == 0;
    if !ours.is_empty() && !with_zone {
        let message = format!("{} records are being removed.", ours.len());
        verdict.working(kinds::RECORDS_IN_SYNC, reasons::DELETING, message);
        let changes = ours
            .into_iter()
            .map(|record| (RecordChange::Delete(record), None));
        let changes = at_once(terms, changes.collect());
        return act(verdict, Action::Change(zone.id.clone(), changes), AGAIN);
    }
    if foreign > 0 {
        let message = format!(
            "{foreign} records in {} are not ours, so that the zone is left at Provider {}; only our records were removed. Remove the zone there if nobody needs it.",
            zone.name, terms.provider
        );
        return released(verdict, message);
    }
    act(verdict, Action::DeleteZone(zone.id.clone()), AGAIN)
}

/// A record with our mark filled in where it is proven ours without one.
fn proven(record: &Record, verdict: &Verdict, terms: &Terms) -> Record {
    let mut record = record.clone();
    if verdict.proofs.prove(&record) {
        record.mark = Some(terms.owner.clone());
    }
    record
}
