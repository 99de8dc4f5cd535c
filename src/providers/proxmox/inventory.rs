//! The cluster list, where a container is, and what it is.
//!
//! Containers move. Where one was seen a moment ago is asked first, so that work on one of ten thousand does not need the
//! list of all; when that node does not have it or does not answer, a list that is read after the question decides,
//! and once more when the node there says that it does not have it. Only a fresh list without it means absence.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;

use super::classify::{Meaning, Refusal};
use super::client::Request;
use super::wire::{CurrentStatus, Guest, GuestConfig, Listing, ResourceRow, VolumeRow, default_hostname};
use super::{AddressCache, Proxmox, container_name};
use crate::domain::{Mib, Vmid};
use crate::providers::container_host::{Container, Survey};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::rows::Rows;

/// Memory or swap in MiB of a container whose configuration does not name it (schema default).
pub(super) const MEMORY_DEFAULT: u32 = 512;
/// How long the addresses of somebody's guest are believed. A new guest is read at once; this only bounds
/// how late a changed address of a known one is seen.
const ADDRESSES_FRESH: Duration = Duration::from_secs(60);
/// How long a container is looked for first where it was seen. Whoever moves it by hand is noticed by the node's answer;
/// when its node has died, high availability brings it up elsewhere only after the node's watchdog has fired, which takes
/// 60 s (`pve-ha-manager`), so that nothing that is believed for half of that can be alive in two places.
const PLACE_FRESH: Duration = Duration::from_secs(30);
/// Age of a list that is good enough beside another look: to choose an address once a number is chosen from it, or to tell
/// whose task list to ask once the container has been looked for.
pub(super) const LISTED_FRESH: Duration = Duration::from_secs(1);
/// Guests read at the same time for their addresses: the API has 3 workers, the gate may allow less.
const ADDRESS_READS: usize = 4;

/// Configuration and status of a container, read together.
pub(super) struct Facts {
    pub(super) config: GuestConfig,
    pub(super) status: CurrentStatus,
}

/// Where a container is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) node: String,
    /// State of the high-availability manager, when it manages the container and a list has told so.
    pub(super) ha_state: Option<String>,
}

impl Place {
    fn of(guest: &Guest) -> Self {
        Self {
            node: guest.summary.node.clone(),
            ha_state: guest.ha_state.clone(),
        }
    }
}

/// What this process has done to containers since they were last listed: created on a node, or destroyed.
pub(super) type Changed = BTreeMap<Vmid, (Instant, Option<String>)>;

impl Proxmox {
    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers on which node a container has just been created, or with `None` that it is being destroyed.
    pub(super) fn note_change(&self, id: Vmid, node: Option<&str>) {
        let mut changed = self.changed();
        changed.retain(|_, (at, _)| at.elapsed() < PLACE_FRESH);
        changed.insert(id, (Instant::now(), node.map(str::to_owned)));
    }

    /// Where a container was a moment ago, without asking.
    fn seen_lately(&self, id: Vmid) -> Option<Place> {
        let listed = self.listing.recent(PLACE_FRESH);
        let changed = self.changed().get(&id).cloned();
        let newer = |at: Instant| listed.as_ref().is_none_or(|(begun, _)| at >= begun.into_std());
        if let Some((at, node)) = changed
            && at.elapsed() < PLACE_FRESH
            && newer(at)
        {
            let ha_state = None;
            return node.map(|node| Place { node, ha_state });
        }
        let listing = listed?.1.ok()?;
        let guest = listing.guests.get(&id)?;
        guest.summary.is_container.then(|| Place::of(guest))
    }

    /// The cluster list, begun after this call.
    pub(super) async fn list(&self) -> Result<Arc<Listing>, ProviderError> {
        let request = || Request::get("cluster.resources", "Proxmox", &["cluster", "resources"]);
        self.listing
            .get(|| async {
                let Rows(resources) = self.api.ask::<Rows<ResourceRow>>(request()).await?;
                Ok(Arc::new(Listing::of(resources)?))
            })
            .await
    }

    /// A cluster list that was begun at most `max_age` ago.
    pub(super) async fn list_within(&self, max_age: Duration) -> Result<Arc<Listing>, ProviderError> {
        match self.listing.recent(max_age) {
            Some((_, Ok(listing))) => Ok(listing),
            _ => self.list().await,
        }
    }

    /// Whether new containers may be placed on a node.
    fn allowed(&self, node: &str) -> bool {
        let allowed = &self.settings.nodes;
        allowed.is_empty() || allowed.iter().any(|name| name == node)
    }

    pub(super) async fn read_survey(&self) -> Result<Survey, ProviderError> {
        let listing = self.list().await?;
        let guests = listing.guests.iter();
        let nodes = listing.nodes.iter().filter(|(name, _)| self.allowed(name));
        Ok(Survey {
            guests: guests.map(|(id, guest)| (*id, guest.summary.clone())).collect(),
            nodes: nodes.map(|(name, node)| (name.clone(), node.clone())).collect(),
        })
    }

    /// Where a container is now; `None` when it is proven absent.
    ///
    /// # Errors
    /// `Conflict` for a virtual machine of that number.
    pub(super) async fn locate(&self, id: Vmid) -> Result<Option<Place>, ProviderError> {
        let listing = self.list().await?;
        match listing.guests.get(&id) {
            Some(guest) if guest.summary.is_container => Ok(Some(Place::of(guest))),
            Some(_) => Err(ProviderError::new(
                ErrorKind::Conflict,
                format!("{id} is the number of a virtual machine; it is left alone"),
            )),
            None => {
                self.confirm_absence(id).await?;
                Ok(None)
            }
        }
    }

    /// Does something with a container on the node where it is, and once more where it went when it moved
    /// meanwhile; `None` when it is absent.
    pub(super) async fn on_node<T, F>(
        &self,
        id: Vmid,
        act: impl Fn(Place) -> F,
    ) -> Result<Option<T>, ProviderError>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let mut silent = None;
        if let Some(place) = self.seen_lately(id) {
            match act(place.clone()).await {
                Err(refused) if refused.meaning == Meaning::NotHere => {}
                Err(refused) if refused.error.kind() == ErrorKind::Unavailable => {
                    silent = Some((place.node, refused));
                }
                other => return Ok(Some(other?)),
            }
        }
        let Some(place) = self.locate(id).await? else {
            return Ok(None);
        };
        if let Some((node, refused)) = silent
            && node == place.node
        {
            return Err(refused.error);
        }
        match act(place).await {
            Err(refused) if refused.meaning == Meaning::NotHere => {}
            other => return Ok(Some(other?)),
        }
        match self.locate(id).await? {
            Some(place) => Ok(Some(act(place).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn config(&self, id: Vmid, node: &str) -> Result<GuestConfig, Refusal> {
        let path = ["nodes", node, "lxc", &id.to_string(), "config"];
        self.api
            .ask(Request::get("lxc.config", container_name(id), &path))
            .await
    }

    pub(super) async fn status(&self, id: Vmid, node: &str) -> Result<CurrentStatus, Refusal> {
        let path = ["nodes", node, "lxc", &id.to_string(), "status", "current"];
        self.api
            .ask(Request::get("lxc.status", container_name(id), &path))
            .await
    }

    pub(super) async fn facts(&self, id: Vmid, node: &str) -> Result<Facts, Refusal> {
        let (config, status) = futures::try_join!(self.config(id, node), self.status(id, node))?;
        Ok(Facts { config, status })
    }

    pub(super) async fn read_container(&self, id: Vmid) -> Result<Option<Container>, ProviderError> {
        self.on_node(id, |place| async move {
            let Facts { config, status } = self.facts(id, &place.node).await?;
            let running = status.running(id)?;
            let high_availability = match status.managed(&place) {
                true => self.high_availability(id, &status, &place).await?,
                false => None,
            };
            let processors = status.cpus.and_then(|cpus| u32::try_from(cpus).ok());
            Ok(Container {
                id,
                node: place.node,
                mark: config.mark(),
                running,
                hostname: config
                    .text("hostname")
                    .map_or_else(|| default_hostname(id), str::to_owned),
                address: config.address("net0"),
                memory: Mib(config.number("memory").unwrap_or(MEMORY_DEFAULT)),
                swap: Mib(config.number("swap").unwrap_or(MEMORY_DEFAULT)),
                deviates: self.deviates(id, &config),
                network_deviates: self.network_deviates(&config),
                cores: config.number("cores").or(processors).unwrap_or_default(),
                disk: config.disk(),
                usage: status.usage(),
                high_availability,
                lock: config.text("lock").map(str::to_owned).or(status.lock),
            })
        })
        .await
    }

    fn known_addresses(&self) -> MutexGuard<'_, AddressCache> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn read_addresses(
        &self,
        except: &BTreeSet<Vmid>,
    ) -> Result<BTreeSet<Ipv4Addr>, ProviderError> {
        let listing = self.list_within(LISTED_FRESH).await?;
        self.known_addresses()
            .retain(|id, _| listing.guests.contains_key(id));
        let wanted: Vec<(Vmid, Guest)> = listing
            .guests
            .iter()
            .filter(|(id, _)| !except.contains(id))
            .map(|(id, guest)| (*id, guest.clone()))
            .collect();
        let mut reads = futures::stream::iter(wanted)
            .map(|(id, guest)| self.addresses_of(id, guest))
            .buffer_unordered(ADDRESS_READS);
        let mut all = BTreeSet::new();
        while let Some(addresses) = reads.next().await {
            all.extend(addresses?);
        }
        Ok(all)
    }

    /// Addresses of one guest; none when it has vanished. While its node is silent, what was read last
    /// stays true, for nobody can change it there.
    async fn addresses_of(&self, id: Vmid, guest: Guest) -> Result<BTreeSet<Ipv4Addr>, ProviderError> {
        let known = self.known_addresses().get(&id).cloned();
        if let Some((read_at, addresses)) = &known
            && read_at.elapsed() < ADDRESSES_FRESH
        {
            return Ok(addresses.clone());
        }
        let config = match self.guest_config(id, &guest).await {
            Err(refused) if refused.meaning == Meaning::NotHere => match self.list().await?.guests.get(&id) {
                Some(moved) => self.guest_config(id, moved).await,
                None => return Ok(BTreeSet::new()),
            },
            other => other,
        };
        match (config, known) {
            (Ok(config), _) => {
                let addresses = config.addresses();
                let entry = (Instant::now(), addresses.clone());
                self.known_addresses().insert(id, entry);
                Ok(addresses)
            }
            (Err(refused), Some((_, addresses))) if refused.error.kind() == ErrorKind::Unavailable => {
                Ok(addresses)
            }
            (Err(refused), _) => Err(refused.error),
        }
    }

    async fn guest_config(&self, id: Vmid, guest: &Guest) -> Result<GuestConfig, Refusal> {
        let node = &guest.summary.node;
        if guest.summary.is_container {
            return self.config(id, node).await;
        }
        let path = ["nodes", node, "qemu", &id.to_string(), "config"];
        self.api
            .ask(Request::get(
                "qemu.config",
                format!("virtual machine {id}"),
                &path,
            ))
            .await
    }

    /// Nodes to ask for the volumes of our storage: one is enough when it is shared.
    ///
    /// # Errors
    /// `Unavailable` when the answer would be incomplete.
    fn storage_nodes(&self, listing: &Listing) -> Result<Vec<String>, ProviderError> {
        let ours = |node: &str| listing.nodes.get(node).is_some_and(|summary| summary.online);
        let places: Vec<_> = listing
            .storages
            .iter()
            .filter(|place| place.storage == self.settings.storage)
            .collect();
        let usable = |available: bool, node: &str| available && ours(node);
        if places.iter().any(|place| place.shared) || places.is_empty() {
            // Without rows the token sees no storages; any node in operation can answer or say why not.
            let shared = places.iter().find(|place| usable(place.available, &place.node));
            let any = || listing.nodes.keys().find(|node| ours(node) && self.allowed(node));
            let node = shared.map(|place| &place.node).or_else(any);
            return node
                .map(|node| vec![node.clone()])
                .ok_or_else(|| self.no_storage());
        }
        match places.iter().all(|place| usable(place.available, &place.node)) {
            true => Ok(places.iter().map(|place| place.node.clone()).collect()),
            false => Err(self.no_storage()),
        }
    }

    fn no_storage(&self) -> ProviderError {
        let storage = &self.settings.storage;
        ProviderError::new(
            ErrorKind::Unavailable,
            format!(
                "storage {storage} is not available on every node that has it; volumes cannot be looked up"
            ),
        )
    }

    pub(super) async fn find_volumes(&self, id: Vmid) -> Result<Vec<String>, ProviderError> {
        // Only the nodes and storages count here, and one that has gone meanwhile does not answer.
        let listing = self.list_within(PLACE_FRESH).await?;
        let mut found = BTreeMap::new();
        for node in self.storage_nodes(&listing)? {
            let path = ["nodes", &node, "storage", &self.settings.storage, "content"];
            let request = Request::get("storage.content", format!("volumes of {id}"), &path).with("vmid", id);
            let rows: Vec<VolumeRow> = self.api.ask(request).await?;
            let number = u64::from(id.get());
            let ours = rows.into_iter().filter(|row| {
                // Backups are the hoster's and stay, also where they are on the same storage.
                row.vmid.is_none_or(|vmid| vmid == number) && row.content.as_deref() != Some("backup")
            });
            found.extend(ours.map(|row| (row.volid, ())));
        }
        Ok(found.into_keys().collect())
    }
}

impl CurrentStatus {
    /// Whether high availability manages the container, by either of the two places that tell it.
    pub(super) fn managed(&self, place: &Place) -> bool {
        self.ha.managed == Some(1) || place.ha_state.is_some()
    }
}
