//! What to try next, as lines to copy.

use super::folder::short;
use super::look::Look;
use super::scene::{NAMESPACE, Scene};
use crate::stage::backends::PROXMOX_TOKEN;

/// The text. `look` has the sites to play with.
pub fn text(scene: &Scene, look: &Look) -> String {
    let kubectl = scene.kubectl();
    let (_, https) = scene.backends.npm.edge_addresses();
    let authority = short(&scene.edge_authority());
    let mut lines = vec![
        "Try in another terminal, in this directory:".to_owned(),
        format!("  {kubectl} get wps -A -o wide"),
        format!("  {kubectl} get providers,plans"),
    ];
    if let Some(site) = look.sites.first() {
        let name = site.name.rsplit('/').next().unwrap_or_default();
        let host = site.host.as_deref().unwrap_or_default();
        lines.push(format!("  {kubectl} describe wps {name} -n {NAMESPACE}"));
        lines.push(format!(
            "  curl --cacert {authority} --connect-to ::{https} https://{host}/"
        ));
        lines.push("Break something by hand and watch the table, the operator repairs it:".to_owned());
        lines.push(format!(
            "  curl -X POST -H 'Authorization: PVEAPIToken={}={}' {}/api2/json/nodes/{}/lxc/{}/status/stop",
            PROXMOX_TOKEN.0,
            PROXMOX_TOKEN.1,
            scene.backends.proxmox_server.url(),
            site.node.as_deref().unwrap_or_default(),
            site.vmid.unwrap_or_default()
        ));
        let pid = scene
            .operator
            .as_ref()
            .and_then(|operator| operator.pid())
            .unwrap_or_default();
        lines.push(format!("  kill -9 {pid}"));
        lines.push("Delete a site, and look at what is left of it outside:".to_owned());
        lines.push(format!("  {kubectl} delete wps {name} -n {NAMESPACE}"));
    }
    let program = short(&scene.cluster.program());
    let kubeconfig = short(scene.cluster.admin_kubeconfig());
    lines.push(format!(
        "({kubectl} is {program} kubectl --kubeconfig {kubeconfig})"
    ));
    lines.push(String::new());
    lines.join("\n")
}
