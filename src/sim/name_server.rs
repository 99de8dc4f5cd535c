//! A name server for the domains of customers. It is the resolver that knows the way and the server that speaks for
//! the names at once, and tells the addresses that a file has, which anybody may edit at any time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NS};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Seconds that an answer may be kept.
const TTL: u32 = 1;
/// Octets of the largest question that is read; larger ones nobody sends.
const QUESTION_MAX: usize = 4096;
/// By which name this server is known: that of every zone below one label.
const SERVER: &str = "ns.example.";
/// Labels of the names that are zones, such as `bakery.example`.
const LABELS_OF_ZONE: u8 = 2;

/// The running server, over UDP. Dropping it stops it.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NameServer {
    /// Starts it on a free loopback port. `file` has the form of `/etc/hosts`: an address and names in each line; it is
    /// read for each question and need not be there.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(file: PathBuf) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(serve(socket, address.ip(), file));
        Ok(Self { address, task })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(socket: UdpSocket, own: IpAddr, file: PathBuf) {
    let mut buffer = vec![0; QUESTION_MAX];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let hosts = tokio::fs::read_to_string(&file).await.unwrap_or_default();
        let question = buffer.get(..length).unwrap_or_default();
        if let Some(bytes) = answer(question, own, &hosts) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&bytes, client).await;
        }
    }
}

/// The answer to a question; `None` when it is none.
fn answer(question: &[u8], own: IpAddr, hosts: &str) -> Option<Vec<u8>> {
    let request = Message::from_vec(question).ok()?;
    let query = request.queries.first()?;
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = request.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let known = addresses(query.name(), own, hosts);
    if known.is_empty() && query.name().num_labels() > LABELS_OF_ZONE {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    for data in told(query, &known) {
        answer.add_answer(Record::from_rdata(query.name().clone(), TTL, data));
    }
    answer.to_vec().ok()
}

/// What is told of the asked type.
fn told(query: &Query, known: &[IpAddr]) -> Vec<RData> {
    let name = query.name();
    match query.query_type() {
        RecordType::NS if name.num_labels() == LABELS_OF_ZONE => {
            let server = Name::from_ascii(SERVER).ok();
            server.map(|server| RData::NS(NS(server))).into_iter().collect()
        }
        RecordType::A => {
            let v4 = known.iter().filter_map(|address| match address {
                IpAddr::V4(address) => Some(RData::A(A(*address))),
                IpAddr::V6(_) => None,
            });
            v4.collect()
        }
        RecordType::AAAA => {
            let v6 = known.iter().filter_map(|address| match address {
                IpAddr::V6(address) => Some(RData::AAAA(AAAA(*address))),
                IpAddr::V4(_) => None,
            });
            v6.collect()
        }
        _ => Vec::new(),
    }
}

/// The addresses of a name.
fn addresses(name: &Name, own: IpAddr, hosts: &str) -> Vec<IpAddr> {
    let text = name.to_ascii().to_ascii_lowercase();
    if text == SERVER {
        return vec![own];
    }
    let lines = hosts.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let named = words.any(|word| {
            word.trim_end_matches('.')
                .eq_ignore_ascii_case(text.trim_end_matches('.'))
        });
        named.then_some(address)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "# by hand\n203.0.113.10  www.bakery.example shop.bakery.example # proxy\nnonsense\n\
                         2001:db8::7 www.bakery.example\n";

    fn ask(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let own = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let bytes = answer(&request.to_vec().unwrap(), own, HOSTS).unwrap();
        let answer = Message::from_vec(&bytes).unwrap();
        assert_eq!(answer.metadata.id, request.metadata.id);
        assert!(answer.metadata.authoritative);
        let told = answer.answers.iter().map(|record| record.data.to_string());
        (answer.metadata.response_code, told.collect())
    }

    #[test]
    fn names_have_the_addresses_of_the_file() {
        let found = |addresses: &[&str]| {
            let addresses = addresses.iter().map(ToString::to_string).collect();
            (ResponseCode::NoError, addresses)
        };
        assert_eq!(
            ask("WWW.bakery.example.", RecordType::A),
            found(&["203.0.113.10"])
        );
        assert_eq!(
            ask("www.bakery.example.", RecordType::AAAA),
            found(&["2001:db8::7"])
        );
        assert_eq!(ask("shop.bakery.example.", RecordType::AAAA), found(&[]));
        assert_eq!(ask("bakery.example.", RecordType::NS), found(&["ns.example."]));
        assert_eq!(ask("ns.example.", RecordType::A), found(&["127.0.0.1"]));
        assert_eq!(ask("example.", RecordType::NS), found(&[]));
        assert_eq!(
            ask("blog.bakery.example.", RecordType::A),
            (ResponseCode::NXDomain, Vec::new())
        );
        assert_eq!(answer(b"noise", IpAddr::V4(Ipv4Addr::LOCALHOST), HOSTS), None);
    }
}
