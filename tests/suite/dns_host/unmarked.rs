//! The least that a caller does where records carry no marks: it looks before it changes anything, remembers what it
//! set out to create before it does, and knows its records by their ids.

use std::collections::BTreeSet;
use std::sync::Mutex;

use hostwright::domain::OwnerMark;
use hostwright::providers::dns_host::{Record, RecordChange, RecordData, RecordId, RecordSpec, ZoneId};
use hostwright::providers::{DnsHost, ErrorKind, ProviderError};

use super::Outcome;

#[derive(Default)]
pub struct Memory {
    inside: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    ours: BTreeSet<RecordId>,
    wanted: BTreeSet<RecordSpec>,
}

impl Memory {
    /// Fills in the mark of what is ours, or turned out to be what we set out to create.
    pub fn mark(&self, records: &mut [Record], owner: &OwnerMark) {
        let mut known = self.inside.lock().unwrap();
        for record in records {
            if known.wanted.contains(&record.spec) {
                known.ours.insert(record.id.clone());
            }
            record.mark = known.ours.contains(&record.id).then(|| owner.clone());
        }
    }

    pub async fn apply(
        &self,
        host: &dyn DnsHost,
        zone: &ZoneId,
        changes: &[RecordChange],
        owner: &OwnerMark,
    ) -> Vec<Outcome> {
        let mut seen = match host.records(zone).await {
            Ok(seen) => seen,
            Err(error) => return changes.iter().map(|_| Err(error.clone())).collect(),
        };
        self.mark(&mut seen, owner);
        let settled: Vec<Option<Outcome>> = changes.iter().map(|change| settled(change, &seen)).collect();
        let to_send: Vec<RecordChange> = changes
            .iter()
            .zip(&settled)
            .filter(|(_, settled)| settled.is_none())
            .map(|(change, _)| change.clone())
            .collect();
        for change in &to_send {
            if let RecordChange::Create(spec) = change {
                self.inside.lock().unwrap().wanted.insert(spec.clone());
            }
        }
        let mut sent = host.apply(zone, &to_send, owner).await.into_iter();
        settled
            .into_iter()
            .map(|settled| {
                let outcome = settled.unwrap_or_else(|| sent.next().unwrap());
                if let Ok(Some(record)) = &outcome {
                    self.inside.lock().unwrap().ours.insert(record.id.clone());
                }
                outcome
            })
            .collect()
    }
}

fn settled(change: &RecordChange, seen: &[Record]) -> Option<Outcome> {
    match change {
        RecordChange::Create(spec) => {
            let here = || seen.iter().filter(|record| record.spec.name == spec.name);
            if let Some(same) = here().find(|record| record.spec == *spec && record.mark.is_some()) {
                return Some(Ok(Some(same.clone())));
            }
            let is_alias = |data: &RecordData| matches!(data, RecordData::Cname(_));
            let clash = here().find(|record| {
                record.spec.data == spec.data || is_alias(&record.spec.data) != is_alias(&spec.data)
            });
            clash.map(|record| {
                let message = format!("{} is in the way", record.spec.data);
                Err(ProviderError::new(ErrorKind::Conflict, message))
            })
        }
        RecordChange::Update(before, spec) | RecordChange::Adopt(before, spec) => {
            let now = seen.iter().find(|record| record.id == before.id)?;
            (now.spec == *spec && now.mark.is_some()).then(|| Ok(Some(now.clone())))
        }
        RecordChange::Delete(_) => None,
    }
}
