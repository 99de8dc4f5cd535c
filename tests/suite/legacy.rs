//! What an older backend made by hand and left: a running container with WordPress, its name, proxy host, certificate
//! and snapshots, all of it without a mark.

use hostwright::sim::cloudflare::SimRecord;
use hostwright::sim::directory::{ContainerDirectory, Installed};
use hostwright::sim::proxmox::SimContainer;
use hostwright::stage::{CLOUDFLARE_ZONE, PUBLIC_ADDRESS};
use serde_json::{Value, json};

use crate::world::World;

/// Domain below which the older backend gave names.
pub const BASE: &str = "sites.example.com";

/// One site of the older backend.
#[derive(Clone)]
pub struct Legacy {
    pub vmid: u32,
    pub label: String,
    pub address: String,
    pub host: u64,
    pub certificate: u64,
    pub record: String,
}

impl Legacy {
    /// A site that is as a Plan of 2048 MiB and 20 GiB would have it, but in another network and of another name.
    pub fn put(world: &World, vmid: u32, label: &str) -> Self {
        let name = format!("{label}.{BASE}");
        let address = format!("10.99.{}.{}", vmid / 250 % 250, vmid % 250);
        let backends = &world.backends;
        let net = format!("name=eth0,bridge=vmbr7,ip={address}/16,gw=10.99.0.1,type=veth");
        let lines = [
            ("hostname", "wp-old"),
            ("description", "made by hand"),
            ("memory", "2048"),
            ("swap", "512"),
            ("cores", "2"),
            ("onboot", "1"),
            ("net0", net.as_str()),
        ];
        backends.proxmox.add_foreign_container(vmid, "pve1", &lines);
        let disk = backends.proxmox.container(vmid).unwrap().config["rootfs"].clone();
        let larger = disk.replace("size=8G", "size=20G");
        assert_ne!(disk, larger);
        backends.proxmox.set_config(vmid, "rootfs", Some(&larger));
        backends
            .proxmox
            .add_snapshot(vmid, "BAK01022026-1", "by hand")
            .unwrap();
        backends
            .proxmox
            .set_installed(vmid, Installed::fresh(name.as_str()));
        let (host, certificate) = left_host(world, &name, &address);
        let public = PUBLIC_ADDRESS.to_string();
        let record = backends
            .cloudflare
            .add_foreign_record(CLOUDFLARE_ZONE, &name, "A", &public, Some("old backend"))
            .unwrap();
        backends
            .cloudflare
            .edit_by_hand(&record, |record| record.ttl = 300);
        Self {
            vmid,
            label: label.to_owned(),
            address,
            host,
            certificate,
            record,
        }
    }

    /// The object that takes it over.
    pub fn manifest(&self, world: &World, name: &str) -> Value {
        let mut site = world.site(name);
        site["metadata"]["annotations"] = json!({"hostwright.dev/adopt": self.vmid.to_string()});
        site
    }

    pub fn container(&self, world: &World) -> Option<SimContainer> {
        world.backends.proxmox.container(self.vmid)
    }

    pub fn proxy_host(&self, world: &World) -> Option<Value> {
        let hosts = world.backends.npm.hosts();
        hosts.into_iter().find(|host| host["id"] == self.host)
    }

    pub fn dns_record(&self, world: &World) -> Option<SimRecord> {
        let records = world.backends.cloudflare.records(CLOUDFLARE_ZONE);
        records.into_iter().find(|record| record.id == self.record)
    }

    /// Which of container, proxy host and record carry a mark.
    pub fn marked(&self, world: &World) -> [bool; 3] {
        let says = |text: &str| text.contains("hostwright:");
        let container = self.container(world);
        let text = container.map(|container| container.description);
        [
            says(&text.unwrap_or_default()),
            self.proxy_host(world)
                .is_some_and(|host| says(&host["meta"].to_string())),
            self.dns_record(world)
                .and_then(|record| record.comment)
                .is_some_and(|comment| says(&comment)),
        ]
    }

    /// Whether everything stands that it consists of.
    pub fn stands(&self, world: &World) -> bool {
        let certificates = world.backends.npm.certificates();
        let certificate = certificates.iter().any(|row| row["id"] == self.certificate);
        self.container(world).is_some_and(|container| container.running)
            && self.proxy_host(world).is_some()
            && self.dns_record(world).is_some()
            && certificate
    }

    /// Takes out what is left of it.
    pub fn take_out(&self, world: &World) {
        let backends = &world.backends;
        if self.container(world).is_some() {
            backends.proxmox.destroy_by_hand(self.vmid);
        }
        backends.npm.delete_host_by_hand(self.host);
        backends.npm.delete_certificate_by_hand(self.certificate);
        backends.cloudflare.delete_by_hand(&self.record);
    }
}

/// Leaves a proxy host of a name with its certificate, as we would make them.
pub fn left_host(world: &World, name: &str, address: &str) -> (u64, u64) {
    let npm = &world.backends.npm;
    let certificate = npm.add_foreign_certificate(&[name], true);
    let host = npm.add_foreign_host(&[name], address, 80).unwrap();
    let as_ours = json!({
        "certificate_id": certificate, "ssl_forced": true, "http2_support": true,
        "allow_websocket_upgrade": true, "block_exploits": true, "caching_enabled": false,
    });
    npm.edit_host_by_hand(host, as_ours).unwrap();
    (host, certificate)
}

/// Orders of starts, stops and restarts, of creations, and runs in containers, so far.
pub fn disturbances(world: &World) -> u64 {
    let mut sum = 0;
    for (name, faults) in world.backends.faults() {
        let disturbs = |call: &str| match name {
            "proxmox" => call.starts_with("POST") && (call.contains("/status/") || call.ends_with("/lxc")),
            "npm" => call.starts_with("POST") && !call.ends_with("/tokens"),
            "ssh" => true,
            // No site has anything there, and every look is a POST.
            "ispconfig" => false,
            _ => call.starts_with("POST") || call.starts_with("DELETE"),
        };
        sum += faults
            .calls()
            .iter()
            .filter(|(call, _)| disturbs(call))
            .map(|(_, count)| count)
            .sum::<u64>();
    }
    sum
}
