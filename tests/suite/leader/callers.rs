//! Which process a request came from: by its connection's other end, looked up in /proc while it is open.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use hostwright::sim::faults::{Ends, Witness};

/// A log-in at the simulated proxy changes nothing.
const LOG_IN: (&str, &str) = ("POST", "/api/tokens");

/// The kernel shows its table in pieces, so that a connection may be missing while others come and go.
const LOOK_UPS: usize = 100;

/// Sees every request to the back-ends and writes down the writes.
pub struct Callers {
    replicas: [u32; 2],
    /// Whose it was, and what.
    writes: Mutex<Vec<(Option<u32>, String)>>,
}

impl Callers {
    /// Tells these processes apart.
    pub fn new(replicas: [u32; 2]) -> Self {
        Self {
            replicas,
            writes: Mutex::default(),
        }
    }

    /// The writes of one process, oldest first.
    pub fn writes_of(&self, pid: u32) -> Vec<String> {
        let writes = self.writes.lock().unwrap();
        let writes = writes.iter().filter(|(owner, _)| *owner == Some(pid));
        writes.map(|(_, write)| write.clone()).collect()
    }

    /// Writes that came from neither.
    pub fn strangers(&self) -> Vec<String> {
        let writes = self.writes.lock().unwrap();
        let writes = writes.iter().filter(|(owner, _)| owner.is_none());
        writes.map(|(_, write)| write.clone()).collect()
    }
}

impl Callers {
    /// Whose connection it is; it is open as long as its request waits for the answer.
    fn owner(&self, ends: Ends) -> Option<u32> {
        let inode = inode(ends)?;
        let mut replicas = self.replicas.into_iter();
        replicas.find(|pid| sockets(*pid).contains(&inode))
    }
}

impl Witness for Callers {
    fn saw(&self, ends: Ends, method: &str, path: &str) {
        if ["GET", "HEAD"].contains(&method) || (method, path) == LOG_IN {
            return;
        }
        let owner = (0..LOOK_UPS).find_map(|_| self.owner(ends));
        self.writes
            .lock()
            .unwrap()
            .push((owner, format!("{method} {path}")));
    }
}

/// The caller's socket, from /proc/net/tcp (proc_net_tcp(5)).
fn inode(ends: Ends) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = address(fields[1])? == ends.caller && address(fields[2])? == ends.server;
        is_it.then(|| fields[9].to_owned())
    })
}

/// `0100007F:1F90`: the address as the machine stores it, the port as people write it.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::from((Ipv4Addr::from(ip), port)))
}

fn sockets(pid: u32) -> BTreeSet<String> {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeSet::new();
    };
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let names = targets.map(|target| target.to_string_lossy().into_owned());
    names
        .filter_map(|name| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}
