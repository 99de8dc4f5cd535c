//! The questions of a check: through the resolvers, which know the way, and to name servers directly.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::Answering;
use super::exchange::{Patience, Recursion, ask, question};

/// Addresses of one name server that are asked; more than that no serious one has.
const ADDRESSES_MAX: usize = 4;

/// Whom to ask, and how patiently.
#[derive(Debug, Clone)]
pub(super) struct Questions {
    /// Recursive resolvers, asked one after the other.
    pub resolvers: Vec<SocketAddr>,
    /// Port of name servers.
    pub port: u16,
    /// How long and how often.
    pub patience: Patience,
}

impl Questions {
    /// Asks the resolvers until one has an answer, be it that there is nothing of this name or type.
    ///
    /// # Errors
    /// A public half sentence, when none has one.
    pub(super) async fn resolve(&self, name: &Name, kind: RecordType) -> Result<Message, String> {
        let query = question(name, kind);
        let mut failure = None;
        for resolver in &self.resolvers {
            let Some(answer) = ask(*resolver, &query, Recursion::Desired, self.patience).await else {
                continue;
            };
            match answer.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
                code => failure = Some(code),
            }
        }
        Err(match failure {
            Some(code) => format!("the resolver could not find out {kind} of {}: {code}", text(name)),
            None => "no resolver answered".to_owned(),
        })
    }

    /// Addresses of a name server, IPv4 before IPv6; empty when its name has none.
    ///
    /// # Errors
    /// A public half sentence, when neither kind of address could be asked.
    pub(super) async fn addresses(&self, server: &Name) -> Result<Vec<SocketAddr>, String> {
        let (v4, v6) = tokio::join!(
            self.resolve(server, RecordType::A),
            self.resolve(server, RecordType::AAAA)
        );
        let (v4, v6) = match (v4, v6) {
            (Err(failure), Err(_)) => return Err(failure),
            (v4, v6) => (v4.ok(), v6.ok()),
        };
        let records = v4.into_iter().chain(v6).flat_map(|answer| answer.answers);
        let mut found: Vec<SocketAddr> = records
            .filter_map(|record| match record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .map(|address| SocketAddr::new(address, self.port))
            .collect();
        found.sort_unstable();
        found.dedup();
        found.truncate(ADDRESSES_MAX);
        Ok(found)
    }

    /// Asks one name server, at its next address when one is silent.
    pub(super) async fn direct(&self, server: &Name, query: &Query) -> Option<Message> {
        for address in self.addresses(server).await.ok()? {
            if let Some(answer) = ask(address, query, Recursion::Off, self.patience).await {
                return Some(answer);
            }
        }
        None
    }

    /// Whether a name server serves the zone, asked at each of its addresses.
    pub(super) async fn answering(&self, server: &Name, zone: &Name) -> Answering {
        let addresses = match self.addresses(server).await {
            Ok(addresses) if !addresses.is_empty() => addresses,
            _ => return Answering::NotResolved,
        };
        let query = question(zone, RecordType::SOA);
        let asked = addresses.into_iter().map(|address| {
            let query = &query;
            async move { ask(address, query, Recursion::Off, self.patience).await }
        });
        let answers = futures::future::join_all(asked).await;
        let mut serials = Vec::new();
        for answer in answers.iter().flatten() {
            match serial(answer, zone) {
                Some(serial) => serials.push(serial),
                None => return Answering::Lame,
            }
        }
        match serials.into_iter().min() {
            Some(serial) => Answering::Serves { serial },
            None => Answering::Silent,
        }
    }
}

/// The zone's serial in an answer with authority.
fn serial(answer: &Message, zone: &Name) -> Option<u32> {
    if !answer.metadata.authoritative || answer.metadata.response_code != ResponseCode::NoError {
        return None;
    }
    answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if record.name == *zone => Some(soa.serial),
        _ => None,
    })
}

/// Targets of the NS records that `owner` has among `records`.
pub(super) fn name_servers<'a>(records: &'a [Record], owner: &'a Name) -> impl Iterator<Item = &'a Name> {
    records.iter().filter_map(move |record| match &record.data {
        RData::NS(target) if record.name == *owner => Some(&target.0),
        _ => None,
    })
}

/// A name as we compare and show it: lower-case ASCII without the final dot, `.` for the root.
pub(super) fn text(name: &Name) -> String {
    // `Display` would print A-labels in Unicode.
    let text = name.to_ascii().to_ascii_lowercase();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(bare) => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_ascii() {
        let of = |name: &str| text(&Name::from_ascii(name).unwrap());
        assert_eq!(of("NS1.Example.NET."), "ns1.example.net");
        assert_eq!(of("xn--bcher-kva.example."), "xn--bcher-kva.example");
        assert_eq!(of("."), ".");
    }
}
