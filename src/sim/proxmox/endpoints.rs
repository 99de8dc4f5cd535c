//! Every simulated endpoint: path, release, parameters, rights, handler.

use serde_json::Value;

use super::errors::Refusal;
use super::formats::Format;
use super::http::Call;
use super::options::PveVersion;
use super::parameters::{
    CHANGE, CONFIG, CONTENT_FILTER, CREATE, DESTROY, GROUP, GROUP_CREATE, GROUP_LINES, HA_CHANGE, HA_CREATE,
    HA_RESOURCE, HA_TYPES, IN_GUEST, IN_NODE, IN_SNAPSHOT, IN_STORAGE, IN_TASK, LONG, PAGE, POOL, RESIZE,
    RULE, RULE_CREATE, RULE_LINES, RULE_TYPES, SID, SNAPSHOT, STORAGE_FILTER, TASK_FILTER,
};
use super::schema::{Kind, Param};
use super::state::State;
use super::{
    archives, cluster, config, containers, create, destroy, ha, ha_rules, power, resize, snapshots, storage,
    tasks,
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
        "GET",
        "/nodes/{node}/qemu/{vmid}/config",
        GUEST_READ,
        &[
            IN_GUEST,
            &[
                Param::may("current", Kind::Bool),
                Param::may("snapshot", Kind::Formatted(Format::ConfigId, 40)),
            ],
        ],
        config::read_machine,
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
        "/nodes/{node}/vzdump/extractconfig",
        OPEN,
        &[IN_NODE, &[Param::must("volume", Kind::Text(LONG))]],
        archives::extract_config,
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
