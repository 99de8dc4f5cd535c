//! The private addresses that one Provider may give out.

use std::fmt;
use std::net::Ipv4Addr;

/// The pool is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressPoolError {
    /// The last address lies before the first.
    #[error("the pool {0} to {1} is empty; give the smaller address first")]
    Empty(Ipv4Addr, Ipv4Addr),
    /// The prefix length is outside what a container's interface takes (8 to 32).
    #[error("/{0} is not a prefix length for a container; use 8 to 32")]
    Prefix(u8),
    /// An end of the pool or the gateway is not in the subnet.
    #[error("{0} is not in the subnet {1}/{2}; first, last and gateway must share it")]
    Subnet(Ipv4Addr, Ipv4Addr, u8),
}

/// A run of private IPv4 addresses within one subnet, with its gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    first: Ipv4Addr,
    last: Ipv4Addr,
    prefix: u8,
    gateway: Ipv4Addr,
}

impl AddressPool {
    /// A pool from `first` to `last`, both included, in a subnet of the given prefix length.
    ///
    /// # Errors
    /// When the pool is empty or its parts do not share the subnet.
    pub fn new(
        first: Ipv4Addr,
        last: Ipv4Addr,
        prefix: u8,
        gateway: Ipv4Addr,
    ) -> Result<Self, AddressPoolError> {
        if !(8..=32).contains(&prefix) {
            return Err(AddressPoolError::Prefix(prefix));
        }
        if last < first {
            return Err(AddressPoolError::Empty(first, last));
        }
        let network = |address: Ipv4Addr| u64::from(u32::from(address)) >> (32 - u32::from(prefix));
        for other in [last, gateway] {
            if network(other) != network(first) {
                return Err(AddressPoolError::Subnet(other, first, prefix));
            }
        }
        Ok(Self {
            first,
            last,
            prefix,
            gateway,
        })
    }

    /// All addresses that may be given out, ascending; the gateway is never among them.
    pub fn iter(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let gateway = self.gateway;
        (u32::from(self.first)..=u32::from(self.last))
            .map(Ipv4Addr::from)
            .filter(move |a| *a != gateway)
    }

    /// Prefix length of the subnet, 8 to 32.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The containers' gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }
}

impl fmt::Display for AddressPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_stays_in_its_subnet_and_spares_the_gateway() {
        let ip = |n| Ipv4Addr::new(10, 0, 0, n);
        let pool = AddressPool::new(ip(1), ip(3), 24, ip(2)).unwrap();
        assert_eq!(pool.iter().collect::<Vec<_>>(), [ip(1), ip(3)]);
        assert!(AddressPool::new(ip(3), ip(1), 24, ip(2)).is_err());
        assert!(AddressPool::new(ip(1), ip(3), 24, Ipv4Addr::new(10, 0, 1, 1)).is_err());
        assert!(AddressPool::new(ip(1), ip(3), 7, ip(2)).is_err());
    }
}
