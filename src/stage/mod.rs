//! A whole hosting on one machine: a real API server and simulated back-ends, with the manifests that join
//! them. The demo, the tests and the benchmark play on it. Start-up code: a stage that cannot be set is fatal.

mod backends;
pub mod bench;
mod cluster;
pub mod demo;
mod manifests;
mod operator;
mod simulate;

pub use backends::{Backends, BackendsOptions, CLOUDFLARE_ZONE, ISPCONFIG_CUSTOMER, PUBLIC_ADDRESS};
pub use cluster::{Cluster, ClusterOptions, StageError};
pub use manifests::{OPERATOR_NAMESPACE, Pool, foundations, plan, site, zone};
pub use operator::{OperatorOptions, OperatorProcess, Scrape};
pub use simulate::simulate;
