//! Zones by name, from one list for many passes or one by one, whichever costs fewer calls.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::Fqdn;
use crate::providers::dns_host::Zone;
use crate::providers::{DnsHost, ProviderError};

/// Zones on one page of a list: Cloudflare's maximum, and the unit in which a list costs calls.
const PAGE: usize = 50;
/// Look-ups within this time are compared with what a list would have cost.
const WINDOW: Duration = Duration::from_secs(1);

/// Zones by name.
pub type ZoneIndex = BTreeMap<Fqdn, Zone>;

#[derive(Debug)]
struct Listed {
    begun: Instant,
    index: Arc<ZoneIndex>,
}

#[derive(Debug, Default)]
struct State {
    listed: Option<Listed>,
    /// Names that were changed by us since the list was begun: it says nothing about them.
    changed: BTreeMap<Fqdn, Instant>,
    lookups: VecDeque<Instant>,
}

/// The zones of one account.
#[derive(Debug, Default)]
pub struct ZoneList {
    state: Mutex<State>,
    reading: tokio::sync::Mutex<()>,
}

impl ZoneList {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every zone, from a list that was begun at most `max_age` ago.
    ///
    /// # Errors
    /// That of the read.
    pub async fn all(&self, dns: &dyn DnsHost, max_age: Duration) -> Result<Arc<ZoneIndex>, ProviderError> {
        let asked = Instant::now();
        let _turn = self.reading.lock().await;
        if let Some(listed) = &self.lock().listed
            && listed.begun + max_age >= asked
        {
            return Ok(Arc::clone(&listed.index));
        }
        let begun = Instant::now();
        let zones = dns.zones().await?;
        let index: ZoneIndex = zones.into_iter().map(|zone| (zone.name.clone(), zone)).collect();
        let index = Arc::new(index);
        let mut state = self.lock();
        state.changed.retain(|_, at| *at >= begun);
        state.listed = Some(Listed {
            begun,
            index: Arc::clone(&index),
        });
        Ok(index)
    }

    /// One zone. An answer from a list may be `max_age` old; whoever makes a zone on the word that there is none
    /// learns from the back-end if there is one after all.
    ///
    /// # Errors
    /// That of the read.
    pub async fn find(
        &self,
        dns: &dyn DnsHost,
        name: &Fqdn,
        max_age: Duration,
    ) -> Result<Option<Zone>, ProviderError> {
        if let Some(known) = self.listed(name, max_age) {
            return Ok(known);
        }
        if self.a_list_pays() {
            self.all(dns, max_age).await?;
            if let Some(known) = self.listed(name, max_age) {
                return Ok(known);
            }
        }
        dns.zone(name).await
    }

    fn listed(&self, name: &Fqdn, max_age: Duration) -> Option<Option<Zone>> {
        let state = self.lock();
        let listed = state
            .listed
            .as_ref()
            .filter(|listed| listed.begun.elapsed() <= max_age)?;
        let unsure = state.changed.get(name).is_some_and(|at| *at >= listed.begun);
        (!unsure).then(|| listed.index.get(name).cloned())
    }

    /// Whether the look-ups of the last moment would have cost more than a list, as far as its length is known.
    fn a_list_pays(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        while state.lookups.front().is_some_and(|at| *at + WINDOW < now) {
            state.lookups.pop_front();
        }
        state.lookups.push_back(now);
        let zones = state.listed.as_ref().map_or(0, |listed| listed.index.len());
        state.lookups.len() > zones.div_ceil(PAGE).max(1)
    }

    /// Notes that we made, changed or removed a zone: the list says nothing about it any more.
    pub fn changed(&self, name: &Fqdn) {
        self.lock().changed.insert(name.clone(), Instant::now());
    }
}
