//! Parameters of the endpoints. Names, limits and releases follow the official schema; a test compares them
//! with a copy of it.

use super::formats::Format;
use super::options::PveVersion;
use super::schema::{Kind, Param};

/// Characters of the longest text where the schema sets no limit.
pub(super) const LONG: usize = 64 << 10;
pub(super) const NODE: Param = Param::must("node", Kind::Formatted(Format::Node, LONG));
pub(super) const IN_NODE: &[Param] = &[NODE];
pub(super) const IN_GUEST: &[Param] = &[NODE, Param::must("vmid", Kind::Vmid)];
pub(super) const IN_SNAPSHOT: &[Param] = &[
    NODE,
    Param::must("vmid", Kind::Vmid),
    Param::must("snapname", Kind::Formatted(Format::ConfigId, 40)),
];
pub(super) const IN_TASK: &[Param] = &[NODE, Param::must("upid", Kind::Text(LONG))];
pub(super) const IN_STORAGE: &[Param] = &[
    NODE,
    Param::must("storage", Kind::Formatted(Format::Storage, LONG)),
];
pub(super) const PAGE: &[Param] = &[
    Param::may("limit", Kind::Int(0, i64::MAX)),
    Param::may("start", Kind::Int(0, i64::MAX)),
];

/// Lines of a container's configuration, as creation and change take them.
pub(super) const CONFIG: &[Param] = &[
    Param::may(
        "arch",
        Kind::Choice(&["amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"]),
    ),
    Param::may("cmode", Kind::Choice(&["shell", "console", "tty"])),
    Param::may("console", Kind::Bool),
    Param::may("cores", Kind::Int(1, 8192)),
    Param::may("cpulimit", Kind::Number(0.0, 8192.0)),
    Param::may("cpuunits", Kind::Int(0, 500_000)),
    Param::may("debug", Kind::Bool),
    Param::may("description", Kind::Text(8192)),
    Param::may("dev[n]", Kind::Text(LONG)).since(PveVersion::V8_2),
    Param::may("entrypoint", Kind::Text(LONG)).since(PveVersion::V9_1),
    Param::may("env", Kind::Formatted(Format::Environment, LONG)).since(PveVersion::V9_1),
    Param::may("features", Kind::Formatted(Format::Features, LONG)),
    Param::may("hookscript", Kind::Text(LONG)),
    Param::may("hostname", Kind::Formatted(Format::DnsName, 255)),
    Param::may(
        "lock",
        Kind::Choice(&[
            "backup",
            "create",
            "destroyed",
            "disk",
            "fstrim",
            "migrate",
            "mounted",
            "rollback",
            "snapshot",
            "snapshot-delete",
        ]),
    ),
    Param::may("memory", Kind::Int(16, i64::MAX)),
    Param::may("mp[n]", Kind::Text(LONG)),
    Param::may("nameserver", Kind::Formatted(Format::Addresses, LONG)),
    Param::may("net[n]", Kind::Formatted(Format::Net, LONG)),
    Param::may("onboot", Kind::Bool),
    Param::may(
        "ostype",
        Kind::Choice(&[
            "debian",
            "devuan",
            "ubuntu",
            "centos",
            "fedora",
            "opensuse",
            "archlinux",
            "alpine",
            "gentoo",
            "nixos",
            "unmanaged",
        ]),
    ),
    Param::may("protection", Kind::Bool),
    Param::may("rootfs", Kind::Formatted(Format::RootFs, LONG)),
    Param::may("searchdomain", Kind::Formatted(Format::DnsNames, LONG)),
    Param::may("startup", Kind::Formatted(Format::Startup, LONG)),
    Param::may("swap", Kind::Int(0, i64::MAX)),
    Param::may("tags", Kind::Formatted(Format::Tags, LONG)),
    Param::may("template", Kind::Bool),
    Param::may("timezone", Kind::Text(LONG)),
    Param::may("tty", Kind::Int(0, 6)),
    Param::may("unprivileged", Kind::Bool),
    Param::may("unused[n]", Kind::Text(LONG)),
];

pub(super) const CREATE: &[Param] = &[
    Param::may("bwlimit", Kind::Number(0.0, f64::MAX)),
    Param::may("force", Kind::Bool),
    Param::may("ha-managed", Kind::Bool).since(PveVersion::V9_1),
    Param::may("ignore-unpack-errors", Kind::Bool),
    Param::must("ostemplate", Kind::Text(255)),
    Param::may("password", Kind::Length(5, LONG)),
    Param::may("pool", Kind::Formatted(Format::Pool, LONG)),
    Param::may("restore", Kind::Bool),
    Param::may("ssh-public-keys", Kind::Text(LONG)),
    Param::may("start", Kind::Bool),
    Param::may("storage", Kind::Formatted(Format::Storage, LONG)),
    Param::may("unique", Kind::Bool),
    Param::must("vmid", Kind::Vmid),
];

pub(super) const CHANGE: &[Param] = &[
    Param::may("delete", Kind::Formatted(Format::ConfigIds, LONG)),
    Param::may("digest", Kind::Text(40)),
    Param::may("revert", Kind::Formatted(Format::ConfigIds, LONG)),
];

pub(super) const DESTROY: &[Param] = &[
    Param::may("destroy-unreferenced-disks", Kind::Bool),
    Param::may("force", Kind::Bool),
    Param::may("purge", Kind::Bool),
];

pub(super) const RESIZE: &[Param] = &[
    Param::may("digest", Kind::Text(40)),
    Param::must("disk", Kind::Formatted(Format::ConfigId, LONG)),
    Param::must("size", Kind::Formatted(Format::Growth, LONG)),
];

pub(super) const SNAPSHOT: &[Param] = &[
    Param::may("description", Kind::Text(LONG)),
    Param::must("snapname", Kind::Formatted(Format::ConfigId, 40)),
];

pub(super) const TASK_FILTER: &[Param] = &[
    Param::may("errors", Kind::Bool),
    Param::may("since", Kind::Int(i64::MIN, i64::MAX)),
    Param::may("source", Kind::Choice(&["archive", "active", "all"])),
    Param::may("statusfilter", Kind::Formatted(Format::TaskStates, LONG)),
    Param::may("typefilter", Kind::Text(LONG)),
    Param::may("until", Kind::Int(i64::MIN, i64::MAX)),
    Param::may("userfilter", Kind::Text(LONG)),
    Param::may("vmid", Kind::Vmid),
];

pub(super) const STORAGE_FILTER: &[Param] = &[
    Param::may("content", Kind::Formatted(Format::Contents, LONG)),
    Param::may("enabled", Kind::Bool),
    Param::may("format", Kind::Bool),
    Param::may("storage", Kind::Formatted(Format::Storage, LONG)),
    Param::may("target", Kind::Formatted(Format::Node, LONG)),
];

pub(super) const CONTENT_FILTER: &[Param] = &[
    Param::may("content", Kind::Formatted(Format::Contents, LONG)),
    Param::may("vmid", Kind::Vmid),
];

pub(super) const SID: &[Param] = &[Param::must("sid", Kind::Formatted(Format::HaResource, LONG))];
pub(super) const HA_STATES: &[&str] = &["started", "stopped", "enabled", "disabled", "ignored"];
pub(super) const HA_TYPES: Kind = Kind::Choice(&["ct", "vm"]);
pub(super) const HA_RESOURCE: &[Param] = &[
    Param::may("comment", Kind::Text(4096)),
    Param::may("failback", Kind::Bool).since(PveVersion::V9_0),
    Param::may("group", Kind::Formatted(Format::ConfigId, LONG)),
    Param::may("max_relocate", Kind::Int(0, i64::MAX)),
    Param::may("max_restart", Kind::Int(0, i64::MAX)),
    Param::may("state", Kind::Choice(HA_STATES)),
];
pub(super) const HA_CREATE: &[Param] = &[
    Param::must("sid", Kind::Formatted(Format::HaResource, LONG)),
    Param::may("type", HA_TYPES),
];
pub(super) const HA_CHANGE: &[Param] = &[
    Param::may("delete", Kind::Formatted(Format::ConfigIds, 4096)),
    Param::may("digest", Kind::Text(64)),
];

pub(super) const GROUP: &[Param] = &[Param::must("group", Kind::Formatted(Format::ConfigId, LONG))];
pub(super) const GROUP_LINES: &[Param] = &[
    Param::may("comment", Kind::Text(4096)),
    Param::may("nofailback", Kind::Bool),
    Param::may("restricted", Kind::Bool),
];
pub(super) const GROUP_CREATE: &[Param] = &[
    Param::must("group", Kind::Formatted(Format::ConfigId, LONG)),
    Param::must("nodes", Kind::Formatted(Format::HaNodes, LONG)),
    Param::may("type", Kind::Choice(&["group"])),
];

pub(super) const RULE: &[Param] = &[Param::must("rule", Kind::Formatted(Format::ConfigId, LONG))];
pub(super) const RULE_TYPES: Kind = Kind::Choice(&["node-affinity", "resource-affinity"]);
pub(super) const RULE_LINES: &[Param] = &[
    Param::may("affinity", Kind::Choice(&["positive", "negative"])),
    Param::may("comment", Kind::Text(4096)),
    Param::may("disable", Kind::Bool),
    Param::may("nodes", Kind::Formatted(Format::HaNodes, LONG)),
    Param::may("strict", Kind::Bool),
    Param::must("type", RULE_TYPES),
];
pub(super) const RULE_CREATE: &[Param] = &[
    Param::must("resources", Kind::Formatted(Format::HaResources, LONG)),
    Param::must("rule", Kind::Formatted(Format::ConfigId, LONG)),
];

pub(super) const POOL: &[Param] = &[Param::must("poolid", Kind::Formatted(Format::Pool, LONG))];
