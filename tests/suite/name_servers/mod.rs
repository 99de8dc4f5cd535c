//! Real name servers (BIND) on loopback: any number of them on addresses of their own and one common port, a
//! recursive resolver among them if wanted, each ended by its process id when dropped.

mod relay;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

use relay::Relay;

/// How long a server may take to come up or to load a zone; on an idle machine it takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Networks that are tried: another test program may use the same one by chance.
const NETWORKS_TRIED: usize = 8;
/// What named writes after each (re)load.
const LOADED: &str = "all zones loaded";

/// Lines of a log that a message shows.
const LAST_LINES: usize = 25;

/// The recursive resolver's name here.
pub const RESOLVER: &str = "resolver";
/// The server that the resolver knows as the root.
pub const ROOT: &str = "root";

/// Running name servers.
pub struct NameServers {
    folder: tempfile::TempDir,
    port: u16,
    servers: BTreeMap<String, Server>,
}

/// A port of this machine's loopback address that nobody else is given as long as this lives.
///
/// BIND opens its port in a way that lets a second server of the same user open it as well (`SO_REUSEPORT`), and then
/// the kernel deals the questions out to both: two tests that chose the same free port would answer for each other.
struct ReservedPort {
    address: SocketAddr,
    _bound: TcpSocket,
}

impl ReservedPort {
    /// Any port that nobody has, not even in the sharing way.
    fn take() -> Self {
        let bound = TcpSocket::new_v4().unwrap();
        // As the server does; bound without listening, the socket gets no connection.
        bound.set_reuseaddr(true).unwrap();
        bound.set_reuseport(true).unwrap();
        bound.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self {
            address: bound.local_addr().unwrap(),
            _bound: bound,
        }
    }
}

struct Server {
    /// The address by which the others know it.
    address: Ipv4Addr,
    /// Where the process listens.
    back: ReservedPort,
    _relay: Relay,
    folder: PathBuf,
    /// Zones by origin, with the number of their file.
    zones: BTreeMap<String, usize>,
    files: usize,
    process: Child,
}

impl NameServers {
    /// Starts one server without zones for each of `names`. With [`ROOT`] among them a recursive resolver,
    /// [`RESOLVER`], is started as well, which knows only that root.
    pub async fn start(names: &[&str]) -> Self {
        let mut failure = String::new();
        for _ in 0..NETWORKS_TRIED {
            match Self::try_start(names).await {
                Ok(started) => return started,
                Err(log) => failure = log,
            }
        }
        panic!("named did not start: {failure}");
    }

    async fn try_start(names: &[&str]) -> Result<Self, String> {
        let network = network();
        let mut started = Self {
            folder: tempfile::tempdir().unwrap(),
            port: free_port(host(network, 0)),
            servers: BTreeMap::new(),
        };
        // Debian's AppArmor profile ties the program at its usual place to the system's folders.
        let program = started.folder.path().join("named");
        fs::copy(installed("named"), &program).unwrap();
        let resolver = names.contains(&ROOT).then_some(RESOLVER);
        for (at, name) in names.iter().copied().chain(resolver).enumerate() {
            let server = Server::start(&started, &program, name, host(network, at)).await?;
            started.servers.insert(name.to_owned(), server);
        }
        for server in started.servers.values_mut() {
            if !server.is_up().await {
                return Err(server.last_words());
            }
        }
        if resolver.is_some() {
            started.hint().await;
        }
        Ok(started)
    }

    /// Tells the resolver where the root is.
    async fn hint(&mut self) {
        let root = self.ip(ROOT);
        let server = self.servers.get_mut(RESOLVER).unwrap();
        let hints = format!(". 3600000 NS a.root.\na.root. 3600000 A {root}\n");
        fs::write(server.folder.join("hints"), hints).unwrap();
        let zone = "zone \".\" { type hint; file \"hints\"; };\n";
        server.reload(zone).await;
    }

    /// Address of a server, for glue and other address records.
    pub fn ip(&self, server: &str) -> Ipv4Addr {
        self.servers[server].address
    }

    /// Where a server answers.
    pub fn address(&self, server: &str) -> SocketAddr {
        (self.ip(server), self.port).into()
    }

    /// The port of them all.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An address next to the servers' where nobody listens.
    pub fn nobody(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.servers.values().next().unwrap().address.octets();
        Ipv4Addr::new(a, b, c, 250)
    }

    /// Gives a server a zone, or another version of one, and waits until it serves it. Like ISPConfig's daemon
    /// it lets `named-checkzone` look first.
    ///
    /// # Errors
    /// What `named-checkzone` says against the zone: the server goes on with the version before, if any. Or the end
    /// of named's log, when it has nothing to serve for the zone.
    pub async fn load_zone(
        &mut self,
        server: &str,
        origin: &str,
        text: impl AsRef<[u8]>,
    ) -> Result<(), String> {
        let server = self.servers.get_mut(server).unwrap();
        server.files += 1;
        let file = format!("zone-{}", server.files);
        let path = server.folder.join(&file);
        fs::write(&path, text).unwrap();
        check_zone(origin, &path).await?;
        server.zones.insert(origin.to_owned(), server.files);
        server.reload_zones().await;
        // Seen by its answer, too: named looks closer than `named-checkzone`, and says that all is loaded anyway.
        let answer = exchange(server.back.address, origin, RecordType::SOA, false).await;
        match answer.is_some_and(|answer| answer.metadata.authoritative) {
            true => Ok(()),
            false => Err(server.last_words()),
        }
    }

    /// Takes a zone away from a server.
    pub async fn unload_zone(&mut self, server: &str, origin: &str) {
        let server = self.servers.get_mut(server).unwrap();
        server.zones.remove(origin);
        server.reload_zones().await;
    }

    /// What a server answers; the resolver is asked for recursion, the others are not.
    pub async fn query(&self, server: &str, name: &str, kind: RecordType) -> Message {
        let recursion = server == RESOLVER;
        let answer = exchange(self.address(server), name, kind, recursion).await;
        answer.unwrap_or_else(|| panic!("{server} does not answer: {}", self.servers[server].last_words()))
    }

    /// Data of the records of one name and type at a server, sorted: names with final dot, the strings of a TXT
    /// record joined and without quotes.
    pub async fn records(&self, server: &str, name: &str, kind: RecordType) -> Vec<String> {
        let answer = self.query(server, name, kind).await;
        let found = answer
            .answers
            .iter()
            .filter(|record| record.record_type() == kind);
        let mut data: Vec<String> = found.map(|record| shown(&record.data)).collect();
        data.sort();
        data
    }
}

impl Server {
    async fn start(set: &NameServers, program: &Path, name: &str, address: Ipv4Addr) -> Result<Self, String> {
        let folder = set.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let back = ReservedPort::take();
        let relay = Relay::start((address, set.port).into(), back.address).await;
        let relay = relay.map_err(|error| format!("{address}: {error}"))?;
        let recursion = if name == RESOLVER { "yes" } else { "no" };
        let config = config(&folder, back.address, set.port, recursion);
        fs::write(folder.join("named.conf"), config).unwrap();
        fs::write(folder.join("zones.conf"), "").unwrap();
        Ok(Self {
            address,
            back,
            _relay: relay,
            process: spawn(program, &folder),
            folder,
            zones: BTreeMap::new(),
            files: 0,
        })
    }

    async fn is_up(&mut self) -> bool {
        let up = tokio::time::timeout(PATIENCE, async {
            while self.process.try_wait().unwrap().is_none() {
                let log = self.log();
                if log.contains("address in use") || log.contains("could not listen") {
                    return false;
                }
                if self.loads() > 0
                    && exchange(self.back.address, ".", RecordType::SOA, false)
                        .await
                        .is_some()
                {
                    return true;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            false
        });
        up.await.unwrap_or(false)
    }

    async fn reload_zones(&mut self) {
        let zones = self.zones.iter().map(|(origin, number)| {
            format!("zone \"{origin}\" {{ type primary; file \"zone-{number}\"; }};\n")
        });
        let zones: String = zones.collect();
        self.reload(&zones).await;
    }

    async fn reload(&mut self, zones: &str) {
        let before = self.loads();
        fs::write(self.folder.join("zones.conf"), zones).unwrap();
        let pid = self.process.id().expect("the server runs").to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status().await.unwrap();
        assert!(sent.success());
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.loads() == before {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        assert!(waited.await.is_ok(), "named did not load: {}", self.last_words());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The log's end, for a message.
    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn loads(&self) -> usize {
        self.log().matches(LOADED).count()
    }
}

/// Runs `named-checkzone`, without questions to other servers.
///
/// # Errors
/// Its output, when it refuses the zone.
pub async fn check_zone(origin: &str, file: &Path) -> Result<(), String> {
    let output = Command::new(installed("named-checkzone"))
        .args(["-i", "local", origin])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}

/// A part of the loopback network for this set of servers: by process and count, so that sets are apart.
fn network() -> [u8; 2] {
    static SETS: AtomicU16 = AtomicU16::new(0);
    // An odd factor spreads the sets of one process and keeps them different.
    let set = SETS.fetch_add(1, Ordering::Relaxed).wrapping_mul(40_503);
    let process = u16::try_from(std::process::id() & 0xffff).unwrap();
    let [a, b] = process.wrapping_add(set).to_be_bytes();
    // 127.0 is where everybody else is.
    [a.max(1), b]
}

fn host(network: [u8; 2], number: usize) -> Ipv4Addr {
    let [a, b] = network;
    Ipv4Addr::new(127, a, b, u8::try_from(number + 1).unwrap())
}

/// A port that is free at this moment.
fn free_port(address: Ipv4Addr) -> u16 {
    let probe = std::net::TcpListener::bind((address, 0)).unwrap();
    probe.local_addr().unwrap().port()
}

fn config(folder: &Path, back: SocketAddr, port: u16, recursion: &str) -> String {
    let folder = folder.display();
    let (address, own) = (back.ip(), back.port());
    // `port` is where this server asks others. The resolver keeps nothing longer than a second, so that a
    // changed zone is seen soon.
    format!(
        "options {{\n\
         directory \"{folder}\"; pid-file none; session-keyfile none;\n\
         port {port}; listen-on port {own} {{ {address}; }}; listen-on-v6 {{ none; }};\n\
         query-source address {address};\n\
         recursion {recursion}; allow-query {{ any; }}; allow-transfer {{ none; }}; notify no;\n\
         dnssec-validation no; empty-zones-enable no; max-cache-ttl 1; max-ncache-ttl 1;\n\
         }};\n\
         controls {{ }};\n\
         include \"{folder}/zones.conf\";\n"
    )
}

fn spawn(program: &Path, folder: &Path) -> Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    // `setpriv` becomes named, which ends with the test even when that one is killed.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(["-4", "-g", "-n", "1", "-c"])
        .arg(folder.join("named.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Where a program of the Debian package `bind9` is.
fn installed(program: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{program} is missing; install it with `apt-get install bind9`"))
}

/// One question over TCP, which has room for every answer.
async fn exchange(server: SocketAddr, name: &str, kind: RecordType, recursion: bool) -> Option<Message> {
    let mut request = Message::query();
    request.metadata.recursion_desired = recursion;
    request.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    let bytes = request.to_vec().unwrap();
    let answer = tokio::time::timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(server).await.ok()?;
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        stream
            .write_all(&[&length, bytes.as_slice()].concat())
            .await
            .ok()?;
        let length = stream.read_u16().await.ok()?;
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await.ok()?;
        Some(Message::from_vec(&buffer).unwrap())
    });
    answer.await.ok().flatten()
}

fn shown(data: &RData) -> String {
    match data {
        RData::TXT(txt) => String::from_utf8_lossy(&txt.txt_data.concat()).into_owned(),
        other => other.to_string(),
    }
}
