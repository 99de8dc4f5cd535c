//! Where a name leads: the addresses that its own name servers tell, and whether they are the wanted ones.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;

use crate::domain::Fqdn;

/// Addresses that a sentence shows; a name of a large provider may have dozens.
const SHOWN_MAX: usize = 4;

/// Asks for the addresses of names.
#[async_trait]
pub trait AddressLookup: Send + Sync {
    /// The addresses of `name` by the servers that speak for it, with CNAMEs followed. Bounded in time; what could not
    /// be asked is [`Addresses::Unknown`], never an absence. A result in which the name leads to `wanted` and nowhere
    /// else may be kept for longer than another one, for which somebody waits.
    async fn addresses(&self, name: &Fqdn, wanted: &BTreeSet<IpAddr>) -> Addresses;

    /// Drops what is kept about `name`: the next question is asked anew.
    fn forget(&self, name: &Fqdn) {
        let _ = name;
    }
}

/// What was found out about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// The name exists. It may have no address.
    Found(FoundAddresses),
    /// The name does not exist, or the one that its CNAME leads to.
    NxDomain {
        /// The name that does not exist: lower-case ASCII without the final dot.
        name: String,
    },
    /// It could not be asked, which is no answer. The text is public and says why in half a sentence.
    Unknown(String),
}

/// Addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundAddresses {
    /// Of its A records, from all asked servers together.
    pub v4: BTreeSet<Ipv4Addr>,
    /// Of its AAAA records, likewise.
    pub v6: BTreeSet<Ipv6Addr>,
    /// The name at the end of its CNAMEs, written as in [`Addresses::NxDomain`]; `None` when it has none.
    pub target: Option<String>,
    /// Whether all asked servers say the same. They do not while a change is under way.
    pub servers_agree: bool,
}

impl FoundAddresses {
    fn all(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.v4.iter().copied().map(IpAddr::V4);
        v4.chain(self.v6.iter().copied().map(IpAddr::V6))
    }
}

impl Addresses {
    /// Whether the name leads to the wanted addresses and nowhere else: it has an A record, every A and AAAA record is
    /// one of them, and the servers agree about it.
    pub fn lead_to(&self, wanted: &BTreeSet<IpAddr>) -> bool {
        match self {
            Self::Found(found) => {
                found.servers_agree
                    && !found.v4.is_empty()
                    && found.all().all(|address| wanted.contains(&address))
            }
            Self::NxDomain { .. } | Self::Unknown(_) => false,
        }
    }

    /// The result in words, for a customer. `domain` as the customer wrote it.
    pub fn message(&self, domain: &str, wanted: &BTreeSet<IpAddr>) -> String {
        let todo = todo(domain, wanted);
        match self {
            Self::Unknown(why) => format!(
                "The addresses of {domain} could not be looked up: {why}. It is tried again by itself. {todo}"
            ),
            Self::NxDomain { name } if name == domain || is_same_name(name, domain) => {
                format!("{domain} does not exist in DNS. {todo}")
            }
            Self::NxDomain { name } => {
                format!("{domain} leads by CNAME to {name}, which does not exist in DNS. {todo}")
            }
            Self::Found(found) => found.message(domain, wanted, &todo),
        }
    }
}

impl FoundAddresses {
    fn message(&self, domain: &str, wanted: &BTreeSet<IpAddr>, todo: &str) -> String {
        let by = match &self.target {
            Some(target) => format!(" (by CNAME to {target})"),
            None => String::new(),
        };
        let foreign: Vec<IpAddr> = self.all().filter(|address| !wanted.contains(address)).collect();
        let only_v6 = foreign.iter().all(IpAddr::is_ipv6) && !self.v4.is_empty();
        let said = if self.v4.is_empty() && self.v6.is_empty() {
            format!("{domain}{by} has no A record. {todo}")
        } else if !foreign.is_empty() && only_v6 && wanted.iter().all(IpAddr::is_ipv4) {
            let plural = if foreign.len() == 1 { "" } else { "s" };
            format!(
                "{domain}{by} has the AAAA record{plural} {}, by which visitors do not get to us. Remove the AAAA \
                 record{plural}.",
                list(&foreign)
            )
        } else if !foreign.is_empty() {
            format!("{domain}{by} leads to {}, not to us. {todo}", list(&foreign))
        } else if self.v4.is_empty() {
            format!("{domain}{by} has no A record, only AAAA. {todo}")
        } else if self.servers_agree {
            let found: Vec<IpAddr> = self.all().collect();
            format!("{domain}{by} leads to {}.", list(&found))
        } else {
            format!("{domain}{by} leads to us at some of its name servers.")
        };
        match self.servers_agree {
            true => said,
            false => format!(
                "{said} Its name servers do not agree yet: a change is under way, wait until it has reached them all."
            ),
        }
    }
}

/// What the customer enters at whoever hosts the zone.
fn todo(domain: &str, wanted: &BTreeSet<IpAddr>) -> String {
    let of = |v4: bool| -> Vec<IpAddr> {
        let of_kind = wanted.iter().filter(|address| address.is_ipv4() == v4);
        of_kind.copied().collect()
    };
    match (of(true), of(false)) {
        (v4, v6) if v6.is_empty() => {
            format!("Set the A record of {domain} to {} and no others.", list(&v4))
        }
        (v4, v6) => format!(
            "Set the A record of {domain} to {} and no others; an AAAA record may only be {}.",
            list(&v4),
            list(&v6)
        ),
    }
}

/// Whether a domain as somebody wrote it is the name in A-labels.
fn is_same_name(name: &str, domain: &str) -> bool {
    let domain = domain.trim_end_matches('.');
    name.eq_ignore_ascii_case(domain) || crate::domain::dns::in_unicode(name) == domain.to_lowercase()
}

fn list(addresses: &[IpAddr]) -> String {
    let mut shown: Vec<String> = addresses.iter().take(SHOWN_MAX).map(IpAddr::to_string).collect();
    if let Some(more) = addresses.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn found(addresses: &[&str]) -> FoundAddresses {
        let mut found = FoundAddresses {
            servers_agree: true,
            ..FoundAddresses::default()
        };
        for address in wanted(addresses) {
            match address {
                IpAddr::V4(address) => found.v4.insert(address),
                IpAddr::V6(address) => found.v6.insert(address),
            };
        }
        found
    }

    const OURS: &str = "203.0.113.7";
    const OURS6: &str = "2001:db8::7";

    #[test]
    fn only_our_addresses_and_an_a_record_among_them_lead_to_us() {
        for (addresses, v4_only, both) in [
            (&[OURS][..], true, true),
            (&[OURS, OURS6], false, true),
            (&[OURS6], false, false),
            (&[OURS, "198.51.100.1"], false, false),
            (&[OURS, "2001:db8::8"], false, false),
            (&["198.51.100.1"], false, false),
            (&[], false, false),
        ] {
            let result = Addresses::Found(found(addresses));
            assert_eq!(result.lead_to(&wanted(&[OURS])), v4_only, "{addresses:?}");
            assert_eq!(result.lead_to(&wanted(&[OURS, OURS6])), both, "{addresses:?}");
        }
        let divided = FoundAddresses {
            servers_agree: false,
            ..found(&[OURS])
        };
        assert!(!Addresses::Found(divided).lead_to(&wanted(&[OURS])));
        assert!(!Addresses::Unknown(String::new()).lead_to(&wanted(&[OURS])));
    }

    #[test]
    fn every_result_says_what_and_what_to_enter() {
        let todo = "Set the A record of shop.example.org to 203.0.113.7 and no others";
        let of = |result: Addresses, wanted: &BTreeSet<IpAddr>| result.message("shop.example.org", wanted);
        let by_cname = FoundAddresses {
            target: Some("x.example.net".to_owned()),
            ..found(&["198.51.100.1"])
        };
        let nx = |name: &str| Addresses::NxDomain {
            name: name.to_owned(),
        };
        for (result, says) in [
            (Addresses::Found(found(&[])), "has no A record."),
            (
                Addresses::Found(found(&["198.51.100.1"])),
                "leads to 198.51.100.1, not to us",
            ),
            (
                Addresses::Found(by_cname),
                "(by CNAME to x.example.net) leads to 198.51.100.1",
            ),
            (nx("shop.example.org"), "shop.example.org does not exist in DNS"),
            (
                nx("x.example.net"),
                "leads by CNAME to x.example.net, which does not exist",
            ),
            (
                Addresses::Unknown("no resolver answered".to_owned()),
                "no resolver answered",
            ),
        ] {
            let message = of(result, &wanted(&[OURS]));
            assert!(message.contains(says) && message.contains(todo), "{message}");
            assert!(message.len() < 400, "{message}");
        }
        let message = of(Addresses::Found(found(&[OURS, "2001:db8::8"])), &wanted(&[OURS]));
        assert!(message.contains("Remove the AAAA record."), "{message}");
        let message = of(
            Addresses::Found(found(&[OURS, "2001:db8::8"])),
            &wanted(&[OURS, OURS6]),
        );
        assert!(
            message.contains("an AAAA record may only be 2001:db8::7"),
            "{message}"
        );
        let message = of(Addresses::Found(found(&[OURS])), &wanted(&[OURS]));
        assert_eq!(message, "shop.example.org leads to 203.0.113.7.");
        let many: Vec<String> = (0..9).map(|n| format!("198.51.100.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let message = of(Addresses::Found(found(&many)), &wanted(&[OURS]));
        assert!(message.contains("198.51.100.3, 5 more, not"), "{message}");
    }

    #[test]
    fn a_name_in_unicode_is_the_one_in_a_labels() {
        let gone = Addresses::NxDomain {
            name: "xn--bcher-kva.example".to_owned(),
        };
        let message = gone.message("bücher.example", &wanted(&[OURS]));
        assert!(message.starts_with("bücher.example does not exist"), "{message}");
    }
}
