//! Proxmox' JSON and its texts within texts: decoded leniently, for numbers arrive as strings and keys are
//! missing at will, but a guest's row that cannot be understood is an error and never a missing guest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::domain::{Gib, Mib, ObjectUid, OwnerMark, Vmid};
use crate::providers::container_host::{GuestSummary, NodeSummary, Usage};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::rows::Row;

/// Tag that every container of ours has, for people.
pub(super) const TAG: &str = "hostwright";
/// What the tag with the owner's UID starts with.
pub(super) const TAG_UID_PREFIX: &str = "hw-";
/// First line of a container's description, for people.
const DESCRIPTION_LINE: &str = "Managed by Hostwright. The next line says whose it is: keep it.";

/// A number, or a text that is one. Anything else counts as absent.
fn number_of(value: &Value) -> Option<u64> {
    let float = match value {
        Value::Number(number) => return number.as_u64().or_else(|| number.as_f64().map(|f| f as u64)),
        Value::String(text) => match text.trim().parse::<u64>() {
            Ok(number) => return Some(number),
            Err(_) => text.trim().parse::<f64>().ok()?,
        },
        _ => return None,
    };
    (float >= 0.0).then_some(float as u64)
}

/// A number with its fraction, or a text that is one. Anything else, and what is no finite positive number, counts as
/// absent.
fn decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let value = Value::deserialize(from)?;
    let number = match &value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    Ok(number.filter(|number: &f64| number.is_finite() && *number >= 0.0))
}

pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(number_of(&Value::deserialize(from)?))
}

pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// One row of `/cluster/resources`, of any type.
#[derive(Debug, Deserialize)]
pub(super) struct ResourceRow {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "number")]
    vmid: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    node: Option<String>,
    #[serde(default, deserialize_with = "text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    tags: Option<String>,
    #[serde(default, deserialize_with = "text")]
    lock: Option<String>,
    #[serde(default, deserialize_with = "text")]
    hastate: Option<String>,
    #[serde(default, deserialize_with = "text")]
    storage: Option<String>,
    #[serde(default, deserialize_with = "number")]
    shared: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    maxmem: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    maxcpu: Option<u64>,
    #[serde(default, deserialize_with = "decimal")]
    cpu: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    mem: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    disk: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    maxdisk: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    uptime: Option<u64>,
}

impl ResourceRow {
    fn usage(&self) -> Option<Usage> {
        usage_of(self.uptime, self.cpu, self.mem, (self.disk, self.maxdisk))
    }
}

/// What a guest uses. Only one that runs has an uptime, and without statistics it is absent.
fn usage_of(
    uptime: Option<u64>,
    cpu: Option<f64>,
    mem: Option<u64>,
    (disk, maxdisk): (Option<u64>, Option<u64>),
) -> Option<Usage> {
    let uptime_seconds = uptime.filter(|seconds| *seconds > 0)?;
    // A fraction of all cores; rounding of the statistics may lift it above 1.
    let cpu = cpu.unwrap_or_default().min(1.0) * 1000.0;
    Some(Usage {
        cpu_permille: cpu.round() as u32,
        memory_bytes: mem.unwrap_or_default(),
        disk_bytes: disk.unwrap_or_default(),
        disk_size_bytes: maxdisk.filter(|bytes| *bytes > 0),
        uptime_seconds,
    })
}

/// A guest with what only this client needs to know.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) summary: GuestSummary,
    /// State of the high-availability manager, when it manages the guest.
    pub(super) ha_state: Option<String>,
}

/// A storage on one node.
#[derive(Debug, Clone)]
pub(super) struct StoragePlace {
    pub(super) storage: String,
    pub(super) node: String,
    pub(super) shared: bool,
    pub(super) available: bool,
}

/// The cluster list, understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) guests: BTreeMap<Vmid, Guest>,
    pub(super) nodes: BTreeMap<String, NodeSummary>,
    pub(super) storages: Vec<StoragePlace>,
}

/// The rows that were understood, and the first that was not.
#[derive(Debug, Default)]
pub(super) struct Resources {
    listing: Listing,
    strange: Option<ProviderError>,
}

impl Row for ResourceRow {
    type Kept = Resources;

    fn keep(self, resources: &mut Resources) {
        match self.kind.as_str() {
            "lxc" | "qemu" => {
                if let Err(error) = resources.listing.guest(self) {
                    resources.strange.get_or_insert(error);
                }
            }
            "node" => resources.listing.node(self),
            "storage" => resources.listing.storage(self),
            _ => {}
        }
    }
}

fn strange(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Unexpected,
        format!("the cluster list of Proxmox {what}; nothing is concluded from it"),
    )
}

impl Listing {
    /// # Errors
    /// `Unexpected` for a guest without number or node, and for a list without any node: every token sees
    /// the nodes, hence such a list is not one.
    pub(super) fn of(resources: Resources) -> Result<Self, ProviderError> {
        match resources {
            Resources {
                strange: Some(error), ..
            } => Err(error),
            Resources { listing, .. } if listing.nodes.is_empty() => Err(strange("names no node")),
            Resources { listing, .. } => Ok(listing),
        }
    }

    fn guest(&mut self, row: ResourceRow) -> Result<(), ProviderError> {
        let from_id = || row.id.as_deref()?.rsplit_once('/')?.1.parse::<u64>().ok();
        let id = row
            .vmid
            .or_else(from_id)
            .and_then(|number| i64::try_from(number).ok())
            .and_then(|number| Vmid::try_from(number).ok())
            .ok_or_else(|| strange("has a guest without a number"))?;
        let usage = row.usage();
        let node = row.node.ok_or_else(|| strange("has a guest without a node"))?;
        let summary = GuestSummary {
            node,
            is_container: row.kind == "lxc",
            running: match row.status.as_deref() {
                Some("running") => Some(true),
                Some("stopped") => Some(false),
                _ => None,
            },
            owner_hint: row.tags.as_deref().and_then(owner_of_tags),
            memory: Mib::from_bytes(row.maxmem.unwrap_or_default()),
            lock: row.lock,
            usage,
        };
        let guest = Guest {
            summary,
            ha_state: row.hastate,
        };
        self.guests.insert(id, guest);
        Ok(())
    }

    fn node(&mut self, row: ResourceRow) {
        let Some(name) = row.node else { return };
        let summary = NodeSummary {
            online: row.status.as_deref() == Some("online"),
            memory: Mib::from_bytes(row.maxmem.unwrap_or_default()),
            cores: u32::try_from(row.maxcpu.unwrap_or_default()).unwrap_or(u32::MAX),
        };
        self.nodes.insert(name, summary);
    }

    fn storage(&mut self, row: ResourceRow) {
        if let (Some(storage), Some(node)) = (row.storage, row.node) {
            self.storages.push(StoragePlace {
                storage,
                node,
                shared: row.shared == Some(1),
                available: row.status.as_deref() == Some("available"),
            });
        }
    }
}

/// A guest's configuration: keys are many and indexed, so they stay a map.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct GuestConfig(BTreeMap<String, Value>);

impl GuestConfig {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    pub(super) fn number(&self, key: &str) -> Option<u32> {
        number_of(self.0.get(key)?).and_then(|number| u32::try_from(number).ok())
    }

    /// The owner mark of the description.
    pub(super) fn mark(&self) -> Option<OwnerMark> {
        self.text("description").and_then(OwnerMark::find_in)
    }

    /// Size of the root disk, rounded down; 0 when the configuration does not tell.
    pub(super) fn disk(&self) -> Gib {
        let size = self.text("rootfs").and_then(|text| property(text, "size"));
        Gib::from_bytes(size.and_then(parse_size).unwrap_or_default())
    }

    /// Static address of one interface of a container.
    pub(super) fn address(&self, interface: &str) -> Option<Ipv4Addr> {
        let (address, _) = property(self.text(interface)?, "ip")?.split_once('/')?;
        address.parse().ok()
    }

    /// Static addresses of all interfaces: `net0` to `net31` of containers, `ipconfig0` to `ipconfig31` of
    /// virtual machines with cloud-init.
    pub(super) fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        let interface = |key: &str| key.starts_with("net") || key.starts_with("ipconfig");
        self.0
            .keys()
            .filter(|key| interface(key))
            .filter_map(|key| self.address(key))
            .collect()
    }
}

/// Value of one key of a property string such as `name=eth0,ip=10.0.0.7/24`.
pub(super) fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split(',')
        .filter_map(|part| part.split_once('='))
        .find_map(|(name, value)| (name.trim() == key).then_some(value.trim()))
}

/// Bytes of `20G`, `512M`, `1.5T`, `4GiB` or a bare number of bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.strip_suffix("iB").unwrap_or(text);
    let (digits, shift) = match text.char_indices().next_back()? {
        (at, 'K') => (text.get(..at)?, 10),
        (at, 'M') => (text.get(..at)?, 20),
        (at, 'G') => (text.get(..at)?, 30),
        (at, 'T') => (text.get(..at)?, 40),
        _ => (text, 0),
    };
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let parts = digits
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite() && *n >= 0.0)?;
    Some((parts * (1_u64 << shift) as f64) as u64)
}

/// Tags of a new container.
pub(super) fn tags_for(owner: &OwnerMark) -> String {
    format!("{TAG};{TAG_UID_PREFIX}{}", owner.uid)
}

/// The owner that a list of tags suggests.
fn owner_of_tags(tags: &str) -> Option<ObjectUid> {
    tags.split([';', ',', ' '])
        .find_map(|tag| tag.strip_prefix(TAG_UID_PREFIX)?.parse().ok())
}

/// Description of a new container: a line for people, then the mark on a line of its own.
pub(super) fn description_for(owner: &OwnerMark) -> String {
    format!("{DESCRIPTION_LINE}\n{owner}\n")
}

/// `net0` of a new container.
pub(super) fn net0(
    bridge: &str,
    address: Ipv4Addr,
    prefix: u8,
    gateway: Ipv4Addr,
    vlan: Option<u16>,
) -> String {
    let tag = vlan.map(|tag| format!(",tag={tag}")).unwrap_or_default();
    format!("name=eth0,bridge={bridge},ip={address}/{prefix},gw={gateway}{tag}")
}

/// The API's form of environment variables: `NAME=value` with NUL between them (schema of `env`, 9.1).
///
/// # Errors
/// `Invalid` for a name that is not letters, digits and underscores, or a value with control characters.
pub(super) fn environment(values: &BTreeMap<String, String>) -> Result<String, ProviderError> {
    let mut parts = Vec::new();
    for (name, value) in values {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let control = |c: char| matches!(c, '\0'..='\u{8}' | '\u{10}'..='\u{1f}' | '\u{7f}' | '\n' | '\r');
        if name.is_empty() || !name.chars().all(plain) || value.chars().any(control) {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!(
                    "the first-boot value \"{name}\" cannot be passed: names are letters, digits and underscores, values have no control characters"
                ),
            ));
        }
        parts.push(format!("{name}={value}"));
    }
    Ok(parts.join("\0"))
}

/// Host name of a container without one.
pub(super) fn default_hostname(id: Vmid) -> String {
    format!("CT{id}")
}

/// `status/current` of a container.
#[derive(Debug, Deserialize)]
pub(super) struct CurrentStatus {
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) lock: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) cpus: Option<u64>,
    #[serde(default, deserialize_with = "decimal")]
    cpu: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    mem: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    disk: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    maxdisk: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    uptime: Option<u64>,
    #[serde(default)]
    pub(super) ha: HaView,
}

impl CurrentStatus {
    /// What the container uses at the moment.
    pub(super) fn usage(&self) -> Option<Usage> {
        usage_of(self.uptime, self.cpu, self.mem, (self.disk, self.maxdisk))
    }

    /// # Errors
    /// `Unexpected` for a state that is neither of the two that the schema knows.
    pub(super) fn running(&self, id: Vmid) -> Result<bool, ProviderError> {
        match self.status.as_deref() {
            Some("running") => Ok(true),
            Some("stopped") => Ok(false),
            _ => Err(ProviderError::new(
                ErrorKind::Unexpected,
                format!("container {id}: Proxmox does not tell whether it runs"),
            )),
        }
    }
}

/// What `status/current` says about high availability.
#[derive(Debug, Default, Deserialize)]
pub(super) struct HaView {
    #[serde(default, deserialize_with = "number")]
    pub(super) managed: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) state: Option<String>,
}

/// A resource of the high-availability manager.
#[derive(Debug, Deserialize)]
pub(super) struct HaResource {
    #[serde(default, deserialize_with = "text")]
    pub(super) state: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) group: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) comment: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) max_restart: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) max_relocate: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) digest: Option<String>,
}

/// A placement rule of the high-availability manager.
#[derive(Debug, Deserialize)]
pub(super) struct HaRule {
    #[serde(default)]
    pub(super) rule: String,
    #[serde(default)]
    pub(super) resources: String,
    #[serde(default)]
    pub(super) nodes: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) comment: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) disable: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) digest: Option<String>,
}

/// The items of a list field: commas, semicolons or spaces between them.
pub(super) fn items(list: &str) -> BTreeSet<&str> {
    list.split([',', ';', ' ', '\t', '\n'])
        .filter(|item| !item.is_empty())
        .collect()
}

/// A row of a snapshot list.
#[derive(Debug, Deserialize)]
pub(super) struct SnapshotRow {
    pub(super) name: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) description: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) snaptime: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) snapstate: Option<String>,
}

/// Status of a task.
#[derive(Debug, Deserialize)]
pub(super) struct TaskStatus {
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) exitstatus: Option<String>,
}

/// A row of a node's task list.
#[derive(Debug, Deserialize)]
pub(super) struct TaskRow {
    pub(super) upid: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) starttime: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) endtime: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
}

/// A row of a storage's content.
#[derive(Debug, Deserialize)]
pub(super) struct VolumeRow {
    pub(super) volid: String,
    #[serde(default, deserialize_with = "number")]
    pub(super) vmid: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) content: Option<String>,
}

/// Answer of `/version`.
#[derive(Debug, Deserialize)]
pub(super) struct VersionRow {
    #[serde(default, deserialize_with = "text")]
    pub(super) version: Option<String>,
}

#[cfg(test)]
mod tests;
