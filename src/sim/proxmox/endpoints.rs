//! Every simulated endpoint: path, release, parameters, rights, handler. Names, limits and releases follow
//! the official schema; a test compares them with a copy of it.

use serde_json::Value;

use super::errors::Refusal;
use super::formats::Format;
use super::http::Call;
use super::options::PveVersion;
use super::schema::{Kind, Param};
use super::state::State;
use super::{
    cluster, config, containers, create, destroy, ha, ha_rules, power, resize, snapshots, storage, tasks,
};

/// What answers.
pub(super) type Handler = fn(&mut State, &Call) -> Result<Value, Refusal>;

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) since: PveVersion,
    pub(super) params: &'static [&'static [Param]],
    /// Path of the right, and privileges of which one is enough. Empty: the handler checks.
    pub(super) rights: (&'static str, &'static [&'static str]),
    pub(super) handler: Handler,
}

const LONG: usize = 64 << 10;
const NODE: Param = Param::path("node", Kind::Formatted(Format::Node, LONG));
const IN_NODE: &[Param] = &[NODE];
const IN_GUEST: &[Param] = &[NODE, Param::path("vmid", Kind::Vmid)];
const IN_SNAPSHOT: &[Param] = &[
    NODE,
    Param::path("vmid", Kind::Vmid),
    Param::path("snapname", Kind::Formatted(Format::ConfigId, 40)),
];
const IN_TASK: &[Param] = &[NODE, Param::path("upid", Kind::Text(LONG))];
const IN_STORAGE: &[Param] = &[
    NODE,
    Param::path("storage", Kind::Formatted(Format::Storage, LONG)),
];
const PAGE: &[Param] = &[
    Param::may("limit", Kind::Int(0, i64::MAX)),
    Param::may("start", Kind::Int(0, i64::MAX)),
];

/// Lines of a container's configuration, as creation and change take them.
const CONFIG: &[Param] = &[
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

const CREATE: &[Param] = &[
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

const CHANGE: &[Param] = &[
    Param::may("delete", Kind::Formatted(Format::ConfigIds, LONG)),
    Param::may("digest", Kind::Text(40)),
    Param::may("revert", Kind::Formatted(Format::ConfigIds, LONG)),
];

const DESTROY: &[Param] = &[
    Param::may("destroy-unreferenced-disks", Kind::Bool),
    Param::may("force", Kind::Bool),
    Param::may("purge", Kind::Bool),
];

const RESIZE: &[Param] = &[
    Param::may("digest", Kind::Text(40)),
    Param::must("disk", Kind::Formatted(Format::ConfigId, LONG)),
    Param::must("size", Kind::Formatted(Format::Growth, LONG)),
];

const SNAPSHOT: &[Param] = &[
    Param::may("description", Kind::Text(LONG)),
    Param::must("snapname", Kind::Formatted(Format::ConfigId, 40)),
];

const TASK_FILTER: &[Param] = &[
    Param::may("errors", Kind::Bool),
    Param::may("since", Kind::Int(i64::MIN, i64::MAX)),
    Param::may("source", Kind::Choice(&["archive", "active", "all"])),
    Param::may("statusfilter", Kind::Formatted(Format::TaskStates, LONG)),
    Param::may("typefilter", Kind::Text(LONG)),
    Param::may("until", Kind::Int(i64::MIN, i64::MAX)),
    Param::may("userfilter", Kind::Text(LONG)),
    Param::may("vmid", Kind::Vmid),
];

const STORAGE_FILTER: &[Param] = &[
    Param::may("content", Kind::Formatted(Format::Contents, LONG)),
    Param::may("enabled", Kind::Bool),
    Param::may("format", Kind::Bool),
    Param::may("storage", Kind::Formatted(Format::Storage, LONG)),
    Param::may("target", Kind::Formatted(Format::Node, LONG)),
];

const CONTENT_FILTER: &[Param] = &[
    Param::may("content", Kind::Formatted(Format::Contents, LONG)),
    Param::may("vmid", Kind::Vmid),
];

const SID: &[Param] = &[Param::path("sid", Kind::Formatted(Format::HaResource, LONG))];
const HA_STATES: &[&str] = &["started", "stopped", "enabled", "disabled", "ignored"];
const HA_TYPES: Kind = Kind::Choice(&["ct", "vm"]);
const HA_RESOURCE: &[Param] = &[
    Param::may("comment", Kind::Text(4096)),
    Param::may("failback", Kind::Bool).since(PveVersion::V9_0),
    Param::may("group", Kind::Formatted(Format::ConfigId, LONG)),
    Param::may("max_relocate", Kind::Int(0, i64::MAX)),
    Param::may("max_restart", Kind::Int(0, i64::MAX)),
    Param::may("state", Kind::Choice(HA_STATES)),
];
const HA_CREATE: &[Param] = &[
    Param::must("sid", Kind::Formatted(Format::HaResource, LONG)),
    Param::may("type", HA_TYPES),
];
const HA_CHANGE: &[Param] = &[
    Param::may("delete", Kind::Formatted(Format::ConfigIds, 4096)),
    Param::may("digest", Kind::Text(64)),
];

const GROUP: &[Param] = &[Param::path("group", Kind::Formatted(Format::ConfigId, LONG))];
const GROUP_LINES: &[Param] = &[
    Param::may("comment", Kind::Text(4096)),
    Param::may("nofailback", Kind::Bool),
    Param::may("restricted", Kind::Bool),
];
const GROUP_CREATE: &[Param] = &[
    Param::must("group", Kind::Formatted(Format::ConfigId, LONG)),
    Param::must("nodes", Kind::Formatted(Format::HaNodes, LONG)),
    Param::may("type", Kind::Choice(&["group"])),
];

const RULE: &[Param] = &[Param::path("rule", Kind::Formatted(Format::ConfigId, LONG))];
const RULE_TYPES: Kind = Kind::Choice(&["node-affinity", "resource-affinity"]);
const RULE_LINES: &[Param] = &[
    Param::may("affinity", Kind::Choice(&["positive", "negative"])),
    Param::may("comment", Kind::Text(4096)),
    Param::may("disable", Kind::Bool),
    Param::may("nodes", Kind::Formatted(Format::HaNodes, LONG)),
    Param::may("strict", Kind::Bool),
    Param::must("type", RULE_TYPES),
];
const RULE_CREATE: &[Param] = &[
    Param::must("resources", Kind::Formatted(Format::HaResources, LONG)),
    Param::must("rule", Kind::Formatted(Format::ConfigId, LONG)),
];

const POOL: &[Param] = &[Param::must("poolid", Kind::Formatted(Format::Pool, LONG))];

const OPEN: (&str, &[&str]) = ("", &[]);
const GUEST_READ: (&str, &[&str]) = ("/vms/{vmid}", &["VM.Audit"]);
const GUEST_POWER: (&str, &[&str]) = ("/vms/{vmid}", &["VM.PowerMgmt"]);
const GUEST_SNAPSHOT: (&str, &[&str]) = ("/vms/{vmid}", &["VM.Snapshot"]);
const GUEST_ROLLBACK: (&str, &[&str]) = ("/vms/{vmid}", &["VM.Snapshot", "VM.Snapshot.Rollback"]);
const STORAGE_READ: (&str, &[&str]) = (
    "/storage/{storage}",
    &["Datastore.Audit", "Datastore.AllocateSpace"],
);
const HA_READ: (&str, &[&str]) = ("/", &["Sys.Audit"]);
const HA_WRITE: (&str, &[&str]) = ("/", &["Sys.Console"]);
const POOL_WRITE: (&str, &[&str]) = ("/pool/{poolid}", &["Pool.Allocate"]);
const GUEST_CONFIG: (&str, &[&str]) = (
    "/vms/{vmid}",
    &[
        "VM.Config.Disk",
        "VM.Config.CPU",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
    ],
);

const fn at(
    method: &'static str,
    path: &'static str,
    rights: (&'static str, &'static [&'static str]),
    params: &'static [&'static [Param]],
    handler: Handler,
) -> Endpoint {
    Endpoint {
        method,
        path,
        since: PveVersion::V7_4,
        params,
        rights,
        handler,
    }
}

impl Endpoint {
    const fn since(self, since: PveVersion) -> Self {
        Self { since, ..self }
    }
}

/// The table.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    at("GET", "/version", OPEN, &[], cluster::version),
    at(
        "GET",
        "/access/permissions",
        OPEN,
        &[&[
            Param::may("path", Kind::Text(LONG)),
            Param::may("userid", Kind::Text(LONG)),
        ]],
        cluster::permissions,
    ),
    at(
        "GET",
        "/cluster/nextid",
        OPEN,
        &[&[Param::may("vmid", Kind::Vmid)]],
        cluster::next_id,
    ),
    at(
        "GET",
        "/cluster/resources",
        OPEN,
        &[&[Param::may(
            "type",
            Kind::Choice(&["vm", "storage", "node", "sdn"]),
        )]],
        cluster::resources,
    ),
    at("GET", "/cluster/status", HA_READ, &[], cluster::status),
    at("GET", "/cluster/tasks", OPEN, &[], tasks::of_cluster),
    at(
        "GET",
        "/cluster/ha/resources",
        HA_READ,
        &[&[Param::may("type", HA_TYPES)]],
        ha::list,
    ),
    at(
        "POST",
        "/cluster/ha/resources",
        HA_WRITE,
        &[HA_CREATE, HA_RESOURCE],
        ha::create,
    ),
    at("GET", "/cluster/ha/resources/{sid}", HA_READ, &[SID], ha::read),
    at(
        "PUT",
        "/cluster/ha/resources/{sid}",
        HA_WRITE,
        &[SID, HA_RESOURCE, HA_CHANGE],
        ha::update,
    ),
    at(
        "DELETE",
        "/cluster/ha/resources/{sid}",
        HA_WRITE,
        &[SID, &[Param::may("purge", Kind::Bool).since(PveVersion::V9_1)]],
        ha::delete,
    ),
    at("GET", "/cluster/ha/groups", HA_READ, &[], ha_rules::list_groups),
    at(
        "POST",
        "/cluster/ha/groups",
        HA_WRITE,
        &[GROUP_CREATE, GROUP_LINES],
        ha_rules::create_group,
    ),
    at(
        "GET",
        "/cluster/ha/groups/{group}",
        HA_READ,
        &[GROUP],
        ha_rules::read_group,
    ),
    at(
        "PUT",
        "/cluster/ha/groups/{group}",
        HA_WRITE,
        &[
            GROUP,
            GROUP_LINES,
            HA_CHANGE,
            &[Param::may("nodes", Kind::Formatted(Format::HaNodes, LONG))],
        ],
        ha_rules::update_group,
    ),
    at(
        "DELETE",
        "/cluster/ha/groups/{group}",
        HA_WRITE,
        &[GROUP],
        ha_rules::delete_group,
    ),
    at(
        "GET",
        "/cluster/ha/rules",
        HA_READ,
        &[&[
            Param::may("resource", Kind::Text(LONG)),
            Param::may("type", RULE_TYPES),
        ]],
        ha_rules::list_rules,
    )
    .since(PveVersion::V9_0),
    at(
        "POST",
        "/cluster/ha/rules",
        HA_WRITE,
        &[RULE_CREATE, RULE_LINES],
        ha_rules::create_rule,
    )
    .since(PveVersion::V9_0),
    at(
        "GET",
        "/cluster/ha/rules/{rule}",
        HA_READ,
        &[RULE],
        ha_rules::read_rule,
    )
    .since(PveVersion::V9_0),
    at(
        "PUT",
        "/cluster/ha/rules/{rule}",
        HA_WRITE,
        &[
            RULE,
            RULE_LINES,
            HA_CHANGE,
            &[Param::may(
                "resources",
                Kind::Formatted(Format::HaResources, LONG),
            )],
        ],
        ha_rules::update_rule,
    )
    .since(PveVersion::V9_0),
    at(
        "DELETE",
        "/cluster/ha/rules/{rule}",
        HA_WRITE,
        &[RULE],
        ha_rules::delete_rule,
    )
    .since(PveVersion::V9_0),
    at("GET", "/cluster/ha/status/current", HA_READ, &[], ha::status),
    at("GET", "/nodes", OPEN, &[], cluster::nodes),
    at(
        "GET",
        "/nodes/{node}/status",
        ("/nodes/{node}", &["Sys.Audit"]),
        &[IN_NODE],
        cluster::node_status,
    ),
    at(
        "GET",
        "/nodes/{node}/tasks",
        OPEN,
        &[IN_NODE, TASK_FILTER, PAGE],
        tasks::list,
    ),
    at(
        "DELETE",
        "/nodes/{node}/tasks/{upid}",
        OPEN,
        &[IN_TASK],
        tasks::abort,
    ),
    at(
        "GET",
        "/nodes/{node}/tasks/{upid}/log",
        OPEN,
        &[IN_TASK, PAGE, &[Param::may("download", Kind::Bool)]],
        tasks::log,
    ),
    at(
        "GET",
        "/nodes/{node}/tasks/{upid}/status",
        OPEN,
        &[IN_TASK],
        tasks::status,
    ),
    at("GET", "/nodes/{node}/lxc", OPEN, &[IN_NODE], containers::list),
    at(
        "POST",
        "/nodes/{node}/lxc",
        OPEN,
        &[IN_NODE, CREATE, CONFIG],
        create::create,
    ),
    at(
        "GET",
        "/nodes/{node}/lxc/{vmid}",
        OPEN,
        &[IN_GUEST],
        containers::index,
    ),
    at(
        "DELETE",
        "/nodes/{node}/lxc/{vmid}",
        ("/vms/{vmid}", &["VM.Allocate"]),
        &[IN_GUEST, DESTROY],
        destroy::destroy,
    ),
    at(
        "GET",
        "/nodes/{node}/lxc/{vmid}/config",
        GUEST_READ,
        &[
            IN_GUEST,
            &[
                Param::may("current", Kind::Bool),
                Param::may("snapshot", Kind::Formatted(Format::ConfigId, 40)),
            ],
        ],
        config::read,
    ),
    at(
        "PUT",
        "/nodes/{node}/lxc/{vmid}/config",
        GUEST_CONFIG,
        &[IN_GUEST, CHANGE, CONFIG],
        config::write,
    ),
    at(
        "GET",
        "/nodes/{node}/lxc/{vmid}/interfaces",
        GUEST_READ,
        &[IN_GUEST],
        containers::interfaces,
    )
    .since(PveVersion::V8_1),
    at(
        "GET",
        "/nodes/{node}/lxc/{vmid}/pending",
        GUEST_READ,
        &[IN_GUEST],
        config::pending,
    ),
    at(
        "PUT",
        "/nodes/{node}/lxc/{vmid}/resize",
        ("/vms/{vmid}", &["VM.Config.Disk"]),
        &[IN_GUEST, RESIZE],
        resize::resize,
    ),
    at(
        "GET",
        "/nodes/{node}/lxc/{vmid}/snapshot",
        GUEST_READ,
        &[IN_GUEST],
        snapshots::list,
    ),
    at(
        "POST",
        "/nodes/{node}/lxc/{vmid}/snapshot",
        GUEST_SNAPSHOT,
        &[IN_GUEST, SNAPSHOT],
        snapshots::create,
    ),
    at(
        "DELETE",
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}",
        GUEST_SNAPSHOT,
        &[IN_SNAPSHOT, &[Param::may("force", Kind::Bool)]],
        snapshots::delete,
    ),
    at(
        "GET",
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
        (
            "/vms/{vmid}",
            &["VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit"],
        ),
        &[IN_SNAPSHOT],
        snapshots::read_config,
    ),
    at(
        "PUT",
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
        GUEST_SNAPSHOT,
        &[IN_SNAPSHOT, &[Param::may("description", Kind::Text(LONG))]],
        snapshots::write_config,
    ),
    at(
        "POST",
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback",
        GUEST_ROLLBACK,
        &[IN_SNAPSHOT, &[Param::may("start", Kind::Bool)]],
        snapshots::rollback,
    ),
    at(
        "GET",
        "/nodes/{node}/lxc/{vmid}/status/current",
        GUEST_READ,
        &[IN_GUEST],
        containers::current,
    ),
    at(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/start",
        GUEST_POWER,
        &[
            IN_GUEST,
            &[
                Param::may("debug", Kind::Bool),
                Param::may("skiplock", Kind::Bool),
            ],
        ],
        power::post_start,
    ),
    at(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/stop",
        GUEST_POWER,
        &[
            IN_GUEST,
            &[
                Param::may("overrule-shutdown", Kind::Bool).since(PveVersion::V8_2),
                Param::may("skiplock", Kind::Bool),
            ],
        ],
        power::post_stop,
    ),
    at(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/shutdown",
        GUEST_POWER,
        &[
            IN_GUEST,
            &[
                Param::may("forceStop", Kind::Bool),
                Param::may("timeout", Kind::Int(0, i64::MAX)),
            ],
        ],
        power::post_shutdown,
    ),
    at(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/reboot",
        GUEST_POWER,
        &[IN_GUEST, &[Param::may("timeout", Kind::Int(0, i64::MAX))]],
        power::post_reboot,
    ),
    at(
        "GET",
        "/nodes/{node}/storage",
        OPEN,
        &[IN_NODE, STORAGE_FILTER],
        storage::index,
    ),
    at(
        "GET",
        "/nodes/{node}/storage/{storage}/status",
        STORAGE_READ,
        &[IN_STORAGE],
        storage::read_status,
    ),
    at(
        "GET",
        "/nodes/{node}/storage/{storage}/content",
        STORAGE_READ,
        &[IN_STORAGE, CONTENT_FILTER],
        storage::content,
    ),
    at(
        "GET",
        "/pools",
        OPEN,
        &[&[
            Param::may("poolid", Kind::Formatted(Format::Pool, LONG)).since(PveVersion::V8_1),
            Param::may("type", Kind::Choice(&["qemu", "lxc", "storage"])).since(PveVersion::V8_1),
        ]],
        cluster::pools,
    ),
    at(
        "POST",
        "/pools",
        POOL_WRITE,
        &[POOL, &[Param::may("comment", Kind::Text(LONG))]],
        cluster::create_pool,
    ),
    at(
        "PUT",
        "/pools",
        POOL_WRITE,
        &[
            POOL,
            &[
                Param::may("allow-move", Kind::Bool),
                Param::may("comment", Kind::Text(LONG)),
                Param::may("delete", Kind::Bool),
                Param::may("storage", Kind::Text(LONG)),
                Param::may("vms", Kind::Formatted(Format::Vmids, LONG)),
            ],
        ],
        cluster::update_pool,
    )
    .since(PveVersion::V8_1),
    at("DELETE", "/pools", POOL_WRITE, &[POOL], cluster::delete_pool).since(PveVersion::V8_1),
];
