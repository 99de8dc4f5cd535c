//! The suites that go through real sockets: contract suites of the provider traits on the simulators.

#[cfg(test)]
mod dns_host;
