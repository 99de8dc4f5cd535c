//! What to try next, as lines to copy.

use super::domain::DOMAIN;
use super::folder::short;
use super::look::{Look, SiteLook};
use super::scene::{NAMESPACE, Scene};
use crate::stage::PUBLIC_ADDRESS;
use crate::stage::backends::PROXMOX_TOKEN;

/// The text. `look` has the sites to play with.
pub fn text(scene: &Scene, look: &Look) -> String {
    let kubectl = scene.kubectl();
    let kubeconfig = short(scene.cluster.admin_kubeconfig());
    let mut lines = vec![
        "Try in another terminal, in this directory:".to_owned(),
        format!("  {kubectl} get wps -A -o wide"),
        format!("  {kubectl} get providers,plans"),
    ];
    if let Some(site) = look.sites.first() {
        let name = site.name.rsplit('/').next().unwrap_or_default();
        lines.extend(visit(scene, site, name));
        lines.extend(domain(scene, name));
        lines.extend(backups(&kubeconfig, name));
        lines.extend(trouble(scene, site));
        lines.push("Delete a site, and look at what is left of it outside:".to_owned());
        lines.push(format!("  {kubectl} delete wps {name} -n {NAMESPACE}"));
    }
    let program = short(&scene.cluster.program());
    lines.push(format!(
        "({kubectl} is {program} kubectl --kubeconfig {kubeconfig})"
    ));
    lines.push(String::new());
    lines.join("\n")
}

fn visit(scene: &Scene, site: &SiteLook, name: &str) -> [String; 2] {
    let (_, https) = scene.backends.npm.edge_addresses();
    let authority = short(&scene.edge_authority());
    let host = site.host.as_deref().unwrap_or_default();
    [
        format!("  {} describe wps {name} -n {NAMESPACE}", scene.kubectl()),
        format!("  curl --cacert {authority} --connect-to ::{https} https://{host}/"),
    ]
}

fn domain(scene: &Scene, name: &str) -> [String; 4] {
    let kubectl = scene.kubectl();
    [
        "Give a site a domain; it waits for its A record, which here is a line in a file:".to_owned(),
        format!(
            "  {kubectl} patch wps {name} -n {NAMESPACE} --type merge -p '{{\"spec\":{{\"domains\":[\"{DOMAIN}\"]}}}}'"
        ),
        format!("  {kubectl} get wps {name} -n {NAMESPACE} -o jsonpath='{{.status.domains}}'"),
        format!(
            "  echo {PUBLIC_ADDRESS} {DOMAIN} >> {}",
            short(&scene.names_file())
        ),
    ]
}

fn backups(kubeconfig: &str, name: &str) -> Vec<String> {
    let own = std::env::current_exe().map_or_else(|_| "hostwright".to_owned(), |own| short(&own));
    let place = format!("-n {NAMESPACE} --kubeconfig {kubeconfig}");
    vec![
        "Back it up, set it back to its first day, see how it is:".to_owned(),
        format!("  {own} backup {name} {place}"),
        format!("  {own} restore {name} --initial {place}"),
        format!("  {own} status {name} {place}"),
    ]
}

fn trouble(scene: &Scene, site: &SiteLook) -> [String; 3] {
    let pid = scene.operator.as_ref().and_then(|operator| operator.pid());
    [
        "Break something by hand and watch the table, the operator repairs it:".to_owned(),
        format!(
            "  curl -X POST -H 'Authorization: PVEAPIToken={}={}' {}/api2/json/nodes/{}/lxc/{}/status/stop",
            PROXMOX_TOKEN.0,
            PROXMOX_TOKEN.1,
            scene.backends.proxmox_server.url(),
            site.node.as_deref().unwrap_or_default(),
            site.vmid.unwrap_or_default()
        ),
        format!("  kill -9 {}", pid.unwrap_or_default()),
    ]
}
