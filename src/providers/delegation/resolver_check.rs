//! The check on real name servers: one at a time per zone, bounded, its result kept for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use hickory_proto::rr::Name;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::exchange::Patience;
use super::kept::Kept;
use super::parent::{Parent, judge};
use super::questions::Questions;
use super::{Answering, Delegation, DelegationCheck};
use crate::domain::Fqdn;

/// How long a verified result is kept: delegations seldom change, and their records live for hours.
pub const VERIFIED_AGE: Duration = Duration::from_secs(10 * 60);
/// How long any other result is kept: somebody waits for it to change.
pub const UNVERIFIED_AGE: Duration = Duration::from_secs(30);
/// The whole check.
const LIMIT: Duration = Duration::from_secs(10);
/// One attempt at one server: far servers need some tenths of a second.
const ATTEMPT: Duration = Duration::from_secs(2);
/// A packet may be lost once.
const ATTEMPTS: u32 = 2;
/// Checks under way at a time: after a restart all zones ask at once, and a resolver is a shared good.
pub(super) const CHECKS_AT_ONCE: usize = 32;
/// Port of name servers (RFC 1035 4.2).
const PORT: u16 = 53;
/// Resolvers that are read from the system's file, as its own resolver does (`MAXNS` in resolv.conf(5)).
const SYSTEM_RESOLVERS_MAX: usize = 3;
/// The system's resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Whom the check asks, and for how long.
#[derive(Debug, Clone)]
pub struct ResolverSettings {
    /// Recursive resolvers, asked in this order; empty for those of `/etc/resolv.conf`. They are asked only for
    /// the parent's servers and for addresses of name servers. The cluster's own resolver is fine, unless it
    /// answers for public zones itself.
    pub resolvers: Vec<SocketAddr>,
    /// Port at which name servers are asked: 53 but for tests.
    pub port: u16,
    /// How long one attempt at one server may take.
    pub attempt: Duration,
    /// How often a server is asked before it counts as silent, at least once.
    pub attempts: u32,
    /// How long a whole check may take.
    pub limit: Duration,
    /// How long a verified result is kept.
    pub verified_age: Duration,
    /// How long any other result is kept.
    pub unverified_age: Duration,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            port: PORT,
            attempt: ATTEMPT,
            attempts: ATTEMPTS,
            limit: LIMIT,
            verified_age: VERIFIED_AGE,
            unverified_age: UNVERIFIED_AGE,
        }
    }
}

impl ResolverSettings {
    /// Whom to ask, the system's resolvers read anew.
    ///
    /// # Errors
    /// A public half sentence, when there is no resolver.
    pub(super) async fn questions(&self) -> Result<Questions, String> {
        let mut resolvers = self.resolvers.clone();
        if resolvers.is_empty() {
            resolvers = system_resolvers(Path::new(RESOLV_CONF)).await;
        }
        if resolvers.is_empty() {
            return Err("no resolver is configured".to_owned());
        }
        Ok(Questions {
            resolvers,
            port: self.port,
            patience: Patience {
                attempt: self.attempt,
                attempts: self.attempts.max(1),
            },
        })
    }
}

/// Asks the parent's servers and ours directly.
#[derive(Debug)]
pub struct ResolverCheck {
    settings: ResolverSettings,
    places: Semaphore,
    kept: Kept<BTreeSet<Fqdn>, Delegation>,
}

#[async_trait]
impl DelegationCheck for ResolverCheck {
    async fn delegation(&self, zone: &Fqdn, expected: &BTreeSet<Fqdn>) -> Delegation {
        let ask = async {
            let result = self.check(zone, expected).await;
            let age = match result.is_verified() {
                true => self.settings.verified_age,
                false => self.settings.unverified_age,
            };
            (result, age)
        };
        self.kept.get(zone, expected, ask).await
    }

    fn forget(&self, zone: &Fqdn) {
        self.kept.forget(zone);
    }
}

impl ResolverCheck {
    /// A check with nothing known yet.
    pub fn new(settings: ResolverSettings) -> Self {
        Self {
            settings,
            places: Semaphore::new(CHECKS_AT_ONCE),
            kept: Kept::default(),
        }
    }

    /// One whole check.
    async fn check(&self, zone: &Fqdn, expected: &BTreeSet<Fqdn>) -> Delegation {
        let end = Instant::now() + self.settings.limit;
        let Ok(Ok(_place)) = timeout_at(end, self.places.acquire()).await else {
            return Delegation::unknown("too many zones are being checked at the moment");
        };
        let questions = match self.settings.questions().await {
            Ok(questions) => questions,
            Err(why) => return Delegation::unknown(why),
        };
        let Some(name) = dns_name(zone) else {
            return Delegation::unknown("the name cannot be asked for");
        };
        let (mut found, answering) = tokio::join!(
            delegated(&name, expected, &questions, end),
            answering(&name, expected, &questions, end)
        );
        found.answering = answering;
        found
    }
}

/// The parent's part of the check, without `answering`.
async fn delegated(
    zone: &Name,
    expected: &BTreeSet<Fqdn>,
    questions: &Questions,
    end: Instant,
) -> Delegation {
    let late = || "the name servers took too long".to_owned();
    let parent = match timeout_at(end, Parent::of(zone, questions)).await {
        Ok(Ok(parent)) => parent,
        Ok(Err(why)) => return Delegation::unknown(why),
        Err(_) => return Delegation::unknown(late()),
    };
    let views = timeout_at(end, parent.views(zone, questions)).await;
    let mut found = match views.unwrap_or_else(|_| Err(late())) {
        Ok(views) => {
            let verdict = judge(&views, expected);
            Delegation {
                state: verdict.state,
                observed: verdict.observed,
                parents_agree: verdict.agree,
                parent: None,
                answering: BTreeMap::new(),
            }
        }
        Err(why) => Delegation::unknown(why),
    };
    found.parent = Some(parent.text());
    found
}

/// What each expected server says; one that does not say it in time is silent.
async fn answering(
    zone: &Name,
    expected: &BTreeSet<Fqdn>,
    questions: &Questions,
    end: Instant,
) -> BTreeMap<Fqdn, Answering> {
    let asked = expected.iter().map(|server| async move {
        let said = match dns_name(server) {
            Some(name) => timeout_at(end, questions.answering(&name, zone))
                .await
                .unwrap_or(Answering::Silent),
            None => Answering::NotResolved,
        };
        (server.clone(), said)
    });
    join_all(asked).await.into_iter().collect()
}

/// An absolute name.
pub(super) fn dns_name(name: &Fqdn) -> Option<Name> {
    Name::from_ascii(format!("{name}.")).ok()
}

/// The system's resolvers, none when its file has none. Read each time: a file of some lines that may change.
async fn system_resolvers(file: &Path) -> Vec<SocketAddr> {
    let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
    parse_resolvers(&text)
}

fn parse_resolvers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = (words.next() == Some("nameserver")).then(|| words.next())??;
            // A link-local address with its interface (`fe80::1%eth0`) does not parse and is left out.
            address.parse::<IpAddr>().ok()
        })
        .take(SYSTEM_RESOLVERS_MAX)
        .map(|address| SocketAddr::new(address, PORT))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::kept::KEPT_AT_LEAST;
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::UdpSocket;

    #[test]
    fn the_systems_resolvers_are_read() {
        let text = "# nameserver 10.9.9.9\nsearch a.svc.cluster.local b\nnameserver 10.96.0.10\n\
                    nameserver fe80::1%eth0\nnameserver 2001:db8::53\noptions ndots:5\n";
        let expected: [SocketAddr; 2] = [
            (Ipv4Addr::new(10, 96, 0, 10), 53).into(),
            "[2001:db8::53]:53".parse().unwrap(),
        ];
        assert_eq!(parse_resolvers(text), expected);
    }

    /// A resolver that counts what reaches it and never answers.
    async fn silent() -> (UdpSocket, ResolverSettings) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let settings = ResolverSettings {
            resolvers: vec![socket.local_addr().unwrap()],
            attempt: Duration::from_millis(20),
            attempts: 1,
            ..ResolverSettings::default()
        };
        (socket, settings)
    }

    fn received(socket: &UdpSocket) -> usize {
        let mut buffer = [0; 512];
        let mut count = 0;
        while socket.try_recv(&mut buffer).is_ok() {
            count += 1;
        }
        count
    }

    #[tokio::test]
    async fn results_are_shared_kept_and_forgotten() {
        let (socket, settings) = silent().await;
        let check = ResolverCheck::new(settings);
        let zone: Fqdn = "shop.example".parse().unwrap();
        let nobody = BTreeSet::new();
        let asked = (0..8).map(|_| check.delegation(&zone, &nobody));
        for result in join_all(asked).await {
            assert_eq!(result, Delegation::unknown("no resolver answered"));
        }
        socket.readable().await.unwrap();
        assert_eq!(received(&socket), 1, "eight callers share one check");
        check.delegation(&zone, &nobody).await;
        assert_eq!(received(&socket), 0, "kept");
        let other = std::iter::once("ns1.h.net".parse().unwrap()).collect();
        check.delegation(&zone, &other).await;
        // One for the parent, and the two kinds of address of the server.
        assert_eq!(received(&socket), 3, "another question");
        check.forget(&zone);
        check.delegation(&zone, &nobody).await;
        assert_eq!(received(&socket), 1, "forgotten");
    }

    #[tokio::test]
    async fn old_zones_do_not_stay() {
        let (_socket, mut settings) = silent().await;
        settings.attempt = Duration::from_millis(1);
        settings.unverified_age = Duration::ZERO;
        let check = ResolverCheck::new(settings);
        for n in 0..KEPT_AT_LEAST + 2 {
            let zone: Fqdn = format!("z{n}.example").parse().unwrap();
            check.delegation(&zone, &BTreeSet::new()).await;
        }
        assert!(check.kept.len() < 8);
    }
}
